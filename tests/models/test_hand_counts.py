"""Counts of networks, added up by hand from the tables of their papers.

A row is (weights, positions, others): a layer with that many weights, each used once at so many positions of its map,
and other numbers beside them: one bias an output, or the two numbers of a normalization. A transposed convolution uses
its weights once for each pixel of its input.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from cnnc import models

Row = tuple[int, int, int]


def _chain(channels: list[int], window: int, pixels: int, others: int) -> list[Row]:
    """Convolutions from each number of channels to the next; ``others`` for each of their outputs."""
    return [(before * after * window, pixels, others * after) for before, after in pairwise(channels)]


def _unet() -> list[Row]:
    rows = _chain([3, 64, 64], 9, 256**2, 2)
    for scale in range(1, 5):
        width = 64 << scale
        rows += _chain([width // 2, width, width], 9, (256 >> scale) ** 2, 2)
    for scale in range(3, -1, -1):
        width, pixels = 64 << scale, (256 >> scale) ** 2
        rows += _chain([2 * width, width], 4, pixels // 4, 1)
        rows += _chain([2 * width, width, width], 9, pixels, 2)
    return rows + _chain([64, 1], 1, 256**2, 1)


def _unet3d() -> list[Row]:
    voxels = [32 * 64 * 64 >> 3 * scale for scale in range(4)]
    rows = []
    for scale, channels in enumerate([[3, 32, 64], [64, 64, 128], [128, 128, 256], [256, 256, 512]]):
        rows += _chain(channels, 27, voxels[scale], 1)
    for scale, (below, skip) in zip((2, 1, 0), [(512, 256), (256, 128), (128, 64)]):
        rows += _chain([below, below], 8, voxels[scale + 1], 0)
        rows += _chain([below + skip, skip, skip], 27, voxels[scale], 1)
    return rows + _chain([64, 3], 1, voxels[0], 1)


def _fcn(stride: int) -> list[Row]:
    # The first convolution pads by 100: 224 + 200 - 2 pixels. Pools round up.
    sides = [422, 211, 106, 53, 27]
    stages = [[3, 64, 64], [64, 128, 128], [128, 256, 256, 256], [256, 512, 512, 512], [512, 512, 512, 512]]
    rows = [row for side, channels in zip(sides, stages) for row in _chain(channels, 9, side**2, 1)]
    rows += _chain([512, 4096], 49, 8**2, 1) + _chain([4096, 4096, 21], 1, 8**2, 1)
    finest = 8
    if stride <= 16:
        rows += _chain([21, 21], 16, 8**2, 0) + _chain([512, 21], 1, 27**2, 1)
        finest = 18
    if stride <= 8:
        rows += _chain([21, 21], 16, 18**2, 0) + _chain([256, 21], 1, 53**2, 1)
        finest = 38
    bilinear = 21 * (2 * stride) ** 2
    return [*rows, (bilinear, finest**2, -bilinear)]  # not trained


def _sppnet() -> list[Row]:
    rows = _chain([3, 96], 49, 112**2, 1) + _chain([96, 256], 25, 27**2, 1)
    rows += _chain([256, 384, 384, 256], 9, 13**2, 1)
    return rows + _chain([256 * (36 + 9 + 4 + 1), 4096, 4096, 1000], 1, 1, 1)


def _dncnn() -> list[Row]:
    pixels = 256**2
    return _chain([1, 64], 9, pixels, 0) + _chain([64] * 16, 9, pixels, 2) + _chain([64, 1], 9, pixels, 0)


def _ct3d() -> list[Row]:
    voxels = [62 * 126 * 126, 29 * 61 * 61, 12 * 28 * 28, 4 * 12 * 12]
    steps = zip(pairwise([1, 64, 64, 128, 256]), voxels)
    rows = [row for channels, size in steps for row in _chain(list(channels), 27, size, 3)]
    return rows + _chain([256, 512, 1], 1, 1, 1)


def _radar1d() -> list[Row]:
    rows = _chain([1, 32], 9, 256, 2) + _chain([32, 64], 5, 128, 2) + _chain([64, 128], 3, 64, 2)
    return rows + _chain([128 * 32, 256, 3], 1, 1, 1)


def _tiny_yolov3() -> list[Row]:
    trunk = pairwise([3, 16, 32, 64, 128, 256, 512, 1024])
    sides = [416, 208, 104, 52, 26, 13, 13]
    rows = [row for channels, side in zip(trunk, sides) for row in _chain(list(channels), 9, side**2, 2)]
    rows += _chain([1024, 256], 1, 13**2, 2) + _chain([256, 512], 9, 13**2, 2) + _chain([512, 255], 1, 13**2, 1)
    rows += _chain([256, 128], 1, 13**2, 2) + _chain([128 + 256, 256], 9, 26**2, 2)
    return rows + _chain([256, 255], 1, 26**2, 1)


def _multitask() -> list[Row]:
    trunk = pairwise([3, 32, 64, 128, 256])
    rows = [row for channels, side in zip(trunk, [64, 32, 16, 8]) for row in _chain(list(channels), 9, side**2, 2)]
    rows += _chain([256, 128, 20], 1, 1, 1) + _chain([128, 4], 1, 1, 1)
    return rows + _chain([256, 64], 9, 8**2, 2) + _chain([64, 1], 1, 8**2, 1)


COUNTS = {
    "unet": _unet(),
    "unet3d": _unet3d(),
    "fcn32s": _fcn(32),
    "fcn16s": _fcn(16),
    "fcn8s": _fcn(8),
    "sppnet": _sppnet(),
    "dncnn": _dncnn(),
    "ct3d": _ct3d(),
    "radar1d": _radar1d(),
    "tiny_yolov3": _tiny_yolov3(),
    "multitask": _multitask(),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    rows = COUNTS[name]
    entry = models.find(name)
    assert sum(weights + others for weights, _, others in rows) == entry.parameters
    assert sum(weights * positions for weights, positions, _ in rows) == pytest.approx(entry.macs, rel=0.01)
