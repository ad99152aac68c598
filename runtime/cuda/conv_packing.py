"""Weights of convolutions in the order in which ``conv.f32.implicit_gemm`` uses them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.target import LANES


@dataclass(frozen=True, slots=True)
class InputBlocks:
    """The blocks of channels that a convolution reads.

    Attributes:
        lane_of: the physical lane of every input channel, group by group.
        groups: of channels; each has blocks of its own.
    """

    lane_of: tuple[int, ...]
    groups: int

    @property
    def blocks(self) -> int:
        """Of a group."""
        return -(-(self.lane_of[-1] + 1) // (LANES * self.groups))

    @property
    def counts(self) -> NDArray[np.int32]:
        """Channels in each block of all groups. They are its first lanes; nothing is known of the others."""
        return np.bincount(np.asarray(self.lane_of) // LANES, minlength=self.blocks * self.groups).astype(np.int32)

    @property
    def refusal(self) -> str | None:
        """Why groups do not have as many whole blocks each, or channels are not the first lanes of theirs."""
        lanes = np.asarray(self.lane_of)
        expected = np.repeat(np.arange(self.groups), len(lanes) // self.groups)
        if not np.array_equal(lanes // (LANES * self.blocks), expected):
            return "its groups are no whole blocks of input channels"
        if not np.all(lanes % LANES < self.counts[lanes // LANES]):
            return "its input channels do not begin with the first lane of their block"
        return None


def pack_weights(weights: NDArray[Any], source: InputBlocks, channels: int) -> NDArray[np.float32]:
    """[OC, IC/groups, *K] as [group][tile][tap][block][8][channels of a tile]; absent channels weigh 0.

    Args:
        channels: of a tile of outputs.
    """
    groups, blocks = source.groups, source.blocks
    oc, ic = weights.shape[0] // groups, weights.shape[1]
    taps = int(np.prod(weights.shape[2:]))
    tiles = -(-oc // channels)
    padded = np.zeros((groups, tiles * channels, blocks * LANES, taps), np.float32)
    for group in range(groups):
        lanes = np.asarray(source.lane_of[group * ic : (group + 1) * ic]) - group * blocks * LANES
        padded[group, :oc, lanes] = weights[group * oc : (group + 1) * oc].reshape(oc, ic, taps).swapaxes(0, 1)
    ordered = padded.reshape(groups, tiles, channels, blocks, LANES, taps).transpose(0, 1, 5, 3, 4, 2)
    return np.ascontiguousarray(ordered).reshape(-1)
