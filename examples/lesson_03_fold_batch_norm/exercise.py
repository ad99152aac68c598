"""Exercise 3: fold batch normalization.

Replace the bodies, then: python examples/course.py check 3
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Graph, Notes
from cnnc.passes import Pass


def fold_weights(
    weights: np.ndarray,
    bias: np.ndarray | None,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of the convolution that computes what ``weights`` and ``bias`` and a normalization behind it do.

    Args:
        weights: float32 [OC, IC/groups, KH, KW].
        bias: float32 [OC]; None is a bias of zeros.
        gamma, beta, mean, variance: float32 [OC], of the normalization.
        epsilon: stands below the root, with the variance.

    Returns:
        The new weights and bias, computed in float64 and rounded once, to float32.
    """
    raise NotImplementedError("exercise: derive the two formulae; the README starts")


@dataclass(frozen=True)
class FoldBatchNormByHand(Pass):
    """Batch normalization into the convolution before it.

    Before: %y = conv(%x, %w, %b)   %z = batch_normalization(%y, %gamma, %beta, %mean, %variance)
    After:  %z = conv(%x, %w', %b')

    Fires when the convolution's weights and bias and the normalization's four parameters are constants. Must not fire
    when anything else needs the convolution's result: another node, or the graph as an output.
    """

    name: ClassVar[str] = "fold-batch-norm-by-hand"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        """Fold wherever it may be done; returns whether anything changed.

        Useful: ``graph.nodes``, ``node.op``, ``node.input(0)``, ``node.optional(2)``, ``value.producer``,
        ``value.array``, ``cnnc.ir.only_use``; ``cnnc.ir.Patch`` with ``constant``, ``node``, ``replace`` and ``apply``.
        ``notes`` may be left alone.
        """
        raise NotImplementedError("exercise: find each conv with a batch_normalization behind it, and replace the two")
