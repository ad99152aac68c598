"""Sliding windows over symbolic shapes: what ``conv``, the pools and their lowering share.

The arithmetic itself lives in ``cnnc.runtime.host.window``, which the NumPy references use on plain ints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cnnc.dims import Dim
from cnnc.runtime.host.window import Window, resolve_transpose, resolve_window, window_count


class WindowAttrs(Protocol):
    """Attributes that every sliding window has; empty tuples mean the defaults."""

    @property
    def auto_pad(self) -> str: ...
    @property
    def pads(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def dilations(self) -> tuple[int, ...]: ...


def window_of(attrs: WindowAttrs, spatial: Sequence[Dim], kernel: Sequence[Dim]) -> Window:
    """The resolved window of a node over an input whose spatial shape is ``spatial``.

    Raises:
        ModelError: attributes and sizes that contradict each other.
    """
    ceil_mode = bool(getattr(attrs, "ceil_mode", 0))
    return resolve_window(spatial, kernel, attrs.strides, attrs.dilations, attrs.pads, attrs.auto_pad, ceil_mode)


def resolve_pads(
    attrs: WindowAttrs, spatial: Sequence[Dim], kernel: Sequence[Dim]
) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
    """Padding (begins, ends) per spatial axis, ``auto_pad`` resolved."""
    window = window_of(attrs, spatial, kernel)
    return window.begins, window.ends


def output_size(attrs: WindowAttrs, spatial: Sequence[Dim], kernel: Sequence[Dim]) -> tuple[Dim, ...]:
    """Window positions per spatial axis, ``ceil_mode`` included."""
    return window_of(attrs, spatial, kernel).output


__all__ = [
    "Window",
    "WindowAttrs",
    "output_size",
    "resolve_pads",
    "resolve_transpose",
    "resolve_window",
    "window_count",
    "window_of",
]
