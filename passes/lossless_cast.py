"""Which casts lose nothing: every value of one element type has its own in the other."""

from __future__ import annotations

from cnnc.types import DType

_SIGNIFICANT_BITS = {DType.F16: 11, DType.BF16: 8, DType.F32: 24, DType.F64: 53}
_WIDER_FLOATS = {
    DType.F16: (DType.F32, DType.F64),
    DType.BF16: (DType.F32, DType.F64),
    DType.F32: (DType.F64,),
    DType.F64: (),
}


def is_lossless(source: DType, target: DType) -> bool:
    """Whether a cast to ``target`` and back gives every value of ``source`` again."""
    if source is target or source is DType.BOOL:
        return True
    if target is DType.BOOL:
        return False
    if source.is_float:
        return target in _WIDER_FLOATS[source]
    bits, signed = _integer(source)
    if target.is_float:
        return bits <= _SIGNIFICANT_BITS[target]
    target_bits, target_signed = _integer(target)
    return target_bits >= bits and (target_signed or not signed)


def _integer(dtype: DType) -> tuple[int, bool]:
    """Value bits without the sign, and whether there is a sign."""
    signed = dtype.value[0] == "i"
    return dtype.size * 8 - signed, signed
