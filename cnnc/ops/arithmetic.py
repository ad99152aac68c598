"""Element-wise arithmetic with broadcasting: add, sub, mul, div."""

from __future__ import annotations

from cnnc.dims import Dim
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Operands
from cnnc.ops.opdef import OpDef, broadcast_shapes
from cnnc.types import DType, TensorType


def infer_broadcast(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    """One output of the broadcast shape; all inputs share one dtype."""
    facts = operands.present()
    if len({fact.dtype for fact in facts}) != 1:
        raise ModelError(f"inputs have different element types: {', '.join(fact.dtype.value for fact in facts)}")
    return (TensorType(broadcast_shapes(*(fact.shape for fact in facts)), facts[0].dtype),)


def _fold(name: str, operands: Operands) -> Content | None:
    """Arithmetic on shape contents, element by element."""
    a, b = operands.need(0), operands.need(1)
    left, right = a.sizes(), b.sizes()
    if left is None or right is None or a.dtype is not DType.I64 or max(a.rank, b.rank) > 1:
        return None
    if len(left) != len(right):
        if 1 not in (len(left), len(right)):
            return None
        left, right = (left * len(right), right) if len(left) == 1 else (left, right * len(left))
    dims: list[Dim] = []
    for x, y in zip(left, right):
        match name:
            case "add":
                dims.append(x + y)
            case "sub":
                dims.append(x - y)
            case "mul":
                dims.append(x * y)
            case _:
                # ONNX integer division truncates; floor agrees where neither operand can be negative.
                if y == 0 or _may_be_negative(x) or _may_be_negative(y):
                    return None
                dims.append(x // y)
    return Content(tuple(dims), scalar=max(a.rank, b.rank) == 0)


def _may_be_negative(dim: Dim) -> bool:
    from cnnc.dims import lower_bound

    bound = lower_bound(dim)
    return bound is None or bound < 0


def _op(name: str) -> OpDef:
    return OpDef(
        name,
        infer_broadcast,
        inputs=(2, 2),
        elementwise=True,
        fold=lambda attrs, operands: _fold(name, operands),
    )


OPS = tuple(_op(name) for name in ("add", "sub", "mul", "div"))
