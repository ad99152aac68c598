"""How far a float result may be from the float64 truth: the one table of tolerances.

A sum of K rounded products is off by about sqrt(K) units of rounding if errors are independent (Higham, Accuracy and
Stability of Numerical Algorithms, section 2.6). The bound is ``SAFETY * sqrt(K) * eps * scale``: K counts the additions
of all nodes, eps is that of the element type, and the scale is the largest finite magnitude of the output. A network
that amplifies rounding (GELU's tail behind a large offset) is off by more in any float32 evaluation: where the caller
measured the interpreter's own error, ``OWN_ERRORS`` times that is allowed too, the factor that the project grants
itself over another engine's error (docs/design.md, "How numbers are judged").
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt

import numpy as np

from cnnc.dims import Dim, evaluate
from cnnc.ir import Array, Graph, Node

SAFETY = 8.0
OWN_ERRORS = 2.0
EPS: Mapping[str, float] = {
    "float64": float(np.finfo(np.float64).eps),
    "float32": float(np.finfo(np.float32).eps),
    "float16": float(np.finfo(np.float16).eps),
}
"""Rounding unit of results by element type."""


def bound(got: Array, truth: Array, count: int) -> float:
    """Largest difference allowed between ``got`` and ``truth``, after ``count`` additions."""
    finite = np.abs(truth[np.isfinite(truth)])
    scale = float(finite.max()) if finite.size else 0.0
    return SAFETY * sqrt(max(count, 1)) * EPS[got.dtype.name] * max(scale, _LEAST_SCALE)


_LEAST_SCALE = 1e-3
"""An output that cancels to nothing has the scale of what cancelled; inputs have standard deviation 1."""


def additions(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Additions behind one output element, those of all nodes together."""
    return sum(_additions(node, sizes) for node in graph.nodes)


def _additions(node: Node, sizes: Mapping[str, int]) -> int:
    shapes = [() if value is None else value.type.shape for value in node.inputs]
    if not shapes:
        return 0
    if node.op == "conv":
        return _count(shapes[1][1:], sizes)
    if node.op == "conv_transpose":
        return _count(shapes[1], sizes)
    if node.op == "gemm":
        return _count(shapes[0][-2:], sizes)
    if node.op == "matmul":
        return _count(shapes[0][-1:], sizes)
    if "normalization" in node.op or "softmax" in node.op or node.op == "lrn":
        return _count(shapes[0][1:], sizes)
    if "pool" in node.op or node.op.startswith("reduce"):
        return _count(shapes[0], sizes)
    return len(shapes)


def _count(shape: tuple[Dim, ...], sizes: Mapping[str, int]) -> int:
    try:
        return prod(evaluate(dim, sizes) for dim in shape)
    except KeyError:  # a size that depends on values
        return 1


def own_errors(float32: Mapping[str, Array], truth: Mapping[str, Array]) -> dict[str, float]:
    """Largest finite difference of the interpreter in float32 from the truth, by output."""
    found = {}
    with np.errstate(invalid="ignore", over="ignore"):
        for name, exact in truth.items():
            difference = np.abs(float32[name].astype(np.float64) - exact)
            found[name] = float(np.max(difference, initial=0.0, where=np.isfinite(difference)))
    return found


def assert_close(
    got: Mapping[str, Array],
    truth: Mapping[str, Array],
    count: int,
    what: str = "",
    own: Mapping[str, float] | None = None,
) -> None:
    """Every output within its bound; integers and booleans equal; NaN and infinities at the same places."""
    assert list(got) == list(truth)
    for name, exact in truth.items():
        mine = got[name]
        assert mine.shape == exact.shape, f"{what} {name}: shape {mine.shape}, expected {exact.shape}"
        if not np.issubdtype(exact.dtype, np.floating):
            np.testing.assert_array_equal(mine, exact, err_msg=f"{what} {name}")
            continue
        limit = max(bound(mine, exact, count), OWN_ERRORS * (own or {}).get(name, 0.0))
        np.testing.assert_allclose(mine, exact, rtol=0, atol=limit, equal_nan=True, err_msg=f"{what} {name}")
