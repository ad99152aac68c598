"""recognize-lrn: local response normalization, spelled as an average over neighbouring channels, becomes lrn.

Before::

    %s = mul(%x, %x)                                   x f32[N, C, H, W]
    %u = unsqueeze(%s, [1])                            or a reshape to [N, 1, C, H, W]
    %p = pad(%u, [0, 0, 2, 0, 0, 0, 0, 2, 0, 0])
    %a = average_pool(%p) {kernel_shape=(5, 1, 1)}
    %q = squeeze(%a, [1])                              or reshapes back to [N, C, H, W]
    %m = mul(%q, 1e-4)
    %k = add(%m, 2.0)
    %d = pow(%k, 0.75)
    %y = div(%x, %d)

After::

    %y = lrn(%x) {size=5, alpha=1e-4, beta=0.75, bias=2.0}

Fires when
1. x is squared as mul(x, x) or pow(x, 2), and each view up to the average keeps channels on one axis whose
   neighbours alone are averaged: the pool's kernel, with stride 1, is larger than 1 on that axis only;
2. the channels are padded with zeros by size // 2 in front and (size - 1) // 2 behind, by a pad or by the pool itself
   with count_include_pad=1: the average then divides by the size everywhere, as lrn does;
3. the size is odd (ONNX pads even sizes on the other side); alpha, bias and beta are constants of one element;
4. nobody else reads any link of the chain.

Numerics: rounding. Source: Krizhevsky et al., AlexNet (2012), section 3.3; ONNX LRN; PyTorch local_response_norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnnc.ir import ANY, Bind, Graph, Match, Node, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.normalization import LRNAttrs
from cnnc.passes.base import Pass
from cnnc.passes.scalar_constant import any_scalar, number_of, scalar
from cnnc.types import TensorType

_VIEWS = "reshape|unsqueeze|squeeze"
_X = Bind("x")
_SQUARES = (Op("mul", _X, _X), Op("pow", _X, scalar(2.0)))


def _channel_padding(pool: Node, pad: Node | None, axis: int) -> tuple[int, int] | str:
    """Zeros before and behind axis ``axis`` of the pool's input, or why the padding is another one."""
    attrs: Any = pool.attrs
    rank = pool.input(0).type.rank
    begins, ends = [0] * rank, [0] * rank
    if attrs.auto_pad not in ("NOTSET", "VALID") or attrs.ceil_mode:
        return "the average has auto_pad or ceil_mode"
    if any(attrs.pads):
        if not attrs.count_include_pad:
            return "the average does not count its padding"
        spatial = rank - 2
        begins[2:], ends[2:] = attrs.pads[:spatial], attrs.pads[spatial:]
    if pad is not None:
        amounts, fill = pad.input(1).fact.array, pad.optional(2)
        mode: Any = pad.attrs
        zero = fill is None or (fill.fact.array is not None and not fill.fact.array.any())
        if amounts is None or mode.mode != "constant" or not zero or pad.optional(3) is not None:
            return "the pad before the average does not add known zeros"
        flat = [int(amount) for amount in amounts.reshape(-1).tolist()]
        begins = [a + b for a, b in zip(begins, flat[:rank])]
        ends = [a + b for a, b in zip(ends, flat[rank:])]
    if any(begins[i] or ends[i] for i in range(rank) if i != axis):
        return "axes other than the channels are padded"
    return begins[axis], ends[axis]


def _averaged_axis(pool: Node) -> tuple[int, int] | str:
    """The one axis along which ``pool`` averages, and over how many elements."""
    attrs: Any = pool.attrs
    if any(step != 1 for step in (*attrs.strides, *attrs.dilations)):
        return "the average has strides or dilations"
    wide = [axis for axis, size in enumerate(attrs.kernel_shape) if size > 1]
    if len(wide) != 1:
        return f"the average is over a window of {attrs.kernel_shape}, not along one axis"
    return wide[0] + 2, attrs.kernel_shape[wide[0]]


def _is_view_by_channel(x: TensorType, view: TensorType, axis: int) -> bool:
    """Whether ``view`` of ``x`` [N, C, ...] has C alone on ``axis``: what stands before it is N, or N and ones."""
    before = [size for size in view.shape[:axis] if size != 1]
    batch = [size for size in x.shape[:1] if size != 1]
    return view.shape[axis] == x.shape[1] and before == batch


def _apply(found: Match, patch: Patch) -> str | None:
    x, pool = found["x"], found.node("pool")
    pad = found.named_nodes.get("pad")
    if found.root.output.type.shape != x.type.shape or x.type.rank < 3:
        return f"a constant of the chain broadcasts %{x.name} {x.type}"
    averaged = _averaged_axis(pool)
    if isinstance(averaged, str):
        return averaged
    axis, size = averaged
    padding = _channel_padding(pool, pad, axis)
    if isinstance(padding, str):
        return padding
    view = (pool if pad is None else pad).input(0).type
    if not _is_view_by_channel(x.type, view, axis) or pool.output.type.shape != view.shape:
        return f"the average over {view} is not along the channels of {x.type}"
    if size % 2 == 0 or padding != (size // 2, (size - 1) // 2):
        return f"a window of {size} channels padded by {padding} is not centred, and lrn would place it elsewhere"
    attrs = LRNAttrs(
        size=size, alpha=number_of(found["alpha"]), beta=number_of(found["beta"]), bias=number_of(found["bias"])
    )
    patch.replace(found.root.output, patch.node("lrn", [x], attrs, loc=found.loc))
    return None


def _views(of: Op, count: int) -> Op:
    for _ in range(count):
        of = Op(_VIEWS, of, ANY)
    return of


def _chain(square: Op, before: int, padded: bool, behind: int) -> Op:
    source = _views(square, before)
    if padded:
        source = Op("pad", source, name="pad", rest=True)
    average = _views(Op("average_pool", source, name="pool"), behind)
    line = Op("add", Op("mul", average, any_scalar("alpha"), commutative=True), any_scalar("bias"), commutative=True)
    return Op("div", _X, Op("pow", line, any_scalar("beta")))


_RULES = tuple(
    Rule("recognize-lrn", _chain(square, before, padded, behind), _apply)
    for square in _SQUARES
    for before in (1, 2)
    for padded in (True, False)
    for behind in (1, 2)
)


@dataclass(frozen=True)
class RecognizeLrn(Pass):
    """Square, average over neighbouring channels, line, power, division -> lrn."""

    name: ClassVar[str] = "recognize-lrn"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
