"""How kernels may compute: the freedom that they have in rounding, by optimization level."""

from __future__ import annotations

from dataclasses import dataclass

WINOGRAD_CHOICES = ("auto", "off", "f2", "f4")
STRASSEN_CHOICES = ("auto", "off", "on")
PRECISION_CHOICES = ("f32", "tf32", "f16", "bf16")


@dataclass(frozen=True, slots=True)
class Numerics:
    """What a lowering may do to the last bits of a result.

    Args:
        wide_sums: convolutions and matrix products of float32 add up in float64. Such kernels take two to three times
            as long; their results are the exact sums, rounded once.
        winograd: ``off``; ``f2`` or ``f4``: this variant wherever it can be; ``auto``: where it is faster and its error
            bound allows.
        strassen: ``off``; ``on``: wherever it can be; ``auto``: where it is faster and its error bound allows.
        precision: ``f32``; ``bf16``: operands of convolutions may be rounded to bfloat16 where that is faster, and
            weights of matrix products are stored so; sums and tensors are float32. On GPUs also ``tf32`` and ``f16``,
            and operands of matrix products are rounded too.
    """

    wide_sums: bool = False
    winograd: str = "auto"
    strassen: str = "auto"
    precision: str = "f32"

    @property
    def sum_params(self) -> dict[str, int | str]:
        """The compile-time parameter of register tiles; float32 sums go without."""
        return {"sums": "f64"} if self.wide_sums else {}


def numerics_of_level(level: int, winograd: str = "auto", strassen: str = "auto", precision: str = "f32") -> Numerics:
    """Levels 0 and 1 keep results to float32 rounding: float64 sums, and neither Winograd's nor Strassen's method."""
    if level < 2:
        return Numerics(wide_sums=True, winograd="off", strassen="off")
    return Numerics(winograd=winograd, strassen=strassen, precision=precision)


DEFAULT_NUMERICS = numerics_of_level(2)
