"""Change of element type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.types import DType

Array = NDArray[Any]


def cast(x: Array, *, to: str, saturate: int = 1, round_mode: str = "up") -> Array:
    """x as element type ``to``. Floats truncate towards zero to integers; integers wrap; non-zero is true.

    ``saturate`` and ``round_mode`` only concern 8-bit floats, which cnnc has no element type for. A float that the
    integer type cannot hold has no defined result.
    """
    return x.astype(DType(to).numpy)


def cast_like(x: Array, target: Array, *, saturate: int = 1, round_mode: str = "up") -> Array:
    """x as the element type of ``target``, by the rules of ``cast``."""
    return x.astype(target.dtype)


def identity(x: Array) -> Array:
    """x itself."""
    return np.asarray(x)
