"""Sums and packs weights of 1x1 convolutions for ``conv.f32.blocked.strassen``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.cpu.strassen_products import HALVES, PRODUCTS


def pack_strassen(w: NDArray[Any], lanes: int, blocks: int) -> NDArray[np.float32]:
    """Pack ``w`` [OC, IC] (or with window axes of 1) for tiles of ``blocks`` vectors of output channels in either half.

    [output tile][product][input channel of a half][block][lane]. OC is a multiple of 2 * blocks * lanes, IC of
    2 * lanes. Sums of blocks are computed in float64 and rounded once.
    """
    oc, ic = w.shape[0] // HALVES, w.shape[1] // HALVES
    halves = np.asarray(w, np.float64).reshape(HALVES, oc, HALVES, ic).transpose(0, 2, 1, 3).reshape(-1, oc * ic)
    factors = np.array([product.weights for product in PRODUCTS], np.float64)
    sums = (factors @ halves).astype(np.float32)
    tiles = sums.reshape(len(PRODUCTS), oc // (blocks * lanes), blocks, lanes, ic)
    return np.ascontiguousarray(tiles.transpose(1, 0, 4, 2, 3)).reshape(-1)
