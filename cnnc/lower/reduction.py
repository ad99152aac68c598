"""Reductions, global pools, softmax and arg max: kernels along one axis of [outer, axis, inner]."""

from __future__ import annotations

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import LoweringRule, host_supports
from cnnc.ops.reduction import ArgAttrs, ReduceAttrs
from cnnc.ops.softmax import SoftmaxAttrs
from cnnc.runtime.cpu.arg_reduce import LARGEST_AXIS
from cnnc.runtime.cpu.axis_view import axis_view
from cnnc.runtime.cpu.reduce import KINDS
from cnnc.runtime.kernel import Variant
from cnnc.types import DType

_GLOBAL_POOLS = {"global_average_pool": "mean", "global_max_pool": "max"}


def reduced_axes(node: Node) -> tuple[int, ...] | None:
    """Axes of a reduce op, in order; None where they are only known at run time."""
    assert isinstance(node.attrs, ReduceAttrs)
    rank = node.input(0).type.rank
    value = node.optional(1)
    if value is None:
        axes: tuple[Dim, ...] = ()
    else:
        sizes = value.fact.sizes()
        if sizes is None:
            return None
        axes = sizes
    if not axes:
        return () if node.attrs.noop_with_empty_axes else tuple(range(rank))
    return tuple(sorted(int(axis) % rank for axis in axes if isinstance(axis, int)))


def _not_float(node: Node) -> str | None:
    dtype = node.input(0).type.dtype
    return None if dtype is DType.F32 else f"elements are {dtype.value}, not f32"


def _emit(node: Node, builder: ProgramBuilder, variant: Variant, sizes: dict[str, Dim]) -> None:
    x = builder.argument(node.input(0))
    y = builder.result(node.output)
    builder.kernel_step(node, [builder.call(variant, {"x": x, "y": y}, sizes)])


def _reduce_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = host_supports(node, builder) or _not_float(node)
    if reason is not None:
        return reason
    axes = reduced_axes(node)
    if axes is None:
        return "its axes are only known at run time"
    if not axes:
        return "it reduces nothing"
    if axis_view(node.input(0).type.shape, axes) is None:
        return "axes that it keeps lie between those that it reduces"
    return None


def _emit_reduce(node: Node, builder: ProgramBuilder) -> None:
    axes = reduced_axes(node)
    assert axes is not None
    sizes = axis_view(node.input(0).type.shape, axes)
    assert sizes is not None
    _emit(node, builder, Variant.of("reduce", kind=node.op.removeprefix("reduce_")), sizes)


def _global_pool_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if node.input(0).type.layout != node.output.type.layout:
        return "input and output have different layouts"
    return _not_float(node)


def _emit_global_pool(node: Node, builder: ProgramBuilder) -> None:
    """Plain: rows of S elements; blocked: S vectors of lanes a plane."""
    type = node.input(0).type
    inner: Dim = type.layout.block if type.layout.is_blocked else 1
    sizes = {"outer": product(type.physical_shape[:2]), "axis": product(type.shape[2:]), "inner": inner}
    _emit(node, builder, Variant.of("reduce", kind=_GLOBAL_POOLS[node.op]), sizes)


def _softmax_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    return host_supports(node, builder) or _not_float(node)


def _emit_softmax(node: Node, builder: ProgramBuilder) -> None:
    assert isinstance(node.attrs, SoftmaxAttrs)
    sizes = _single_axis(node, node.attrs.axis)
    _emit(node, builder, Variant.of("softmax", log=int(node.op == "log_softmax")), sizes)


def _single_axis(node: Node, axis: int) -> dict[str, Dim]:
    shape = node.input(0).type.shape
    axis %= len(shape)
    return {"outer": product(shape[:axis]), "axis": shape[axis], "inner": product(shape[axis + 1 :])}


def _arg_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = host_supports(node, builder) or _not_float(node)
    if reason is not None:
        return reason
    assert isinstance(node.attrs, ArgAttrs)
    size = _single_axis(node, node.attrs.axis)["axis"]
    if not isinstance(size, int) or not 1 <= size <= LARGEST_AXIS:
        return f"the axis has {size} elements, supported are 1 to {LARGEST_AXIS}"
    return None


def _emit_arg(node: Node, builder: ProgramBuilder) -> None:
    assert isinstance(node.attrs, ArgAttrs)
    kind = node.op.removeprefix("arg_")
    variant = Variant.of("arg_reduce", kind=kind, last=node.attrs.select_last_index)
    _emit(node, builder, variant, _single_axis(node, node.attrs.axis))


RULES = {
    **{f"reduce_{kind}": (LoweringRule("reduce", _reduce_refusal, _emit_reduce),) for kind in KINDS},
    **{op: (LoweringRule("reduce", _global_pool_refusal, _emit_global_pool),) for op in _GLOBAL_POOLS},
    **{op: (LoweringRule("softmax", _softmax_refusal, _emit_softmax),) for op in ("softmax", "log_softmax")},
    **{op: (LoweringRule("arg_reduce", _arg_refusal, _emit_arg),) for op in ("arg_max", "arg_min")},
}
