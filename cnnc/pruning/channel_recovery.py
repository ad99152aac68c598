"""What layers lose with channels that they read is recovered on samples, before the channels leave.

A removed channel is a mask on the weights of all that reads it: slices of zeros. So what recovers masked weights
(``recovery``) fits the weights of the channels that are left, layer by layer, to what the whole network computes.

Source: He et al., Channel Pruning for Accelerating Very Deep Neural Networks, ICCV 2017, section 3.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnc.channels import Dependencies
from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.observation.observed import Progress, Samples
from cnnc.pruning.masks import apply_masks
from cnnc.pruning.patterns import Bools
from cnnc.pruning.recovery import recover


def reader_masks(found: Dependencies, removed: NDArray[np.int64]) -> dict[str, Bools]:
    """Masks of all weights that multiply removed channels: False for these, by the weights' names.

    Args:
        removed: classes of channels that go.
    """
    gone = found.members(removed)
    masks: dict[str, Bools] = {}
    for reading in found.readings:
        for position, axis in reading.operands:
            value = reading.node.input(position)
            labels = found.axes(value)[axis]
            if value.array is None or labels is None or not gone[labels].any():
                continue
            kept = np.expand_dims(~gone[labels], tuple(other for other in range(value.array.ndim) if other != axis))
            masks[value.name] = masks.get(value.name, np.ones(value.array.shape, bool)) & kept
    return masks


def recovered(
    found: Dependencies, removed: NDArray[np.int64], samples: Samples, progress: Progress = lambda what, done: None
) -> Graph:
    """The graph with all channels, of whose weights those that read removed channels are 0 and the others are fitted.

    It has the nodes of ``found.graph``, so that ``dependencies`` number its channels alike.

    Raises:
        InputError: there are no samples, or they do not fit the model's inputs.
    """
    masks = reader_masks(found, removed)
    fitted = clone_graph(found.graph)
    apply_masks(fitted, masks)
    recover(found.graph, fitted, masks, samples, progress=progress)
    return fitted
