"""Transposed convolutions as ordinary ones: outputs of equal (o mod stride) are a *phase*.

Output o of an axis reads the inputs i with i * stride + k * dilation - begin = o. In the phase r, o = q * stride + r,
the taps that read anything are every (stride / g)-th, g being the greatest common divisor of stride and dilation, if
g divides r + begin at all. From one of them to the next the input moves back by dilation / g: a phase is a convolution
of stride 1 and dilation -dilation / g over some of the taps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.conv_packing import InputBlocks, pack_weights
from cnnc.runtime.cuda.target import LANES

PHASE_BYTES = 48
"""Of a row of the table: 12 int32. Where its weights begin, in rows of 8 x channels of a tile; its taps; the window and
the begins along three axes; the first output along three axes; 0. A phase without taps has a window of 1."""


@dataclass(frozen=True, slots=True)
class AxisPhase:
    """Outputs first, first + stride, ... of an axis read inputs q - begin + dilation * j with tap ``taps[j]``."""

    first: int
    taps: tuple[int, ...]
    begin: int


def axis_phases(kernel: int, stride: int, dilation: int, begin: int) -> tuple[AxisPhase, ...]:
    """The phases of an axis, 0 to stride - 1; ``begin`` is ONNX's pad at the beginning."""
    found = []
    for first in range(stride):
        taps = [tap for tap in range(kernel) if (first + begin - tap * dilation) % stride == 0]
        start = -((first + begin - taps[0] * dilation) // stride) if taps else 0
        found.append(AxisPhase(first, tuple(taps), start))
    return tuple(found)


def phase_dilation(stride: int, dilation: int) -> int:
    """From one tap of a phase to the next."""
    return -dilation // math.gcd(stride, dilation)


@dataclass(frozen=True, slots=True)
class Phases:
    """``weights`` of all phases, packed for tiles of so many channels, and the ``table`` [phase][12], int32."""

    weights: NDArray[np.float32]
    table: NDArray[np.int32]


def pack_phases(
    weights: NDArray[np.float32],
    source: InputBlocks,
    channels: int,
    strides: Sequence[int],
    dilations: Sequence[int],
    begins: Sequence[int],
) -> Phases:
    """Phases of a transposed convolution, ``weights`` being [OC, IC/groups, KD, KH, KW].

    Args:
        channels: of a tile of outputs.
        strides, dilations, begins: along three axes.
    """
    axes = [axis_phases(*facts) for facts in zip(weights.shape[2:], strides, dilations, begins, strict=True)]
    parts: list[NDArray[np.float32]] = []
    rows: list[list[int]] = []
    packed_rows = 0
    for combined in product(*axes):
        taps = weights
        for axis, phase in enumerate(combined, 2):
            taps = taps.take(phase.taps, axis)
        part = pack_weights(taps, source, channels)
        counts = [len(phase.taps) for phase in combined]
        window = counts if math.prod(counts) else [1, 1, 1]
        facts = [phase.begin for phase in combined] + [phase.first for phase in combined]
        rows.append([packed_rows, math.prod(counts), *window, *facts, 0])
        packed_rows += part.size // (LANES * channels)
        parts.append(part)
    return Phases(np.concatenate(parts), np.array(rows, np.int32))
