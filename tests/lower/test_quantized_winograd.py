"""Which quantized convolutions take Winograd's method, with which tiles, and why others do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import CompiledModel, compile_graph
from cnnc.lower.builder import Decision
from cnnc.options import Options
from tests.lower.test_quantized import quantized_conv

pytestmark = pytest.mark.jit
NAME = "conv.u8.blocked.winograd"
LAYER: dict[str, Any] = {"shape": (1, 64, 28, 28), "w_shape": (64, 64, 3, 3)}


def compiled(options: Options | None = None, **case: Any) -> tuple[CompiledModel, Decision]:
    model = compile_graph(quantized_conv(**LAYER | case), options or Options())
    [decision] = [decision for decision in model.lowered.decisions if decision.op == "q_linear_conv"]
    return model, decision


def outputs_of_tiles(decision: Decision) -> set[int]:
    """Of all tilings that may be measured."""
    return {candidate.tiling.out_rows for candidate in decision.candidates if candidate.rule == NAME}


@pytest.mark.parametrize("level", range(3))
def test_is_taken_at_every_level_and_exact(level: int) -> None:
    x = np.random.default_rng(3).integers(0, 256, LAYER["shape"]).astype(np.uint8)
    model, decision = compiled(Options(level=level), x_zero=7)
    assert decision.chosen == NAME
    np.testing.assert_array_equal(
        model.run({"x": x})["y"], interp.run(quantized_conv(**LAYER, x_zero=7), {"x": x})["y"]
    )


def test_small_maps_of_many_channels_are_bound_by_their_weights() -> None:
    _, decision = compiled(shape=(1, 512, 7, 7), w_shape=(512, 512, 3, 3))
    assert decision.chosen == "conv.u8.blocked.direct"
    assert any(rule == NAME and "is estimated to take" in reason for rule, reason in decision.refused)


@pytest.mark.parametrize(
    ("reason", "case"),
    [
        ("it has a stride", {"strides": (2, 2)}),
        ("its window is not 3x3", {"w_shape": (64, 64, 5, 5), "pads": (2, 2, 2, 2)}),
        ("it is one channel a group", {"w_shape": (64, 1, 3, 3), "group": 64}),
        ("its sums may be too large", {"bias": 2**30}),
    ],
)
def test_refused_with_a_reason(reason: str, case: dict[str, Any]) -> None:
    _, decision = compiled(**case)
    assert decision.chosen != NAME
    [said] = [why for rule, why in decision.refused if rule == NAME]
    assert reason in said


def test_large_sums_take_tiles_of_a_smaller_scale() -> None:
    """Sums beyond 2^25 are too large for 576 = 2^6 * 9, and not for 36 = 2^2 * 9."""
    weights = np.full((64, 64, 3, 3), 127, np.int8)
    assert outputs_of_tiles(compiled(weights=weights)[1]) == {4}
    wide: dict[str, Any] = {"shape": (1, 128, 28, 28), "weights": np.full((64, 128, 3, 3), 127, np.int8)}
    model, decision = compiled(**wide, x_scale=1e-4)
    assert decision.chosen == NAME
    assert outputs_of_tiles(decision) == {3}
    x = np.full(wide["shape"], 255, np.uint8)
    expected = interp.run(quantized_conv(**LAYER | wide, x_scale=1e-4), {"x": x})["y"]
    np.testing.assert_array_equal(model.run({"x": x})["y"], expected)
