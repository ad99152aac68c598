"""What counts as the same result for a pass of each kind."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.passes.compare_results import difference
from cnnc.sample_inputs import sample_inputs
from cnnc.types import DType, TensorType

_NOISE = np.random.default_rng(0).standard_normal(100)


@pytest.mark.parametrize(
    ("old", "new", "numerics", "same"),
    [
        ([1.0, np.nan], [1.0, np.nan], "exact", True),
        ([0.0], [-0.0], "exact", False),
        ([1.0], [1.0 + 1e-15], "exact", False),
        ([0.0], [-0.0], "rounding", True),
        (_NOISE, _NOISE + 1e-5, "rounding", True),
        (_NOISE, _NOISE + 1e-3, "rounding", False),
        (1000 * _NOISE, 1000 * _NOISE + 1e-3, "rounding", True),
        ([1.0, np.nan], [1.0, 2.0], "rounding", False),
        ([1.0, 2.0], [1.0, np.inf], "rounding", False),
        ([np.inf, 1.0], [-np.inf, 1.0], "rounding", False),
        ([5.0, 5.0], [5.0, 5.0 + 1e-9], "rounding", True),
        ([1e-17, -1e-17], [0.0, 0.0], "rounding", True),
        ([1, 2], [1, 3], "rounding", False),
        (np.arange(1000), np.arange(1000) + (np.arange(1000) == 7), "rounding", True),
        (np.arange(1000), np.arange(1000) + (np.arange(1000) == 7), "exact", False),
        ([1.0], [[1.0]], "exact", False),
        ([1.0], [1], "exact", False),
    ],
)
def test_differences(old: object, new: object, numerics: str, same: bool) -> None:
    reason = difference({"y": np.asarray(old)}, {"y": np.asarray(new)}, numerics)
    assert (reason is None) is same
    assert same or "'y'" in str(reason)


def test_a_network_that_amplifies_rounding_is_judged_by_its_own_error() -> None:
    old, new = {"y": _NOISE}, {"y": _NOISE + 5e-4}
    assert difference(old, new, "rounding", {"y": (_NOISE + 3e-4).astype(np.float32)}) is None
    assert difference(old, new, "rounding", {"y": (_NOISE + 1e-4).astype(np.float32)}) is not None


def test_missing_outputs_are_differences() -> None:
    assert difference({"a": np.ones(1)}, {"b": np.ones(1)}, "rounding") is not None


def test_sample_inputs_follow_types_and_seed() -> None:
    graph = Graph(OPS)
    graph.add_input("x", TensorType((symbol("N"), 3, symbol("H"), symbol("N")), DType.F32))
    graph.add_input("q", TensorType((symbol("N") * 2, 5), DType.U8))
    graph.add_input("b", TensorType((), DType.BOOL))
    one, other = sample_inputs(graph, 1), sample_inputs(graph, 2)
    assert {name: array.shape for name, array in one.items()} == {"x": (64, 3, 64, 64), "q": (128, 5), "b": ()}
    assert [array.dtype.name for array in one.values()] == ["float32", "uint8", "bool"]
    assert np.array_equal(one["x"], sample_inputs(graph, 1)["x"]) and not np.array_equal(one["x"], other["x"])
    assert sample_inputs(graph, sizes={"N": 3, "H": 5})["x"].shape == (3, 3, 5, 3)
