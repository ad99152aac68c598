"""What is asked of exercise 5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from cnnc.dims import Dim, evaluate, symbol
from cnnc.errors import ModelError
from cnnc.ir import Fact, Operands, parse_graph
from cnnc.ops import OPS
from cnnc.ops.opdef import OpDef
from cnnc.types import DType, TensorType

N, H, W, K = map(symbol, "NHWK")

RESHAPES: tuple[tuple[Sequence[Dim], Sequence[Dim], Sequence[Dim]], ...] = (
    ((2, 3, 4), (6, 4), (6, 4)),
    ((2, 3, 4), (-1,), (24,)),
    ((N, 4, H, W), (0, -1), (N, 4 * H * W)),
    ((N, 4, H, W), (N * 4, 1, H, W), (N * 4, 1, H, W)),
    ((N, 4, H, W), (0, 2, -1, 0), (N, 2, 2 * H, W)),
    ((N, 6, H + 1), (-1, 3), (2 * N * H + 2 * N, 3)),
    ((N, 8, 2 * H, 2 * W), (N, -1, H, W), (N, 32, H, W)),
    ((H, W), (W, H), (W, H)),
)
"""Shape, target, and what it should become."""
REFUSED: tuple[tuple[Sequence[Dim], Sequence[Dim], str], ...] = (
    ((N, 4), (-1, -1), "there are two -1"),
    ((N, 4), (N, 4, 0), "the 0 at axis 2 has nothing to copy"),
    ((N, 4), (N, 5), "4*N elements are not 5*N"),
    ((N, 4, H, W), (N, 3, -1), "4*H*W is not always divisible by 3"),
    ((2, H), (2 * (H // 2), 2), "2*H and 4*(H//2) differ for odd H"),
    ((N, 4), (N,), "4*N elements are not N"),
)

CHAINS = """\
graph "chains" stage=imported {
  input %x: f32[N, 4, H, W]
  input %n: i64[1]
  const %zero: i64[] = [0]
  const %ends: i64[2] = [0, -1]
  const %two: i64[1] = [2]
  const %pair: i64[2] = [3, 5]
  const %half: f32[1] = [0.5]
  %shape: i64[4] = shape(%x)
  %batch: i64[] = gather(%shape, %zero)
  %outer: i64[2] = gather(%shape, %ends)
  %twice: i64[2] = mul(%outer, %two)
  %moved: i64[2] = add(%twice, %pair)
  %halves: i64[2] = div(%moved, %two)
  %less: i64[2] = sub(%halves, %pair)
  %joined: i64[6] = concat(%outer, %two, %less, %n) {axis=0}
  %known: i64[5] = concat(%outer, %two, %less) {axis=0}
  %scaled: f32[1] = add(%half, %half)
  output "joined" = %joined
  output "known" = %known
  output "batch" = %batch
  output "scaled" = %scaled
}
"""


def check_reshape(student: ModuleType) -> None:
    """Part 1: the shape that Reshape gives, proved"""
    for shape, target, expected in RESHAPES:
        case = f"reshaped({_show(shape)}, {_show(target)})"
        try:
            got = student.reshaped(shape, target)
        except ModelError as error:
            raise AssertionError(f"{case} should be {_show(expected)}; it was refused: {error}") from error
        assert tuple(got) == tuple(expected), f"{case} should be {_show(expected)}, got {_show(got)}"
    for shape, target, reason in REFUSED:
        case = f"reshaped({_show(shape)}, {_show(target)})"
        _check_refused(partial(student.reshaped, shape, target), f"{case}: {reason}")


def check_contents(student: ModuleType) -> None:
    """Part 2: content through Shape, Gather, Concat and arithmetic"""
    expected: dict[str, tuple[Dim, ...]] = {}
    for value in parse_graph(CHAINS, OPS).values:
        sizes = value.fact.sizes()
        if value.type.dtype is DType.I64 and sizes is not None:
            expected[value.name] = sizes
    graph = parse_graph(CHAINS, OPS)
    for value in graph.values:
        value.content = None
    found = student.contents(graph)
    for name, dims in expected.items():
        assert name in found, f"%{name} is {_show(dims)}, and not in the dict"
        got = tuple(found[name])
        assert got == dims, f"%{name} is {_show(dims)}, got {_show(got)}"
    extra = sorted(found.keys() - expected.keys())
    assert not extra, f"%{extra[0]} depends on an input's elements or is no i64: nothing should be claimed of it"


def check_rule(student: ModuleType) -> None:
    """Part 3: an inference rule for odd strides"""
    op = OpDef("every", student.infer_every, attrs=student.EveryAttrs)

    def shape(x: TensorType, starts: tuple[int, int], strides: tuple[int, int]) -> tuple[Dim, ...]:
        [result] = op.infer_types(student.EveryAttrs(starts=starts, strides=strides), Operands([Fact(x)]))
        assert result.dtype is x.dtype, f"the result should be of {x.dtype.value} like x, not {result.dtype.value}"
        return tuple(result.shape)

    images = TensorType((N, 3, H, W), DType.U8)
    for start, stride in ((0, 1), (0, 3), (1, 3), (2, 5), (7, 2), (4, 4)):
        got = shape(images, (start, 0), (stride, 7))
        assert got[:2] == (N, 3), f"batch and channels are {_show(got[:2])}, not [N, 3]"
        for size in range(22):
            numbers = [evaluate(dim, {"N": 1, "H": size, "W": size}) for dim in got[2:]]
            truth = [len(range(size)[start::stride]), len(range(size)[0::7])]
            case = f"rows {start}::{stride} and columns 0::7 of a {size}x{size} map are {truth}"
            assert numbers == truth, f"{case}; {_show(got[2:])} gives {numbers}"
    for x, starts, strides, expected in (
        (TensorType((N, 1, 6 * K, 10 * K), DType.F32), (0, 0), (3, 5), (2 * K, 2 * K)),
        (TensorType((N, 1, 7, 6 * K + 1), DType.F32), (2, 1), (3, 2), (2, 3 * K)),
    ):
        found = shape(x, starts, strides)[2:]
        assert found == expected, (
            f"{starts} in steps of {strides} of {x}: {_show(expected)} is simplest, got {_show(found)}"
        )
    flat = TensorType((N, 3, H), DType.F32)
    _check_refused(lambda: shape(flat, (0, 0), (1, 1)), f"{flat} has three axes")
    _check_refused(lambda: shape(images, (0, 0), (2, 0)), "a stride is 0")
    _check_refused(lambda: shape(images, (0, -1), (2, 2)), "a start is negative")


def _check_refused(action: Callable[[], Any], case: str) -> None:
    try:
        result = action()
    except ModelError:
        return
    raise AssertionError(f"{case}: a ModelError should say so, but {_show(result)} was returned")


def _show(dims: Sequence[Dim]) -> str:
    return f"[{', '.join(map(str, dims))}]"


PARTS = (check_reshape, check_contents, check_rule)
