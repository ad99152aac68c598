"""Seeded inputs for a graph: what checks and measurements feed when the user gives nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.dims import evaluate, symbols
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.types import DType, TensorType

BATCH_SIZE = 2
"""Size of a symbol that only stands at axis 0: small, but not 1, so that mixed-up samples show."""

OTHER_SIZE = 64
"""Size of any other symbol: a multiple of the total stride of common networks."""


def sample_inputs(graph: Graph, seed: int = 0, sizes: Mapping[str, int] | None = None) -> dict[str, Array]:
    """One array for every graph input, see ``sample_arrays``."""
    return sample_arrays({value.name: value.type for value in graph.inputs}, seed, sizes)


def sample_arrays(
    types: Mapping[str, TensorType],
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    batch: int = BATCH_SIZE,
) -> dict[str, Array]:
    """An array of each type: floats from the standard normal distribution, integers 0..9, u8 0..255, random booleans.

    Args:
        types: input types by name.
        seed: the same seed gives the same arrays.
        sizes: sizes of symbolic dims; those not named get ``batch`` at axis 0, ``OTHER_SIZE`` elsewhere.
        batch: size of open batches.
    """
    chosen = {**_default_sizes(types, batch), **(sizes or {})}
    rng = np.random.default_rng(seed)
    return {name: _sample(rng, type, chosen) for name, type in types.items()}


def _default_sizes(types: Mapping[str, TensorType], batch: int) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for type in types.values():
        for axis, dim in enumerate(type.shape):
            for name in sorted(symbols(dim)):
                size = batch if axis == 0 else OTHER_SIZE
                sizes[name] = max(size, sizes.get(name, 0))
    return sizes


def _sample(rng: np.random.Generator, type: TensorType, sizes: Mapping[str, int]) -> Array:
    shape = tuple(evaluate(dim, sizes) for dim in type.shape)
    if type.dtype.is_float:
        return rng.standard_normal(shape).astype(type.dtype.numpy)
    if type.dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(np.bool_)
    return rng.integers(0, 256 if type.dtype is DType.U8 else 10, shape).astype(type.dtype.numpy)
