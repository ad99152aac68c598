"""What a pruned network lost is recovered on samples, without training: weights by least squares, statistics anew.

Dense and pruned network are walked side by side, from the inputs to the results. At each layer the weights that are
left are fitted (``reconstruction``), at each batch normalization its statistics are taken anew
(``batch_norm_reestimation``). Each step sees what all steps before it made of the samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cnnc.ir import Array, Graph, Node
from cnnc.observation.observed import Progress, Samples
from cnnc.observation.walk import Walk
from cnnc.pruning.batch_norm_reestimation import correct_channels, has_statistics, reestimate
from cnnc.pruning.masks import Masks
from cnnc.pruning.reconstruction import Fit, fit_layer, has_own_bias, unfit

_LAYERS = ("conv", "gemm", "matmul")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was recovered.

    Attributes:
        fits: of layers that were fitted, in graph order, and of pruned ones that could not be.
        normalizations: whose statistics were taken anew.
    """

    fits: tuple[Fit, ...]
    normalizations: int


def recover(
    dense: Graph,
    pruned: Graph,
    masks: Masks,
    samples: Samples,
    *,
    reconstruct: bool = True,
    reestimate_batch_norm: bool = True,
    progress: Progress = lambda what, done: None,
) -> Recovery:
    """Change the weights and statistics of ``pruned`` in place.

    Args:
        dense: the network before weights went; ``pruned`` has the same nodes and names.
        masks: which weights may be other than 0, by their name; all of a weight without a mask.
        samples: what both networks are run on.
        progress: told of the layers and normalizations done.

    Raises:
        InputError: there are no samples, or they do not fit the model's inputs.
    """
    walks = Walk(dense, samples), Walk(pruned, samples)
    fits: list[Fit] = []
    normalizations = 0
    for done, node in enumerate(dense.nodes):
        own = pruned.value(node.output.name).producer
        assert own is not None
        is_layer = node.op in _LAYERS and node.input(1).array is not None
        if is_layer and reconstruct:
            fit = fit_layer(pruned, node, own, masks, _pairs(walks, node.input(0).name))
            fits += [] if fit is None else [fit]
        elif is_layer and reestimate_batch_norm and is_folded(pruned, own):
            correct_channels(pruned, own, _pairs(walks, node.output.name))
            normalizations += 1
        elif reestimate_batch_norm and node.op == "batch_normalization" and has_statistics(pruned, own):
            reestimate(pruned, own, _pairs(walks, node.input(0).name))
            normalizations += 1
        else:
            continue
        walks[0].pass_by(node)
        walks[1].pass_by(own)
        progress("nodes recovered", done)
    return Recovery(tuple(fits), normalizations)


def _pairs(walks: tuple[Walk, Walk], name: str) -> Iterator[tuple[Array, Array]]:
    """A value in both networks, batch by batch."""
    for dense, pruned in zip(walks[0].values([name]), walks[1].values([name]), strict=True):
        yield dense[name], pruned[name]


def is_folded(graph: Graph, layer: Node) -> bool:
    """Whether a layer has a bias and no batch normalization behind it."""
    behind = any(user.op == "batch_normalization" for user in layer.output.users)
    return not behind and unfit(graph, layer) is None and has_own_bias(graph, layer)
