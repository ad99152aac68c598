"""Facts shared by ``layout.plain_to_blocked`` and ``layout.blocked_to_plain`` on GPUs: threads, and lane -> channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import layout_conversion
from cnnc.runtime.cuda.flat_grid import THREAD_BYTES, blocks_for
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Params


def threads_of_position(params: Params) -> int:
    """Threads that share the lanes of a position."""
    return max(1, LANES * layout_conversion.element_size(params) // THREAD_BYTES)


def items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """Thread blocks."""
    return blocks_for(sizes["batch"] * sizes["blocks"] * sizes["positions"] * threads_of_position(params))


def channel_function() -> Any:
    """``channel_of(lane_map, lane, channels)`` for Numba CUDA code: -1 for padding. Imports numba."""
    from cnnc.runtime.cuda.intrinsics import INT, inlined
    from cnnc.runtime.cuda.memory_access import load_i32

    def channel_of(lane_map: int, lane: int, channels: int) -> Any:
        if lane_map != 0:
            return load_i32(lane_map + 4 * lane)
        return lane if lane < channels else -1

    return inlined(INT, [INT] * 3, channel_of)
