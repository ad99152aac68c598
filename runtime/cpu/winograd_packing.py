"""Transforms and packs convolution weights for ``conv.f32.blocked.winograd``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.cpu.conv_packing import PackedWeights, pack_weights
from cnnc.runtime.cpu.winograd_matrices import matrices


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
    w = np.asarray(w, np.float64)
    w = w.reshape(*w.shape[:2], *(1,) * (5 - w.ndim), *w.shape[2:])
    vertical, horizontal = (matrices(m, r).filters for m, r in zip(outputs, w.shape[3:], strict=True))
    at_positions = np.einsum("ocdkl,ik,jl->ijocd", w, vertical, horizontal).reshape(-1, *w.shape[:3])
    packed = [pack_weights(position, lanes, blocks, groups, input_lanes) for position in at_positions]
    by_position = np.stack([position.weights for position in packed])
    tiles = -(-w.shape[0] // (lanes * blocks))
    begins = [int(offset) for offset in packed[0].segments[:tiles:chunk_tiles, 2]]
    chunks = np.split(by_position, begins[1:], axis=1)
    weights = np.concatenate([chunk.reshape(-1) for chunk in chunks])
    return PackedWeights(weights, packed[0].segments, packed[0].segment_count)
