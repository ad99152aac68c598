"""Single layers, and what they read."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.ir import Graph, Node
from cnnc.observation.input_moments import Moments
from cnnc.observation.layer_rows import input_blocks
from cnnc.ops import OPS
from cnnc.ops.conv import ConvAttrs
from cnnc.ops.linear import GemmAttrs
from cnnc.types import DType, TensorType

Array = np.ndarray[Any, Any]


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def conv(x: tuple[int, ...], weights: Array, **attrs: Any) -> Node:
    """A conv of constant weights over an input of that shape, without bias."""
    graph = Graph(OPS)
    source = graph.add_input("x", TensorType(x, DType.F32))
    node = graph.add_node("conv", [source, graph.add_constant(weights, "w")], ConvAttrs(**attrs))
    graph.set_outputs([node.output], ["y"])
    return node


def gemm(x: tuple[int, int], weights: Array, **attrs: Any) -> Node:
    """A gemm of constant weights, without bias."""
    graph = Graph(OPS)
    source = graph.add_input("x", TensorType(x, DType.F32))
    node = graph.add_node("gemm", [source, graph.add_constant(weights, "w")], GemmAttrs(**attrs))
    graph.set_outputs([node.output], ["y"])
    return node


def moments_of(rows: Array) -> Moments:
    """Of rows [G, R, K]."""
    wide = rows.astype(np.float64)
    parts = [wide[:, :, block] for block in input_blocks(rows.shape[2])]
    second = tuple(part.transpose(0, 2, 1) @ part / rows.shape[1] for part in parts)
    return Moments(wide.mean(axis=1), second)
