"""The types that tensor cores multiply: how wide they are, how float32 is rounded to them, which GPUs have them.

    type   exponent  significand  range        rounding of a float32, as ``cvt`` does it
    tf32    8 bits    10 + 1 bits  of float32   to nearest, ties away from zero
    f16     5 bits    10 + 1 bits  to 65504     to nearest, ties to even; beyond the range to infinity
    bf16    8 bits     7 + 1 bits  of float32   to nearest, ties to even

Products of two are exact in float32; sums are float32. Tensors in memory are float32: inputs are rounded while they are
copied to shared memory, weights when they are packed. (NVIDIA, PTX ISA: cvt, mma.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.target import capability
from cnnc.runtime.kernel import Target
from cnnc.types import DType

WORD_BYTES = 4
"""Of a register of a fragment."""


@dataclass(frozen=True, slots=True)
class TensorPrecision:
    """A type of factors.

    Attributes:
        name: as the option ``precision`` says it, and PTX.
        bytes: of an element in shared memory.
        oldest: the compute capability that it takes, as two digits.
        limit: the largest float32 that does not round to infinity.
    """

    name: str
    bytes: int
    oldest: int
    limit: float

    @property
    def word_elements(self) -> int:
        """Neighbouring elements of a register."""
        return WORD_BYTES // self.bytes


def _float_of(bits: int) -> float:
    return float(np.uint32(bits).view(np.float32))


TENSOR_PRECISIONS = {
    known.name: known
    for known in (
        TensorPrecision("tf32", 4, 80, _float_of(0x7F7FEFFF)),
        TensorPrecision("f16", 2, 75, _float_of(0x477FEFFF)),
        TensorPrecision("bf16", 2, 80, _float_of(0x7F7F7FFF)),
    )
}
"""By name."""


def rounded_bits(values: NDArray[Any], precision: str) -> NDArray[Any]:
    """Floats rounded to a type, by way of float32, as bits: uint32 of tf32, uint16 of the others."""
    floats = np.asarray(values, np.float32)
    if precision == "tf32":
        bits = floats.view(np.uint32)
        nearest = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
        return np.where(np.isfinite(floats), nearest, bits)
    if precision == "bf16":
        return floats.astype(DType.BF16.numpy).view(np.uint16)
    with np.errstate(over="ignore"):
        return floats.astype(np.float16).view(np.uint16)


def rounded(values: NDArray[Any], precision: str) -> NDArray[np.float32]:
    """Floats rounded to a type, by way of float32, as float32."""
    bits = rounded_bits(values, precision)
    if precision == "tf32":
        return bits.view(np.float32)
    return bits.view(DType.BF16.numpy if precision == "bf16" else np.float16).astype(np.float32)


def precision_refusal(precision: str, target: Target) -> str | None:
    """Why a GPU's tensor cores do not multiply this type; None if they do."""
    oldest = TENSOR_PRECISIONS[precision].oldest
    major, minor = capability(target)
    if 10 * major + minor >= oldest:
        return None
    return f"tensor cores multiply {precision} from sm_{oldest} on, this is {target.cpu}"
