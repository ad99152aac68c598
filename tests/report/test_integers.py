"""Scales and rounding noise of integer layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import cnnc
from cnnc.compiled_model import CompiledModel
from cnnc.report import Settings, collect
from cnnc.report.integers import integer_facts, with_noise
from tests.cli.command_line import LENET

SIZES = {"N": 1}


@pytest.fixture(scope="module")
def compiled() -> CompiledModel:
    """LeNet-5 on integers."""

    def samples() -> Iterator[dict[str, np.ndarray]]:
        yield {"input": np.random.default_rng(0).standard_normal((4, 1, 28, 28)).astype(np.float32)}

    return cnnc.compile(cnnc.quantize(LENET, samples).graph)


@pytest.mark.jit
def test_scales_pass_from_layer_to_layer(compiled: CompiledModel) -> None:
    report = collect(compiled, Settings(measure=False))
    layers = [layer for layer in report.layers if layer.op in ("q_linear_conv", "q_linear_gemm")]
    assert len(layers) == 5
    for layer in layers:
        fact = layer.integer
        assert fact is not None
        assert fact.weight_bits == 8
        assert fact.weight_scales is not None
        assert 0 < fact.weight_scales[0] <= fact.weight_scales[1]
        assert fact.sqnr_db is None
        # The rates that were measured are of float32 products.
        assert layer.roof_seconds is None
    facts = [layer.integer for layer in layers if layer.integer is not None]
    for before, after in pairwise(facts[2:]):
        assert before.output_scale == after.input_scale
        assert before.output_zero_point == after.input_zero_point


@pytest.mark.jit
def test_rounding_noise(compiled: CompiledModel) -> None:
    x = np.random.default_rng(1).standard_normal((1, 1, 28, 28)).astype(np.float32)
    facts = integer_facts(compiled)
    step, first = next(iter(facts.items()))
    noisy = with_noise(facts, compiled, SIZES, {"input": x})
    assert replace(noisy[step], sqnr_db=None) == first
    assert first.output_scale is not None
    rounded = np.rint(x / np.float32(first.output_scale)) * first.output_scale
    zero = first.output_zero_point or 0
    inside = np.clip(rounded, -zero * first.output_scale, (255 - zero) * first.output_scale)
    expected = 10 * math.log10(np.mean(np.square(inside.astype(np.float64))) / (first.output_scale**2 / 12))
    assert noisy[step].sqnr_db == pytest.approx(expected, abs=1e-3)
    assert all(fact.sqnr_db is None or fact.sqnr_db > 10 for fact in noisy.values())
