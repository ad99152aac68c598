"""Batch normalizations that no layer took become layers: convolutions of one weight a channel.

    y[c] = gamma[c] / sqrt(variance[c] + epsilon) * (x[c] - mean[c]) + beta[c] = w[c] * x[c] + b[c]

Networks that normalize sums and concats before they convolve (DenseNet, pre-activation ResNets) keep such nodes. Alone
in float between integers they would cost two conversions each. As a channel's only weight is 127 of its steps, it is
stored as exactly as float32 holds its scale.
"""

from __future__ import annotations

import numpy as np

from cnnc.ir import Graph, Node
from cnnc.ops.conv import ConvAttrs
from cnnc.passes.channel_affine import read_affine
from cnnc.types import DType


def normalizations_as_layers(graph: Graph) -> None:
    """Rewrite every batch_normalization with constant parameters of float32 [N, C, ...] as a conv of C groups."""
    for node in list(graph.nodes):
        if node.op == "batch_normalization":
            _rewrite(graph, node)


def _rewrite(graph: Graph, node: Node) -> None:
    x = node.input(0)
    affine = read_affine(node)
    if isinstance(affine, str) or x.type.rank < 3 or x.type.dtype is not DType.F32:
        return
    channels = len(affine.scale)
    window = (channels, 1) + (1,) * (x.type.rank - 2)
    weights = graph.add_constant(affine.scale.astype(np.float32).reshape(window), node.input(1).name)
    bias = graph.add_constant(affine.shift.astype(np.float32), node.input(2).name)
    old = node.output
    name = old.name
    made = graph.add_node("conv", [x, weights, bias], ConvAttrs(group=channels), loc=node.loc, before=node).output
    graph.replace_uses(old, made)
    graph.remove_node(node)
    graph.rename(made, name)
