"""The ops of the IR: one module per family, joined into one table."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from cnnc.errors import InternalError, UnsupportedError
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
    """Ops by name, loaded from the family modules on first use."""

    def __init__(self) -> None:
        self._ops: dict[str, OpDef] = {}

    def _load(self) -> dict[str, OpDef]:
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
        op = self._load().get(name)
        if op is None:
            raise UnsupportedError(f"there is no op {name!r} in the IR", hint="cnnc.ops lists them")
        return op

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())


OPS = OpRegistry()
"""The op table that graphs are made with."""
