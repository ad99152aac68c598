"""Matrix products (matmul, matmul_integer, gemm, einsum) and determinants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.activation import IDENTITY, Activation, check_activation
from cnnc.ops.content import same_size
from cnnc.ops.dtypes import FLOATS, NUMBERS
from cnnc.ops.opdef import OpDef, broadcast_shapes, require_dtype
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class GemmAttrs(Attrs):
    """act(alpha * A x B + beta * C); ``transA`` and ``transB``: the operand is given transposed."""

    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0  # noqa: N815
    transB: int = 0  # noqa: N815
    activation: Activation = IDENTITY


@dataclass(frozen=True, slots=True)
class EinsumAttrs(Attrs):
    """Einstein's notation: ``bij,bjk->bik``; ``...`` stands for broadcast axes."""

    equation: str


def matmul_shape(a: Fact, b: Fact) -> tuple[Dim, ...]:
    """[..., M, K] x [..., K, N] -> [..., M, N]; a vector counts as one row or one column, which the result lacks.

    Raises:
        ModelError: a scalar, K differs, or the batch axes do not broadcast.
    """
    if not a.rank or not b.rank:
        raise ModelError(f"matrix product of {a.type} and {b.type}: a scalar is no matrix")
    same_size(a.shape[-1], b.shape[-2 if b.rank > 1 else 0], f"matrix product of {a.type} and {b.type}")
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return (*batch, *a.shape[-2:-1], *(b.shape[-1:] if b.rank > 1 else ()))


