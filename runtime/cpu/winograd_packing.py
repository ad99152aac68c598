"""Transforms and packs convolution weights for ``conv.f32.blocked.winograd``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.cpu.conv_packing import PackedWeights, pack_weights
from cnnc.runtime.cpu.winograd_matrices import matrices


def pack_taps(
    w: NDArray[Any], lanes: int, blocks: int, groups: int = 1, input_lanes: Sequence[int] | None = None
) -> PackedWeights:
    """Pack ``w`` [OC, IC/groups, KD, KH, KW] (or fewer spatial axes) as it is, for tiles that transform it themselves.

    [output tile][segment][KD][input lane][KH][KW][block][lane]; arguments and segments as in ``pack_weights``, for one
    tap.
    """
    w = w.reshape(*w.shape[:2], *(1,) * (5 - w.ndim), *w.shape[2:])
    taps = [w[..., row, column] for row in range(w.shape[3]) for column in range(w.shape[4])]
    packed = [pack_weights(tap, lanes, blocks, groups, input_lanes) for tap in taps]
    by_tap = np.stack([tap.weights.reshape(-1, blocks * lanes) for tap in packed], axis=1, dtype=np.float32)
    return PackedWeights(by_tap.reshape(-1), packed[0].segments, packed[0].segment_count)


def pack_winograd(
    w: NDArray[Any],
    outputs: tuple[int, int],
    lanes: int,
    blocks: int,
    chunk_tiles: int,
    groups: int = 1,
    input_lanes: Sequence[int] | None = None,
) -> PackedWeights:
    """Pack ``w`` [OC, IC/groups, KD, KH, KW] (or fewer spatial axes) for tiles of ``outputs`` rows and columns.

    [chunk of ``chunk_tiles`` output tiles][position][output tile][segment][KD][input lane][block][lane], which is the
    order in which they are read; arguments and segments as in ``pack_weights``, for one position. The transform
    G g G^T is computed in float64 and rounded once.
    """
    w = w.reshape(*w.shape[:2], *(1,) * (5 - w.ndim), *w.shape[2:])
    vertical, horizontal = (matrices(m, r).filters for m, r in zip(outputs, w.shape[3:], strict=True))
    transform = np.kron(vertical, horizontal)  # [position, tap]
    by_tap = np.ascontiguousarray(np.moveaxis(w, (3, 4), (0, 1)), np.float32).reshape(-1, *w.shape[:3])
    packed = [pack_weights(tap, lanes, blocks, groups, input_lanes) for tap in by_tap]
    packed_taps = np.stack([tap.weights for tap in packed])
    tiles = -(-w.shape[0] // (lanes * blocks))
    begins = [int(offset) for offset in packed[0].segments[:tiles:chunk_tiles, 2]]
    weights = np.empty(len(transform) * packed_taps.shape[1], np.float32)
    end = 0
    for chunk in np.split(packed_taps, begins[1:], axis=1):
        begin, end = end, end + len(transform) * chunk.shape[1]
        weights[begin:end] = (transform @ chunk.astype(np.float64)).reshape(-1)
    return PackedWeights(weights, packed[0].segments, packed[0].segment_count)
