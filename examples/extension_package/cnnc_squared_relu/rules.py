"""The lowering rule: which nodes the kernel takes, and how they become a call of it."""

from cnnc.dims import product
from cnnc.ir import Node
from cnnc.lower import ProgramBuilder
from cnnc.lower.rules import LoweringRule
from cnnc.runtime.kernel import Variant
from cnnc.types import DType


def _supports(node: Node, builder: ProgramBuilder) -> str | None:
    """None, or why not: ``cnnc explain`` prints it, and the NumPy meaning runs instead."""
    x, y = node.input(0), node.output
    if x.type.dtype is not DType.F32:
        return f"elements are {x.type.dtype.value}, not f32"
    if x.type.layout != y.type.layout:
        return "input and output have different layouts"
    if builder.has_gaps(x) or builder.has_gaps(y):
        return "it reads or writes a range of channels of a larger tensor"
    return None


def _emit(node: Node, builder: ProgramBuilder) -> None:
    buffers = {"x": builder.argument(node.input(0)), "y": builder.result(node.output)}
    # The elements as they lie: those that pad blocked channels are computed too, and nobody reads them.
    sizes = {"count": product(node.output.type.physical_shape)}
    builder.kernel_step(node, [builder.call(Variant.of("example.squared_relu"), buffers, sizes)])


RULES = {"squared_relu": (LoweringRule("example.squared_relu", _supports, _emit),)}
