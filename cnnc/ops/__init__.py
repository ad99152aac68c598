"""The ops of the IR: one module per family, joined into one table."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from cnnc.errors import InternalError, UnsupportedError
from cnnc.extension_points import ExtensionPoint
from cnnc.ops.opdef import OpDef

_FAMILIES = (
    "arithmetic",
    "elementwise_chain",
    "conv",
    "layout",
    "normalization",
    "pool",
    "bitwise",
    "comparison",
    "conversion",
    "elementary",
    "gathering",
    "generation",
    "linear",
    "nonlinearity",
    "reduction",
    "reshaping",
    "selection",
    "slicing",
    "softmax",
    "quantization",
    "quantized",
    "resize",
    "detection",
    "recurrent",
    "sampling",
)
"""Modules of this package, each with a tuple ``OPS`` of its definitions."""


class OpRegistry:
    """Ops by name: cnnc's own, loaded from the family modules on first use, and those of other packages."""

    def __init__(self) -> None:
        self._ops: dict[str, OpDef] = {}

    def own(self) -> dict[str, OpDef]:
        """The ops of cnnc itself."""
        if not self._ops:
            ops: dict[str, OpDef] = {}
            for family in _FAMILIES:
                for op in importlib.import_module(f"cnnc.ops.{family}").OPS:
                    if op.name in ops:
                        raise InternalError(f"op {op.name} is defined twice")
                    ops[op.name] = op
            self._ops = ops
        return self._ops

    def __getitem__(self, name: str) -> OpDef:
        op = self.own().get(name) or EXTENSIONS.find(name)
        if op is None:
            raise UnsupportedError(f"there is no op {name!r} in the IR", hint="cnnc.ops lists them")
        return op

    def __contains__(self, name: object) -> bool:
        return name in self.own() or (isinstance(name, str) and EXTENSIONS.find(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter((*self.own(), *EXTENSIONS.names()))


OPS = OpRegistry()
"""The op table that graphs are made with."""


def _refusal(name: str, thing: Any) -> str | None:
    if not isinstance(thing, OpDef):
        return f"it is a {type(thing).__name__}, not an OpDef"
    return None if thing.name == name else f"the op calls itself {thing.name!r}"


EXTENSIONS: ExtensionPoint[OpDef] = ExtensionPoint("cnnc.ops", "op", _refusal, own=lambda: OPS.own().keys())
"""Ops of other packages."""
