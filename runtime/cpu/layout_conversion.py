"""Facts shared by ``layout.plain_to_blocked`` and ``layout.blocked_to_plain``: argument block, items, footprint.

Plain is [N, C, S] (S: all spatial axes as one), blocked is [N, blocks, S, L], with L the target's lanes and the
parameter ``lanes``. Elements are float32, or bytes with the parameter ``size`` 1. The optional buffer ``map`` (address
0: lane c is channel c, lanes from C on are padding) holds an int32 for each of the ``blocks * L`` lanes: its channel,
or -1 for padding. With a map, channels may be in any order, and pieces of a concat padded each. ``plain_batch`` and
``blocked_batch`` are the elements from one image to the next, so that either side may be a range of channels of a
larger tensor.

Work item: 1024 positions of one block.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, Params

POSITIONS = 1024
SIZES = ("batch", "channels", "positions", "blocks", "plain_batch", "blocked_batch", "has_map")


def arguments(
    batch: Dim, channels: Dim, positions: Dim, blocks: Dim, lanes: int, has_map: bool = False
) -> dict[str, Dim]:
    """Size slots for whole tensors: N, C, S, and the blocked side's number of blocks."""
    return {
        "batch": batch,
        "channels": channels,
        "positions": positions,
        "blocks": blocks,
        "plain_batch": channels * positions,
        "blocked_batch": blocks * positions * lanes,
        "has_map": int(has_map),
    }


def element_size(params: Params) -> int:
    """Bytes an element."""
    return int(params.get("size", 4))


def items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """Chunks of positions of every block of every image."""
    return sizes["batch"] * sizes["blocks"] * ceil_div(sizes["positions"], POSITIONS)


def accesses(sizes: Mapping[str, int], params: Params, plain: str, blocked: str, written: str) -> tuple[Access, ...]:
    """Byte ranges of the plain and the blocked side and of the map."""
    lanes, size = int(params["lanes"]), element_size(params)
    batch, positions = sizes["batch"], sizes["positions"]
    extents = {
        plain: (sizes["plain_batch"], sizes["channels"] * positions),
        blocked: (sizes["blocked_batch"], sizes["blocks"] * positions * lanes),
    }
    ranges = [
        Access(name, 0, size * ((batch - 1) * step + image) if batch and image else 0, name == written)
        for name, (step, image) in extents.items()
    ]
    if sizes["has_map"]:
        ranges.append(Access("map", 0, 4 * sizes["blocks"] * lanes, False))
    return tuple(ranges)
