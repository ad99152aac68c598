"""Which weights go together: single ones, blocks of output channels, or some of each few input channels.

Weights are seen as [G, O, I, T]: group, output channel of the group, input channel of the group, tap of the window.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import OptionError

Bools = NDArray[np.bool_]
Counts = NDArray[np.uint16]
"""Weights of blocks: small numbers, of which there may be as many as a model has weights."""
Worth = NDArray[np.floating[Any]]

_HINT = "use unstructured, block4, or N:M such as 2:4"


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of ``size`` neighbouring output channels of a group that share an input channel and a tap; 1: no blocks.

    The first block of a group starts at its first channel. Where ``size`` does not divide the channels, the group's
    last block has those that are left.
    """

    size: int

    def scores(self, worth: Worth, p: float) -> Worth:
        """Worth of each block [G, ceil(O / size), I, T]: the mean of powers p of its weights' worth, to the 1/p.

        A mean, and no sum, so that a last block with fewer weights is not worth less for that.

        Args:
            worth: [G, O, I, T], nothing below 0.
        """
        if self.size == 1:
            return worth
        padded = np.pad(worth, ((0, 0), (0, -worth.shape[1] % self.size), (0, 0), (0, 0)))
        blocks = padded.reshape(len(worth), -1, self.size, *worth.shape[2:])
        peak = blocks.max(axis=2)
        if math.isinf(p):
            highest: Worth = peak
            return highest
        # Relative to the largest one, powers neither overflow nor vanish.
        relative = np.divide(blocks, peak[:, :, None], out=np.zeros_like(blocks), where=peak[:, :, None] > 0)
        sums = np.power(relative, p).sum(axis=2)
        means = sums / self.sizes(worth.shape[1])[:, None, None].astype(worth.dtype)
        scores: Worth = (peak * np.power(means, 1 / p)).astype(worth.dtype)
        return scores

    def sizes(self, channels: int) -> Counts:
        """Weights of each block of a group of so many output channels, [ceil(O / size)]."""
        starts = np.arange(0, channels, self.size)
        return np.minimum(self.size, channels - starts).astype(np.uint16)

    def mask(self, kept: Bools, channels: int) -> Bools:
        """Which weights [G, O, I, T] are in blocks [G, B, I, T] that are kept."""
        return np.repeat(kept, self.size, axis=1)[:, :channels]


@dataclass(frozen=True, slots=True)
class NofM:
    """``kept`` of every ``size`` consecutive input channels, for each output channel and tap.

    Of a matrix product these are rows of its K axis: 2:4 is the pattern of sparse tensor cores.

    Source: Mishra et al., Accelerating Sparse Deep Neural Networks, 2021, section 3.
    """

    kept: int
    size: int

    def refusal(self, channels: int) -> str | None:
        """Why weights that read so many input channels a group stay dense."""
        if channels % self.size:
            return f"{channels} input channels a group are no multiple of {self.size}"
        return None

    def mask(self, worth: Worth) -> Bools:
        """The weights [G, O, I, T] of most worth; of equal ones, those of the first channels."""
        groups, outputs, inputs, taps = worth.shape
        split = worth.reshape(groups, outputs, inputs // self.size, self.size, taps)
        order = np.argsort(np.negative(split), axis=3, kind="stable")
        kept = np.zeros(split.shape, bool)
        np.put_along_axis(kept, order[:, :, :, : self.kept], True, axis=3)
        return kept.reshape(worth.shape)


Pattern = Blocks | NofM


def parse_pattern(text: str) -> Pattern:
    """The pattern of that name.

    Raises:
        OptionError: there is none, or it makes no sense.
    """
    if text == "unstructured":
        return Blocks(1)
    if found := re.fullmatch(r"block([0-9]{1,3})", text):
        size = int(found[1])
        if size < 2:
            raise OptionError(f"blocks of {size} channels are none", where="pattern", hint=_HINT)
        return Blocks(size)
    if found := re.fullmatch(r"([0-9]{1,3}):([0-9]{1,3})", text):
        kept, size = int(found[1]), int(found[2])
        if not 0 < kept < size:
            raise OptionError(f"{kept} of {size} leaves nothing to prune, or nothing", where="pattern", hint=_HINT)
        return NofM(kept, size)
    if text == "channel":
        raise OptionError("whole channels leave the model", where="pattern", hint="call cnnc.prune_channels")
    raise OptionError(f"there is no pattern {text!r}", where="pattern", hint=_HINT)
