"""Where the lanes of a machine are in its grid, and the special registers that say it to programs.

What a program does not ask for is not computed: machine code runs a warp in the time in which NumPy makes a few arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from cnnc.ptx.registers import WARP

Array = np.ndarray[Any, Any]
Dimensions = tuple[int, int, int]


class Lanes:
    """All threads of some blocks, block by block, each padded to whole warps.

    Args:
        blocks: numbers of the blocks in the grid.
        padded: lanes of a block, a multiple of 32.
    """

    def __init__(self, blocks: Sequence[int], padded: int) -> None:
        self.blocks, self.padded = np.asarray(blocks), padded

    @cached_property
    def thread_of(self) -> Array:
        """Number of every lane's thread in its block."""
        return np.tile(np.arange(self.padded), len(self.blocks))

    @cached_property
    def block_of(self) -> Array:
        """Place of every lane's block among those that run together."""
        return np.repeat(np.arange(len(self.blocks)), self.padded)

    @cached_property
    def block_number(self) -> Array:
        """Number of every lane's block in the grid."""
        return np.repeat(self.blocks, self.padded)

    @cached_property
    def lane_of(self) -> Array:
        """Place of every lane in its warp."""
        return (self.thread_of % WARP).astype(np.uint32)

    @cached_property
    def warp_of(self) -> Array:
        """Number of every lane's warp among those that run together."""
        return np.arange(len(self.blocks) * self.padded) // WARP

    def mask(self, name: str) -> Array:
        """``%lanemask_eq`` and its like by its last letters."""
        bit = np.uint64(1) << self.lane_of.astype(np.uint64)
        up_to = bit | (bit - np.uint64(1))
        masks = {"eq": bit, "lt": bit - np.uint64(1), "le": up_to, "gt": ~up_to, "ge": ~(bit - np.uint64(1))}
        return masks[name] & np.uint64(0xFFFFFFFF)


def special_registers(
    lanes: Lanes, grid: Dimensions, block: Dimensions, static_shared: int, dynamic_shared: int
) -> Mapping[str, Callable[[], Any]]:
    """By name what gives a special register's value, in every lane or one for all.

    Args:
        grid, block: their sizes along x, y and z.
        static_shared, dynamic_shared: bytes of shared memory of a block.
    """
    width, height, _ = block
    columns, rows, _ = grid
    found: dict[str, Callable[[], Any]] = {
        "%tid.x": lambda: lanes.thread_of % width,
        "%tid.y": lambda: lanes.thread_of // width % height,
        "%tid.z": lambda: lanes.thread_of // (width * height),
        "%ctaid.x": lambda: lanes.block_number % columns,
        "%ctaid.y": lambda: lanes.block_number // columns % rows,
        "%ctaid.z": lambda: lanes.block_number // (columns * rows),
        "%laneid": lambda: lanes.lane_of,
        "%warpid": lambda: lanes.thread_of // WARP,
        "%nwarpid": lambda: lanes.padded // WARP,
        "%smid": lambda: 0,
        "%nsmid": lambda: 1,
        "%gridid": lambda: 0,
        "%dynamic_smem_size": lambda: dynamic_shared,
        "%total_smem_size": lambda: static_shared + dynamic_shared,
        "WARP_SZ": lambda: WARP,
    }
    for number, axis in enumerate("xyz"):
        found[f"%ntid.{axis}"] = lambda number=number: block[number]  # type: ignore[misc]
        found[f"%nctaid.{axis}"] = lambda number=number: grid[number]  # type: ignore[misc]
    for name in ("eq", "lt", "le", "gt", "ge"):
        found[f"%lanemask_{name}"] = lambda name=name: lanes.mask(name)  # type: ignore[misc]
    return found
