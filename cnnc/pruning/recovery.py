"""What a pruned network lost is recovered on samples, without training: weights by least squares, statistics anew.

Dense and pruned network are walked side by side, from the inputs to the results. At each layer the weights that are
left are fitted (``reconstruction``), at each batch normalization its statistics are taken anew
(``batch_norm_reestimation``). Each step sees what all steps before it made of the samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cnnc.errors import OptionError
from cnnc.ir import Array, Graph, Node
from cnnc.observation.observed import Progress, Samples, checked, compiled
from cnnc.observation.signal_to_noise import Power, decibels, first_batches
from cnnc.observation.walk import Walk
from cnnc.pruning.batch_norm_reestimation import correct_channels, has_statistics, reestimate
from cnnc.pruning.masks import Masks
from cnnc.pruning.reconstruction import Fit, fit_layer, has_own_bias, unfit

_LAYERS = ("conv", "gemm", "matmul")

RECOVERIES = ("reconstruct", "statistics", "both")
"""Weights are fitted; or statistics of normalizations, scale and bias of channels are; or one and then the other.

Fitted weights give means and variances that are right already but for what cannot be fitted, and scaling that up costs
accuracy where much is missing. So ``both`` is seldom best.
"""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was recovered.

    Attributes:
        fits: of layers that were fitted, in graph order, and of pruned ones that could not be.
        normalizations: behind pruned layers, whose statistics were taken anew, or whose layers' channels were corrected
            in their place.
        before, after: signal-to-noise ratio of the network's results on some of the samples, in dB; infinite without
            noise. The signal is what the dense network gives.
    """

    fits: tuple[Fit, ...]
    normalizations: int
    before: float
    after: float


def recover(
    dense: Graph,
    pruned: Graph,
    masks: Masks,
    samples: Samples,
    method: str = "reconstruct",
    progress: Progress = lambda what, done: None,
) -> Recovery:
    """Change the weights and statistics of ``pruned`` in place.

    Args:
        dense: the network before weights went; ``pruned`` has the same nodes and names.
        masks: which weights may be other than 0, by their name; all of a weight without a mask.
        samples: what both networks are run on.
        method: of ``RECOVERIES``.
        progress: told of the layers and normalizations done.

    Raises:
        InputError: there are no samples, or they do not fit the model's inputs.
        OptionError: there is no such method.
    """
    check_recovery(method)
    before = _ratio(dense, pruned, samples)
    fits, normalizations = _changes(dense, pruned, masks, samples, method, progress)
    return Recovery(tuple(fits), normalizations, before, _ratio(dense, pruned, samples))


def check_recovery(method: str) -> None:
    """Raises OptionError unless ``method`` is one."""
    if method not in RECOVERIES:
        raise OptionError(f"there is no recovery {method!r}", where="recover", hint=f"use {', '.join(RECOVERIES)}")


def _changes(
    dense: Graph, pruned: Graph, masks: Masks, samples: Samples, method: str, progress: Progress
) -> tuple[list[Fit], int]:
    """Fits, and how many normalizations were corrected."""
    reconstruct, reestimate_batch_norm = method != "statistics", method != "reconstruct"
    walks = Walk(dense, samples), Walk(pruned, samples)
    fits: list[Fit] = []
    normalizations = 0
    differs = False
    for done, node in enumerate(dense.nodes):
        # In front of the first pruned layer both networks are the same.
        differs = differs or any(operand is not None and operand.name in masks for operand in node.inputs)
        if not differs:
            continue
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
    return fits, normalizations


def _pairs(walks: tuple[Walk, Walk], name: str) -> Iterator[tuple[Array, Array]]:
    """A value in both networks, batch by batch."""
    for dense, pruned in zip(walks[0].values([name]), walks[1].values([name]), strict=True):
        yield dense[name], pruned[name]


def is_folded(graph: Graph, layer: Node) -> bool:
    """Whether a layer has a bias and no batch normalization behind it."""
    behind = any(user.op == "batch_normalization" for user in layer.output.users)
    return not behind and unfit(graph, layer) is None and has_own_bias(graph, layer)


def _ratio(dense: Graph, pruned: Graph, samples: Samples) -> float:
    """Signal-to-noise ratio of the results, in dB, the mean over noise powers of all of them."""
    exact, other = compiled(dense, level=1), compiled(pruned, level=1)
    powers = {name: Power() for name in dense.output_names}
    for batch in first_batches(checked(samples)):
        wanted, got = exact.run(dict(batch)), other.run(dict(batch))
        for name, power in powers.items():
            power.see(wanted[name], got[name])
    return decibels(sum(power.ratio for power in powers.values()) / len(powers))
