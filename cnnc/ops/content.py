"""Arithmetic on the symbolic content of shape tensors, shared by the ``fold`` rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnnc.dims import Dim, lower_bound
from cnnc.errors import ModelError, UnsupportedError
from cnnc.ir.fact import MAX_KNOWN_ELEMENTS, Content, Fact, Operands
from cnnc.types import DType

SHAPE_DTYPES = (DType.I64, DType.I32, DType.F32, DType.F64)
"""Element types that exporters compute shapes in: ``floor(cast(shape) * 2.0)`` is how some write an upsampled size.
Sizes are taken to be exact in all of them."""

_INT64 = range(-(2**63), 2**63)


def known_dims(fact: Fact) -> tuple[Dim, ...] | None:
    """Content of a tensor of rank 0 or 1 of a dtype that shapes are computed in, where it is known and whole."""
    if fact.rank > 1 or fact.dtype not in SHAPE_DTYPES:
        return None
    if fact.array is None or not fact.dtype.is_float:
        return fact.sizes()
    values = [float(value) for value in fact.array.reshape(-1)[: MAX_KNOWN_ELEMENTS + 1].tolist()]
    if len(values) > MAX_KNOWN_ELEMENTS or not all(value.is_integer() for value in values):
        return None
    return tuple(int(value) for value in values)


def make_content(dims: Sequence[Dim], scalar: bool) -> Content | None:
    """The content, unless it is long or a number left int64 (where the op itself wraps around)."""
    if len(dims) > MAX_KNOWN_ELEMENTS or any(isinstance(dim, int) and dim not in _INT64 for dim in dims):
        return None
    return Content(tuple(dims), scalar)


def fold_elementwise(function: Callable[..., Dim | None], facts: Sequence[Fact]) -> Content | None:
    """``function`` over the broadcast contents; None where a content or one result is not known."""
    columns = [known_dims(fact) for fact in facts]
    lengths = {len(column) for column in columns if column is not None} - {1}
    if None in columns or len(lengths) > 1:
        return None
    length = lengths.pop() if lengths else 1
    results: list[Dim] = []
    for i in range(length):
        result = function(*(column[i if len(column) > 1 else 0] for column in columns if column is not None))
        if result is None:
            return None
        results.append(result)
    return make_content(results, scalar=all(fact.rank == 0 for fact in facts))


def is_never_negative(dim: Dim) -> bool:
    """Whether ``dim`` is at least 0 for all sizes."""
    bound = lower_bound(dim)
    return bound is not None and bound >= 0


def is_never_positive(dim: Dim) -> bool:
    """Whether ``dim`` is at most 0 for all sizes."""
    return is_never_negative(dim * -1)


def known_axes(operands: Operands, index: int, rank: int) -> tuple[int, ...] | None:
    """The axes that operand ``index`` lists, counted from the front; None where it is absent.

    Raises:
        ModelError: an axis is out of range or listed twice.
        UnsupportedError: the operand is not known, so that even the place of the result's axes is not.
    """
    fact = operands[index]
    if fact is None:
        return None
    sizes = fact.sizes()
    if sizes is None:
        raise UnsupportedError("its axes are computed from values", hint="make the axes a constant")
    axes: list[int] = []
    for axis in sizes:
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise ModelError(f"axis {axis} is outside a tensor of rank {rank}")
        axes.append(axis % rank)
    if len(set(axes)) != len(axes):
        raise ModelError(f"axes {list(sizes)} name one axis twice")
    return tuple(axes)


_MAX_LENGTH = 1 << 16


def known_length(fact: Fact, what: str) -> int:
    """Number of elements of a rank 1 operand, which decides a rank.

    Raises:
        ModelError: it has another rank, or so many elements that a result would be listed without end.
        UnsupportedError: its length is not known.
    """
    if fact.rank != 1:
        raise ModelError(f"{what} must have rank 1, got shape {fact.type}")
    length = fact.shape[0]
    if not isinstance(length, int):
        raise UnsupportedError(f"the length of {what} is not known, so the rank of the result is not either")
    if length > _MAX_LENGTH:
        raise ModelError(f"{what} has {length} elements, more than {_MAX_LENGTH}")
    return length


def same_size(a: Dim, b: Dim, what: str) -> Dim:
    """The size that two axes have in common; of a number and a symbol the number.

    Raises:
        ModelError: two different numbers.
    """
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise ModelError(f"{what}: {a} against {b}")
    return a if isinstance(a, int) else b
