"""What every rule for tensor cores asks: a precision that has been asked for, and weights that it can hold."""

from __future__ import annotations

import numpy as np

from cnnc.ir import Array
from cnnc.lower.builder import ProgramBuilder
from cnnc.runtime.cuda.tensor_precision import TENSOR_PRECISIONS


def tensor_refusal(builder: ProgramBuilder) -> str | None:
    """Why the program multiplies nothing on tensor cores."""
    return "the precision is f32" if builder.numerics.precision not in TENSOR_PRECISIONS else None


def weights_refusal(weights: Array, builder: ProgramBuilder, scale: float = 1.0) -> str | None:
    """Why weights cannot be stored in the precision: finite ones would become infinite."""
    precision = builder.numerics.precision
    largest = float(np.max(np.abs(weights), initial=0)) * abs(scale)
    if largest <= TENSOR_PRECISIONS[precision].limit:
        return None
    return f"a weight of {largest:.3g} is beyond the range of {precision}"
