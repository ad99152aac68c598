"""Which quantized convolutions run by lists of their weights, why others do not, and what programs of them compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import CompiledModel, compile_graph
from cnnc.lower.builder import Decision
from cnnc.options import Options
from cnnc.types import DType
from tests.lower.test_quantized import DTYPES, quantized_conv

pytestmark = pytest.mark.jit
NAME = "conv.u8.blocked.sparse"
LAYER: dict[str, Any] = {"shape": (1, 256, 14, 14), "w_shape": (256, 256, 1, 1), "pads": (0, 0, 0, 0)}


def pruned(shape: tuple[int, ...], density: float, block: tuple[int, int] = (1, 1)) -> np.ndarray[Any, Any]:
    """int8 weights, a share of ``density`` of them not zero; ``block`` output and input channels are zero together."""
    rng = np.random.default_rng(sum(shape))
    kept = rng.random((-(-shape[0] // block[0]), -(-shape[1] // block[1]), *shape[2:])) < density
    kept = np.repeat(np.repeat(kept, block[0], axis=0), block[1], axis=1)[: shape[0], : shape[1]]
    return (
        rng.integers(1, 128, shape).astype(np.int8) * rng.choice([-1, 1], shape).astype(np.int8) * kept.astype(np.int8)
    )


def compiled(
    density: float = 0.1, block: tuple[int, int] = (1, 1), options: Options | None = None, **case: Any
) -> tuple[CompiledModel, Decision]:
    case = LAYER | case
    weights = pruned(case["w_shape"], density, block)
    model = compile_graph(quantized_conv(**case, weights=weights), options or Options())
    [decision] = [decision for decision in model.lowered.decisions if decision.op == "q_linear_conv"]
    return model, decision


def reason(decision: Decision) -> str:
    assert decision.chosen != NAME
    [said] = [why for rule, why in decision.refused if rule == NAME]
    return said


@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize(
    "case",
    [
        {"x_zero": 7},
        {"x_zero": -9, "dtype": DType.I8, "shape": (3, 250, 23, 17), "w_shape": (260, 250, 1, 1)},
        {"shape": (1, 128, 15, 15), "w_shape": (128, 128, 3, 3), "pads": (1, 1, 1, 1), "strides": (2, 2), "x_zero": 5},
        {"shape": (1, 256, 9, 9), "w_shape": (256, 256, 3, 3), "pads": (1, 0, 2, 1), "density": 0.02, "x_zero": 3},
    ],
    ids=str,
)
def test_is_taken_at_every_level_and_exact(level: int, case: dict[str, Any]) -> None:
    model, decision = compiled(**case, options=Options(level=level))
    assert decision.chosen == NAME
    shape, dtype = (LAYER | case)["shape"], DTYPES[case.get("dtype", DType.U8)]
    limits = np.iinfo(dtype)
    x = np.random.default_rng(3).integers(limits.min, limits.max + 1, shape).astype(dtype)
    expected = interp.run(model.graph, {"x": x})["y"]
    for threads in (1, 2):
        [got] = model.session(threads=threads).run(None, {"x": x})
        np.testing.assert_array_equal(got, expected)


def test_blocks_share_their_loads() -> None:
    """Of output channels by shared lists, of input channels by words of four weights."""
    decisions = {block: compiled(0.1, block)[1] for block in ((1, 1), (4, 1), (1, 4))}
    costs = {}
    for block, decision in decisions.items():
        assert decision.chosen == NAME
        [best] = [candidate for candidate in decision.candidates if candidate.rule == NAME]
        costs[block] = best.cost
        assert (best.tiling.share > 1) == (block == (4, 1))
    assert costs[1, 4] < costs[4, 1] < costs[1, 1]


@pytest.mark.parametrize(
    ("said", "case"),
    [
        ("100% of its weights are not zero", {"density": 1.0}),
        ("conv.u8.blocked.pointwise is estimated to take", {"density": 0.5}),
        ("it has groups", {"w_shape": (256, 64, 1, 1), "group": 4}),
    ],
)
def test_refused_with_a_reason(said: str, case: dict[str, Any]) -> None:
    assert said in reason(compiled(**case)[1])


def test_exact_winograd_is_taken_where_it_is_faster() -> None:
    layer: dict[str, Any] = {"shape": (1, 64, 56, 56), "w_shape": (64, 64, 3, 3), "pads": (1, 1, 1, 1)}
    decision = compiled(0.25, **layer)[1]
    assert decision.chosen == "conv.u8.blocked.winograd"
    assert "winograd is estimated to take" in reason(decision)
    assert compiled(0.04, **layer)[1].chosen == NAME


def test_a_layer_without_weights_is_its_bias() -> None:
    model, _ = compiled(0.0, bias=30000, x_zero=4)
    x = np.random.default_rng(3).integers(0, 256, LAYER["shape"]).astype(np.uint8)
    np.testing.assert_array_equal(model.run({"x": x})["y"], interp.run(model.graph, {"x": x})["y"])
