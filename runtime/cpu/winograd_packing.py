"""Transforms and packs convolution weights for ``conv.f32.blocked.winograd`` and ``conv.u8.blocked.winograd``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.cpu.conv_packing import PackedWeights, pack_pair_weights, pack_weights
from cnnc.runtime.cpu.winograd_integers import WINDOW, integer_matrices
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
    packed = [pack_weights(tap, lanes, blocks, groups, input_lanes) for tap in _by_tap(w)]
    return _by_chunk(
        packed, -(-w.shape[0] // (lanes * blocks)), chunk_tiles, len(transform),
        lambda taps: (transform @ taps.astype(np.float64)).astype(np.float32),
    )  # fmt: skip


def pack_integer_winograd(
    w: NDArray[Any],
    outputs: tuple[int, int],
    lanes: int,
    blocks: int,
    chunk_tiles: int,
    groups: int = 1,
    input_lanes: Sequence[int] | None = None,
) -> PackedWeights:
    """As ``pack_winograd`` for ``conv.u8.blocked.winograd``: ``w`` int8 [OC, IC/groups, 3, 3], transformed to int16.

    [chunk of ``chunk_tiles`` output tiles][position][output tile][segment][pair of input lanes][block][lane][2], as
    words of 32 bits.
    """
    transform = np.kron(*(integer_matrices(m, WINDOW).filters for m in outputs)).astype(np.float32)
    packed = [pack_pair_weights(tap, lanes, blocks, groups, input_lanes) for tap in _by_tap(w[:, :, None])]

    def transformed(taps: NDArray[Any]) -> NDArray[Any]:
        # Integers below 2^15, which float32 holds exactly.
        return (transform @ taps.view(np.int16).astype(np.float32)).astype(np.int16).view(np.int32)

    return _by_chunk(packed, -(-w.shape[0] // (lanes * blocks)), chunk_tiles, len(transform), transformed)


def _by_tap(w: NDArray[Any]) -> NDArray[Any]:
    """[tap, OC, IC/groups, KD]."""
    return np.ascontiguousarray(np.moveaxis(w, (3, 4), (0, 1))).reshape(-1, *w.shape[:3])


def _by_chunk(
    packed: Sequence[PackedWeights],
    tiles: int,
    chunk_tiles: int,
    positions: int,
    transform: Callable[[NDArray[Any]], NDArray[Any]],
) -> PackedWeights:
    """The weights of all taps, [tap, word] of each chunk of output tiles transformed to [position, word]."""
    taps = np.stack([tap.weights for tap in packed])
    begins = [int(offset) for offset in packed[0].segments[:tiles:chunk_tiles, 2]]
    weights = np.empty(positions * taps.shape[1], taps.dtype)
    end = 0
    for chunk in np.split(taps, begins[1:], axis=1):
        begin, end = end, end + positions * chunk.shape[1]
        weights[begin:end] = transform(np.ascontiguousarray(chunk)).reshape(-1)
    return PackedWeights(weights, packed[0].segments, packed[0].segment_count)
