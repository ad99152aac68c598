"""Graphs with layers of every kind, whose weights are random and named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnc.dims import symbol
from cnnc.ir import Graph, Value
from cnnc.ops import OPS
from cnnc.ops.conv import ConvAttrs, ConvTransposeAttrs
from cnnc.ops.linear import GemmAttrs
from cnnc.ops.normalization import BatchNormalizationAttrs
from cnnc.ops.reshaping import FlattenAttrs
from cnnc.types import DType, TensorType

Array = np.ndarray[Any, Any]


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Network:
    """A graph that grows: every method appends a layer called by its weight."""

    def __init__(self, *shape: int | str) -> None:
        self.graph = Graph(OPS)
        sizes = tuple(symbol(size) if isinstance(size, str) else size for size in shape)
        self.last: Value = self.graph.add_input("x", TensorType(sizes, DType.F32))

    def constant(self, name: str, array: Array) -> Value:
        return self.graph.add_constant(array, name)

    def op(self, op: str, *operands: Value, attrs: Any = None, name: str = "") -> Network:
        given = {} if attrs is None else {"attrs": attrs}
        node = self.graph.add_node(op, [self.last, *operands], loc=(name or op,), **given)
        self.last = node.output
        return self

    def conv(self, name: str, weights: Array, **attrs: Any) -> Network:
        return self.op("conv", self.constant(name, weights), attrs=ConvAttrs(**attrs), name=f"/{name}/Conv")

    def conv_transpose(self, name: str, weights: Array, **attrs: Any) -> Network:
        constant = self.constant(name, weights)
        return self.op("conv_transpose", constant, attrs=ConvTransposeAttrs(**attrs), name=f"/{name}/ConvTranspose")

    def gemm(self, name: str, weights: Array, **attrs: Any) -> Network:
        return self.op("gemm", self.constant(name, weights), attrs=GemmAttrs(**attrs), name=f"/{name}/Gemm")

    def matmul(self, name: str, weights: Array) -> Network:
        return self.op("matmul", self.constant(name, weights), name=f"/{name}/MatMul")

    def norm(self, name: str, gamma: Array, variance: Array | None = None) -> Network:
        zeros, ones = np.zeros_like(gamma), np.ones_like(gamma)
        arrays = {"gamma": gamma, "beta": zeros, "mean": zeros, "variance": ones if variance is None else variance}
        constants = [self.constant(f"{name}.{key}", array) for key, array in arrays.items()]
        return self.op("batch_normalization", *constants, attrs=BatchNormalizationAttrs(epsilon=0.0), name=name)

    def relu(self) -> Network:
        return self.op("relu")

    def pooled(self) -> Network:
        """[N, C, H, W] -> [N, C]."""
        return self.op("global_average_pool").op("flatten", attrs=FlattenAttrs())

    def done(self) -> Graph:
        self.graph.set_outputs([self.last], ["y"])
        return self.graph


def chain(**weights: Array) -> Graph:
    """Convs of these weights, one after the other, so that none but the first reads the input."""
    first = next(iter(weights.values()))
    network = Network(1, first.shape[1], 9, 9)
    for name, array in weights.items():
        network.conv(name, array, pads=tuple(size // 2 for size in array.shape[2:]) * 2)
    return network.done()


def weights_of(graph: Graph) -> Mapping[str, Array]:
    return {value.name: value.array for value in graph.constants if value.array is not None}
