"""What a linked kernel is: bytes to map, and where to enter them."""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Blob:
    """Machine code with its constants; runs at any 64-byte-aligned address. ``entry`` is the offset of the kernel."""

    code: bytes
    entry: int
