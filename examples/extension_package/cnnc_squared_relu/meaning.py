"""What the op means, in NumPy: the truth that the kernel is tested against, and what runs where no kernel does."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def squared_relu(x: NDArray[Any]) -> NDArray[Any]:
    """max(x, 0) ** 2, of any shape and float type; NaN stays NaN."""
    positive = np.maximum(x, np.zeros((), x.dtype))
    return positive * positive