def _infer_matmul(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    a, b = operands.need(0), operands.need(1)
    require_dtype(a, NUMBERS, "the input")
    if a.dtype is not b.dtype:
        raise ModelError(f"inputs have different element types: {a.dtype.value}, {b.dtype.value}")
    return (TensorType(matmul_shape(a, b), a.dtype),)


def _infer_matmul_integer(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    for index, name in enumerate(("A", "B")):
        matrix, zero = operands.need(index), operands[index + 2]
        require_dtype(matrix, (DType.I8, DType.U8), name)
        if zero is None:
            continue
        if zero.dtype is not matrix.dtype:
            raise ModelError(f"the zero point of {name} is {zero.dtype.value}, but {name} is {matrix.dtype.value}")
        _check_zero_point(name, matrix, zero)
    return (TensorType(matmul_shape(operands.need(0), operands.need(1)), DType.I32),)


def _check_zero_point(name: str, matrix: Fact, zero: Fact) -> None:
    if zero.type.elements == 1:
        return
    kept = -2 if name == "A" else -1
    if matrix.rank < 2 or (zero.rank != 1 and zero.rank != matrix.rank):
        raise ModelError(f"zero point {zero.type} does not fit {name} {matrix.type}")
    same_size(zero.shape[0 if zero.rank == 1 else kept], matrix.shape[kept], f"zero point of {name} {matrix.type}")


def _matmul_macs(attrs: Attrs, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    assert inputs[0] is not None
    return outputs[0].elements * inputs[0].shape[-1]


def _infer_gemm(attrs: GemmAttrs, operands: Operands) -> tuple[TensorType, ...]:
    a, b, c = operands.need(0), operands.need(1), operands[2]
    require_dtype(a, NUMBERS, "A")
    if any(other.dtype is not a.dtype for other in operands.present()):
        raise ModelError("inputs have different element types")
    if a.rank != 2 or b.rank != 2:
        raise ModelError(f"gemm multiplies matrices, got {a.type} and {b.type}")
    rows, inner = a.shape[::-1] if attrs.transA else a.shape
    depth, columns = b.shape[::-1] if attrs.transB else b.shape
    same_size(inner, depth, f"gemm of {a.type} and {b.type}")
    if c is not None and not _broadcasts_to(c.shape, (rows, columns)):
        raise ModelError(f"C {c.type} does not broadcast to [{rows}, {columns}]")
    check_activation(attrs.activation, operands, slopes=-1)
    return (TensorType((rows, columns), a.dtype),)


def _broadcasts_to(shape: tuple[Dim, ...], target: tuple[Dim, ...]) -> bool:
    """Whether the shape can stretch to the target; unequal symbols get the benefit of the doubt."""
    if len(shape) > len(target):
        return False
    pairs = zip(shape[::-1], target[::-1])
    return not any(isinstance(a, int) and isinstance(b, int) and a not in (1, b) for a, b in pairs)


def _gemm_macs(attrs: GemmAttrs, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    assert inputs[0] is not None
    return outputs[0].elements * inputs[0].shape[0 if attrs.transA else 1]


def _einsum_sizes(equation: str, shapes: Sequence[tuple[Dim, ...]]) -> tuple[dict[str, Dim], tuple[Dim, ...], str]:
    """(size of each letter, broadcast sizes of the ellipsis, output term)."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    operands = terms.split(",")
    if len(operands) != len(shapes):
        raise ModelError(f"equation {equation!r} has {len(operands)} terms for {len(shapes)} inputs")
    sizes: dict[str, Dim] = {}
    ellipses: list[tuple[Dim, ...]] = []
    for term, shape in zip(operands, shapes):
        head, dots, tail = term.partition("...")
        middle = len(shape) - len(head) - len(tail)
        if not (head + tail).isalpha() and head + tail:
            raise ModelError(f"term {term!r} of equation {equation!r} is malformed")
        if middle < 0 or (middle and not dots):
            raise ModelError(f"term {term!r} of equation {equation!r} does not fit a tensor of rank {len(shape)}")
        ellipses.append(shape[len(head) : len(head) + middle])
        letters = [*zip(head, shape), *zip(tail, shape[len(head) + middle :])]
        for letter, size in letters:
            known = sizes.get(letter, 1)
            sizes[letter] = size if known == 1 else known if size == 1 else same_size(known, size, f"axis {letter!r}")
    if not arrow:
        once = sorted(letter for letter in sizes if terms.count(letter) == 1)
        result = ("..." if "..." in terms else "") + "".join(once)
    return sizes, broadcast_shapes(*ellipses), result


def _infer_einsum(attrs: EinsumAttrs, operands: Operands) -> tuple[TensorType, ...]:
    facts = operands.present()
    if not facts:
        raise ModelError("it needs at least one input")
    require_dtype(facts[0], NUMBERS, "the input")
    if any(fact.dtype is not facts[0].dtype for fact in facts):
        raise ModelError("inputs have different element types")
    sizes, ellipsis, result = _einsum_sizes(attrs.equation, [fact.shape for fact in facts])
    head, dots, tail = result.partition("...")
    unknown = set(head + tail) - set(sizes)
    if unknown or len(set(head + tail)) != len(head + tail):
        raise ModelError(f"output {result!r} of equation {attrs.equation!r} has unknown or repeated letters")
    shape = (*(sizes[letter] for letter in head), *(ellipsis if dots else ()), *(sizes[letter] for letter in tail))
    return (TensorType(shape, facts[0].dtype),)


def _einsum_macs(attrs: EinsumAttrs, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    """One multiply-accumulate per combination of all letters: the cost without a clever contraction order."""
    sizes, ellipsis, _ = _einsum_sizes(attrs.equation, [type.shape for type in inputs if type is not None])
    return product(sizes.values()) * product(ellipsis)


def _infer_det(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    require_dtype(x, FLOATS, "the input")
    if x.rank < 2:
        raise ModelError(f"a determinant needs matrices, got {x.type}")
    same_size(x.shape[-2], x.shape[-1], f"determinant of {x.type}, which is not square")
    return (TensorType(x.shape[:-2], x.dtype),)


OPS = (
    OpDef("matmul", _infer_matmul, inputs=(2, 2), macs=_matmul_macs),
    OpDef("matmul_integer", _infer_matmul_integer, inputs=(2, 4), macs=_matmul_macs),
    OpDef("gemm", _infer_gemm, attrs=GemmAttrs, inputs=(2, 3), macs=_gemm_macs),
    OpDef("einsum", _infer_einsum, attrs=EinsumAttrs, inputs=(1, None), macs=_einsum_macs),
    OpDef("det", _infer_det),
)
