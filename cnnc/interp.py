"""The reference interpreter: runs any graph, node by node, on the ops' NumPy references.

It is what a graph *means*. In float64 it is the truth that rounding errors are measured against: float32 inputs and
constants are widened, and casts to float32 become casts to float64. With factors rounded to bfloat16 it gives the error
that is in that precision itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cnnc.dims import Dim, Expr, evaluate, symbols
from cnnc.errors import InputError, InternalError, ModelError
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.ir.node import Node, Value
from cnnc.runtime.cuda.tensor_precision import rounded
from cnnc.types import DType


def run(
    graph: Graph,
    feeds: Mapping[str, Array],
    *,
    float64: bool = False,
    precision: str = "f32",
    capture: Iterable[str] = (),
) -> dict[str, Array]:
    """Results by output name, and the values named in ``capture`` by value name.

    Args:
        graph: any graph, in any stage.
        feeds: one array for every graph input, of its dtype and shape.
        float64: compute floats in float64 throughout.
        precision: ``tf32``, ``f16`` or ``bf16`` rounds the factors of convolutions and matrix products to this type.
        capture: names of intermediate values to return as well.

    Raises:
        InputError: a feed is missing, or its shape contradicts the input's type.
        InternalError: a reference returned another shape or dtype than type inference said.
    """
    return _Run(graph, float64, precision, tuple(capture)).execute(feeds)


_PRODUCTS = frozenset({"conv", "gemm", "matmul"})
"""Ops whose first two operands are rounded to the precision."""


class _Run:
    def __init__(self, graph: Graph, float64: bool, precision: str, capture: tuple[str, ...]) -> None:
        self.graph = graph
        self.float64 = float64
        self.precision = precision
        self.capture = capture
        self.sizes: dict[str, int] = {}
        self.arrays: dict[Value, Array] = {}
        self.remaining = Counter(value for node in graph.nodes for value in node.inputs if value is not None)
        self.kept = set(graph.outputs) | {graph.value(name) for name in capture}

    def execute(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        for value in self.graph.inputs:
            if value.name not in feeds:
                raise InputError(f"no array is given for input {value.name!r}", where=self.graph.name)
            array = np.asarray(feeds[value.name])
            self._bind(value, array)
            self.arrays[value] = self._widen(array)
        for node in self.graph.nodes:
            self._step(node)
        results = {
            name: self._read(value) for name, value in zip(self.graph.output_names, self.graph.outputs, strict=True)
        }
        return results | {name: self._read(self.graph.value(name)) for name in self.capture}

    def _step(self, node: Node) -> None:
        arrays = [None if value is None else self._read(value) for value in node.inputs]
        if node.op == "dims":
            results: tuple[Array, ...] = (self._dims(node),)
        else:
            results = self._call(node, arrays)
        for value, array in zip(node.outputs, results):
            self._bind(value, array)
            self.arrays[value] = array
        for operand in node.inputs:
            if operand is None:
                continue
            self.remaining[operand] -= 1
            if not self.remaining[operand] and operand not in self.kept:
                self.arrays.pop(operand, None)

    def _call(self, node: Node, arrays: list[Array | None]) -> tuple[Array, ...]:
        from cnnc.runtime import host

        keywords = node.attrs.keywords()
        if self.float64:
            keywords = {key: _wider(value) for key, value in keywords.items()}
        with np.errstate(all="ignore"):
            if self.precision != "f32" and node.op in _PRODUCTS:
                arrays = [*(_rounded_factor(array, self.precision) for array in arrays[:2]), *arrays[2:]]
            result = host.function(node.op)(*arrays, **keywords)
        outputs = result if isinstance(result, tuple) else (result,)
        # Row-major, so that results depend on values alone: BLAS adds in another order for a transposed view.
        return tuple(np.asarray(array, order="C") for array in outputs)

    def _dims(self, node: Node) -> Array:
        dims: tuple[Dim, ...] = getattr(node.attrs, "dims", ())
        values = np.array([evaluate(dim, self.sizes) for dim in dims], np.int64)
        scalar = node.output.type.rank == 0
        return values.reshape(()) if scalar else values

    def _read(self, value: Value) -> Array:
        if value.array is not None:
            return self._widen(value.array)
        return self.arrays[value]

    def _widen(self, array: Array) -> Array:
        if self.float64 and DType.of(array.dtype) in (DType.F32, DType.F16, DType.BF16):
            return array.astype(np.float64)
        return array

    def _bind(self, value: Value, array: Array) -> None:
        """Check an array against the value's type; sizes not known yet are learned from it."""
        if array.ndim != value.type.rank:
            raise self._mismatch(value, array)
        for dim, size in zip(value.type.shape, array.shape):
            unknown = symbols(dim) - self.sizes.keys()
            if unknown and isinstance(dim, Expr) and dim.is_atom():
                self.sizes[str(dim)] = size
            elif not unknown and evaluate(dim, self.sizes) != size:
                raise self._mismatch(value, array)
        expected = value.type.dtype.numpy
        if array.dtype != expected and not (self.float64 and value.type.dtype.is_float and array.dtype == np.float64):
            raise self._mismatch(value, array)

    def _mismatch(self, value: Value, array: Array) -> InputError | InternalError:
        got = f"{array.dtype.name}{list(array.shape)}"
        if value.producer is None:
            return InputError(f"input {value.name!r} is {value.type}, got {got}", where=self.graph.name)
        return InternalError(f"the reference of {value.producer!r} returned {got}; sizes {self.sizes}")


def _rounded_factor(array: Array | None, precision: str) -> Array | None:
    return None if array is None else rounded(array, precision).astype(array.dtype)


def _wider(keyword: Any) -> Any:
    return "f64" if keyword in ("f32", "f16", "bf16") else keyword


def bind_sizes(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Symbol values that the given input shapes imply.

    Raises:
        ModelError: an input's shape contradicts its type.
    """
    sizes: dict[str, int] = {}
    for value in graph.inputs:
        shape = shapes[value.name]
        if len(shape) != value.type.rank:
            raise ModelError(f"input {value.name!r} is {value.type}, got shape {shape}")
        for dim, size in zip(value.type.shape, shape):
            if isinstance(dim, Expr) and dim.is_atom() and str(dim) not in sizes:
                sizes[str(dim)] = size
            elif evaluate(dim, sizes) != size:
                raise ModelError(f"input {value.name!r} is {value.type}, got shape {shape}")
    return sizes
