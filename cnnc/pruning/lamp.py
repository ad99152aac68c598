"""Worth that can be compared between layers: a weight's share of what its layer would have left (LAMP).

    score(u) = worth(u)^2 / sum of worth(v)^2 over all v of the layer that are worth as much as u, or more

If weights go in order of worth, this is the part of the layer's remaining power that goes with u: as many go from each
layer as its power can spare, whatever its scale. The largest weight of every layer scores 1, so that none is emptied.

Source: Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning, ICLR 2021.
"""

from __future__ import annotations

import numpy as np

from cnnc.pruning.patterns import Worth


def lamp(worth: Worth) -> Worth:
    """Scores of one layer, float64 in the shape of ``worth``; weights of no worth score 0."""
    flat = worth.reshape(-1).astype(np.float64)
    most = flat.max(initial=0.0)
    if not most > 0:
        return np.zeros(worth.shape)
    # Relative to the largest one, squares neither overflow nor all vanish.
    power = np.square(flat / most)
    order = np.argsort(flat, kind="stable")
    left = np.cumsum(power[order][::-1])[::-1]
    scores = np.empty_like(power)
    scores[order] = power[order] / left
    by_weight: Worth = scores.reshape(worth.shape)
    return by_weight
