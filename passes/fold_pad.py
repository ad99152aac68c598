"""fold-pad: a constant pad becomes padding of the window that reads it.

Before::

    %p = pad(%x, [0, 0, 1, 1, 0, 0, 1, 1], 0.0)
    %y = conv(%p, %w) {pads=(0, 0, 0, 0)}

After::

    %y = conv(%x, %w) {pads=(1, 1, 1, 1)}

Fires when
1. mode is constant; pads and axes are known numbers, none negative, and only spatial axes are padded;
2. the pad's result is read by one conv, average_pool or max_pool alone;
3. conv: the pad value is 0;
   average_pool: the pad value is 0, ceil_mode=0, and the pool has no padding of its own or counts it
   (count_include_pad=1); the result has count_include_pad=1, because the pad's zeros were counted;
   max_pool: ceil_mode=0, no indices, and either the value is -inf, or it is at most 0, the pool has no dilation, and x
   is never negative (the result of relu, sigmoid, a clip from 0 up, ...): exporters pad with 0 or the lowest float;
4. for pools the padding stays smaller than the window, so that every window holds an element of x (for max_pool this
   is what makes a padded 0 harmless);
5. auto_pad of the window resolves to numbers.

Must not fire when batch or channels are padded, when pads are computed at run time, or the pad is read elsewhere.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from cnnc.ir import Graph, Match, Node, Notes, Op, Patch, Rule, Value, known_array, rewrite
from cnnc.ops.opdef import normalize_axis
from cnnc.ops.window import Window, window_of
from cnnc.passes.base import Pass
from cnnc.passes.value_range import is_never_negative


@dataclass(frozen=True, slots=True)
class _Padding:
    """Elements added before and after each spatial axis, and their value."""

    begins: tuple[int, ...]
    ends: tuple[int, ...]
    value: float


def _read_pad(node: Node) -> _Padding | str:
    attrs: Any = node.attrs
    if attrs.mode != "constant":
        return f"the pad has mode {attrs.mode}"
    rank = node.input(0).type.rank
    given, chosen, fill = node.input(1), node.optional(3), node.optional(2)
    amounts = given.fact.array
    if amounts is None:
        return f"the pads %{given.name} are not known before run time"
    axes = list(range(rank))
    if chosen is not None:
        if chosen.fact.array is None:
            return f"the axes %{chosen.name} are not known before run time"
        axes = [normalize_axis(int(axis), rank) for axis in chosen.fact.array.reshape(-1).tolist()]
    value = 0.0
    if fill is not None:
        array = known_array(fill)
        if array is None:
            return f"the pad value %{fill.name} is not constant"
        value = float(array.reshape(-1)[0]) if array.size else 0.0
    begins, ends = [0] * rank, [0] * rank
    flat = [int(amount) for amount in amounts.reshape(-1).tolist()]
    for position, axis in enumerate(axes):
        begins[axis], ends[axis] = flat[position], flat[position + len(axes)]
    if min(flat, default=0) < 0:
        return "a negative pad crops"
    if any(begins[:2]) or any(ends[:2]):
        return "the pad adds to the batch or channel axis"
    return _Padding(tuple(begins[2:]), tuple(ends[2:]), value)


def _own_padding(node: Node, kernel: tuple[Any, ...]) -> tuple[Window, tuple[int, ...], tuple[int, ...]] | str:
    attrs: Any = node.attrs
    window = window_of(attrs, node.input(0).type.shape[2:], kernel)
    begins = tuple(pad for pad in window.begins if isinstance(pad, int))
    ends = tuple(pad for pad in window.ends if isinstance(pad, int))
    if len(begins) < len(window.begins) or len(ends) < len(window.ends):
        return f"auto_pad {attrs.auto_pad} depends on sizes that are not known"
    return window, begins, ends


def _conv_refusal(conv: Node, padding: _Padding) -> str | None:
    return None if padding.value == 0 else f"a conv pads with 0, not {padding.value}"


def _average_refusal(pool: Node, padding: _Padding, padded: bool) -> str | None:
    attrs: Any = pool.attrs
    if padding.value != 0:
        return f"an average_pool pads with 0, not {padding.value}"
    if padded and not attrs.count_include_pad:
        return "the pool has padding of its own, which it does not count as the pad's zeros are"
    return "ceil_mode places windows by the padding" if attrs.ceil_mode else None


def _max_refusal(pool: Node, padding: _Padding, source: Value) -> str | None:
    attrs: Any = pool.attrs
    if attrs.ceil_mode:
        return "ceil_mode places windows by the padding"
    if len(pool.outputs) > 1:
        return "indices count the padded elements"
    if padding.value == float("-inf"):
        return None
    if not padding.value <= 0:
        return f"a max_pool pads with -inf, not {padding.value}"
    if any(step != 1 for step in attrs.dilations):
        return "a dilated window may fall between the elements into padding altogether"
    return (
        None if is_never_negative(source) else f"%{source.name} may be below the {padding.value} that it is padded with"
    )


def _apply(found: Match, patch: Patch) -> str | None:
    pad, node = found.node("pad"), found.root
    padding = _read_pad(pad)
    if isinstance(padding, str):
        return padding
    attrs: Any = node.attrs
    kernel = node.input(1).type.shape[2:] if node.op == "conv" else attrs.kernel_shape
    own = _own_padding(node, kernel)
    if isinstance(own, str):
        return own
    window, begins, ends = own
    padded = any(begins) or any(ends)
    source = pad.input(0)
    if node.op == "conv":
        reason = _conv_refusal(node, padding)
    elif node.op == "average_pool":
        reason = _average_refusal(node, padding, padded)
    else:
        reason = _max_refusal(node, padding, source)
    if reason is not None:
        return reason
    begins = tuple(a + b for a, b in zip(begins, padding.begins))
    ends = tuple(a + b for a, b in zip(ends, padding.ends))
    if node.op != "conv":
        for axis, (begin, end) in enumerate(zip(begins, ends)):
            span = window.span(axis)
            if not isinstance(span, int) or max(begin, end) >= span:
                return f"padding {begin} and {end} is not smaller than the window of {span}"
        if node.op == "average_pool":
            attrs = replace(attrs, count_include_pad=1)
    operands = [source, *node.inputs[1:]]
    folded = patch.node(node.op, operands, replace(attrs, auto_pad="NOTSET", pads=(*begins, *ends)), loc=found.loc)
    if folded.type.shape != node.output.type.shape:
        return f"the result would be {folded.type}, not {node.output.type}"
    patch.replace(node.output, folded)
    return None


_RULE = Rule(
    "fold-pad", Op("conv|average_pool|max_pool", Op("pad", name="pad", rest=True), name="window", rest=True), _apply
)


@dataclass(frozen=True)
class FoldPad(Pass):
    """Constant pad into the conv, average_pool or max_pool that reads it."""

    name: ClassVar[str] = "fold-pad"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, [_RULE], notes) > 0
