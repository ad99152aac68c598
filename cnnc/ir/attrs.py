"""Attributes of a node: a frozen dataclass per op, with fields of a few plain kinds.

A field is an int, float, str, bool, ``DType``, ``Layout``, ``None``, a nested ``Attrs``, or a tuple of these: nothing
mutable, so attributes hash, compare, print and parse back exactly.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from cnnc.types import DType, Layout


@dataclass(frozen=True, slots=True)
class Attrs:
    """Base of all attribute classes; itself the attributes of an op that has none."""

    def keywords(self) -> dict[str, Any]:
        """Fields as keyword arguments of the op's NumPy reference: plain data, a DType as its name."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


NO_ATTRS = Attrs()


def _plain(value: Any) -> Any:
    if isinstance(value, DType):
        return value.value
    if isinstance(value, Layout):
        return str(value)
    if isinstance(value, Attrs):
        return tuple(_plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value
