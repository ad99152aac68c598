"""Signal-to-noise ratios of layers: exact where nothing is quantized, and powers that add."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnc.observation.signal_to_noise import Power, decibels
from cnnc.quantization import Calibrated, Settings, calibrate, layer_reports
from cnnc.quantization.noise import layer_noise, noise_of_one_layer
from tests.quantization.test_quantizer import MODEL, batches

pytestmark = pytest.mark.jit


@pytest.fixture(scope="module")
def calibrated() -> Calibrated:
    return calibrate(MODEL, batches())


def test_powers() -> None:
    power = Power()
    power.see(np.array([3.0, 4.0]), np.array([3.0, 4.5]))
    power.see(np.array([5.0]), np.array([5.0]))
    assert power.ratio == pytest.approx(0.25 / 50)
    assert decibels(power.ratio) == pytest.approx(23.01, abs=0.01)
    assert decibels(Power().ratio) == math.inf


def test_a_float_model_has_no_noise(calibrated: Calibrated) -> None:
    stored = calibrated.stored_results
    in_float = dict.fromkeys(stored, "all")
    noise = layer_noise(calibrated.source, calibrated.quantized(in_float).graph, stored, batches)
    assert noise == dict.fromkeys(stored, 0.0)


def test_noise_grows_with_the_layers_that_are_quantized(calibrated: Calibrated) -> None:
    layers = list(calibrated.stored_results)
    alone = noise_of_one_layer(calibrated, layers, batches)
    assert list(alone) == layers
    assert all(1e-9 < noise < 1e-2 for noise in alone.values())
    together = layer_noise(calibrated.source, calibrated.quantized().graph, calibrated.stored_results, batches)
    assert together[layers[-1]] == pytest.approx(sum(alone.values()), rel=0.6)


def test_no_more_layers_are_measured_when_time_is_up(calibrated: Calibrated) -> None:
    layers = list(calibrated.stored_results)
    told = []
    alone = noise_of_one_layer(calibrated, layers, batches, seconds=0, progress=lambda done, total: told.append(done))
    assert told == [1]
    assert set(alone.values()) == {alone[layers[0]]}


def test_the_report_ranks_layers_and_says_why() -> None:
    calibrated = calibrate(MODEL, batches(), Settings(exclude=("side",)))
    reports = layer_reports(calibrated, calibrated.quantized({"fc": "tried"}), batches)
    assert [report.sqnr for report in reports] == sorted(report.sqnr for report in reports)
    reasons = {report.result: report.why for report in reports if not report.is_integer}
    [excluded] = [why for why in reasons.values() if why.startswith("excluded")]
    assert "'side'" in excluded
    assert {report.why for report in reports if report.is_integer} == {"its op has an integer form"}
