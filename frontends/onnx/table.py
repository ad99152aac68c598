"""Which converter handles which operator. Operators that are not here have an IR op of the same meaning, or a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnc.extension_points import ExtensionPoint
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


def _refusal(name: str, thing: Any) -> str | None:
    if "." not in name:
        return "a converter is named by domain and operator: com.example.HardGate"
    return None if callable(thing) else f"a {type(thing).__name__} cannot be called"


EXTENSIONS: ExtensionPoint[Converter] = ExtensionPoint(
    "cnnc.onnx_converters",
    "ONNX converter",
    _refusal,
    own=lambda: [f"{domain or 'ai.onnx'}.{op_type}" for domain, table in CONVERTERS.items() for op_type in table],
)
"""Converters of other packages, by domain and operator: ``com.example.HardGate``."""


def find_converter(domain: str, op_type: str) -> Converter | None:
    """The special converter of an operator, or None; that of another package where cnnc has none itself.

    Raises:
        ExtensionError: the package that offers it is broken.
    """
    own = CONVERTERS.get(domain, {}).get(op_type)
    return own if own is not None or not domain else EXTENSIONS.find(f"{domain}.{op_type}")


def knows_domain(domain: str) -> bool:
    """Whether operators of a domain are looked at: cnnc's own domains, and those that a converter is offered for."""
    return domain in CONVERTERS or any(name.rpartition(".")[0] == domain for name in EXTENSIONS.names())
