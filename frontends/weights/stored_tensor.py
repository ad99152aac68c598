"""Where a tensor lies in its file, and the array that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np

from cnnc.errors import ModelError
from cnnc.frozen_dataclass import dataclass
from cnnc.ir.fact import Array
from cnnc.runtime.aligned_memory import Bytes

MAX_RANK = 64
"""NumPy's bound."""
MAX_DIM = 1 << 48
MAX_TENSOR_BYTES = 1 << 62
DAMAGED = "the file is damaged or incomplete: download or save it again"


class StoredTensor(Protocol):
    """What a reader of a format knows of a tensor before its elements are read."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def array(self, data: Bytes, where: str) -> Array:
        """The tensor as a read-only array, ``data`` being the whole file.

        Raises:
            ModelError: its elements are damaged.
        """


@dataclass(frozen=True, slots=True)
class StridedTensor:
    """A tensor whose elements lie in the file as they are.

    Attributes:
        dtype: with the byte order of the file.
        strides: bytes between neighbours along each axis, none negative.
        start: byte of the file where the first element lies.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int

    def array(self, data: Bytes, where: str) -> Array:
        """A view of ``data`` where its elements can be used as they lie there, otherwise a copy."""
        view: Array = np.ndarray(self.shape, self.dtype, data.data, self.start, self.strides)
        return readable(view)


def readable(view: Array) -> Array:
    """The array read-only, aligned, in native byte order, its booleans 0 or 1: ``view`` itself if it is all that."""
    if view.dtype == np.bool_:
        # A byte that is neither 0 nor 1 would make two different true values.
        made: Array = np.not_equal(view.view(np.uint8), 0)
    elif view.dtype.isnative and view.flags.aligned:
        made = view
    else:
        made = view.astype(view.dtype.newbyteorder("="))
    made.flags.writeable = False
    return made


def contiguous_strides(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """Strides in bytes of a row-major array with elements of ``size`` bytes."""
    return tuple(size * prod(shape[axis + 1 :]) for axis in range(len(shape)))


def checked_shape(dims: object, dtype: np.dtype[Any], where: str) -> tuple[int, ...]:
    """``dims`` as a shape that an array of ``dtype`` can have.

    Raises:
        ModelError: not a list or tuple of sizes, or too many elements.
    """
    if not isinstance(dims, list | tuple) or len(dims) > MAX_RANK:
        raise ModelError(f"its shape is no list of at most {MAX_RANK} sizes", where=where, hint=DAMAGED)
    if any(type(dim) is not int or not 0 <= dim < MAX_DIM for dim in dims):
        raise ModelError("its shape has a dimension that is no size below 2^48", where=where, hint=DAMAGED)
    # NumPy multiplies the other dimensions even where one is zero.
    if prod(max(dim, 1) for dim in dims) * dtype.itemsize >= MAX_TENSOR_BYTES:
        raise ModelError(f"its shape {list(dims)} makes too many elements", where=where, hint=DAMAGED)
    return tuple(dims)
