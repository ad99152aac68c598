"""Which converter handles which operator. Operators that are not here have an IR op of the same meaning, or a body."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.frontends.onnx import (
    activations,
    arithmetic,
    constants,
    convolutions,
    microsoft,
    microsoft_quantized,
    normalizations,
    reductions,
    resizing,
    shapes,
)
from cnnc.frontends.onnx.node import Converter

_DEFAULT_DOMAIN: Mapping[str, Converter] = {
    **activations.CONVERTERS,
    **arithmetic.CONVERTERS,
    **constants.CONVERTERS,
    **convolutions.CONVERTERS,
    **normalizations.CONVERTERS,
    **reductions.CONVERTERS,
    **resizing.CONVERTERS,
    **shapes.CONVERTERS,
}
CONVERTERS: Mapping[str, Mapping[str, Converter]] = {
    "": _DEFAULT_DOMAIN,
    "com.microsoft": {**microsoft.CONVERTERS, **microsoft_quantized.CONVERTERS},
}
"""Converters by domain and operator."""


def find_converter(domain: str, op_type: str) -> Converter | None:
    """The special converter of an operator, or None."""
    return CONVERTERS.get(domain, {}).get(op_type)
