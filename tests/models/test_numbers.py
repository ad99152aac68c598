"""What the networks compute: cnnc and onnxruntime beside float64, within the limits of the sweep.

Small forms of some run always, those of others and every network at its standard input are slow campaigns, whose last
results are in docs/testing.md and docs/models.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnnc import models
from cnnc.dsl import Model, zeros
from cnnc.dsl import model as make_model
from cnnc.ir import verify

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = [entry.name for entry in models.entries()]

SMALL = {
    "lenet5": (1, 28, 28),
    "googlenet": (3, 64, 64),
    "resnet18_preact": (3, 64, 64),
    "cbam_resnet18": (3, 64, 64),
    "densenet121": (3, 32, 32),
    "squeezenet1_1": (3, 64, 64),
    "mobilenet_v1": (3, 64, 64),
    "mobilenet_v2": (3, 64, 64),
    "mobilenet_v3_small": (3, 64, 64),
    "shufflenet_v1_g8": (3, 64, 64),
    "shufflenet_v2_x0_5": (3, 64, 64),
    "efficientnet_b0": (3, 64, 64),
    "dncnn": (1, 24, 40),
    "espcn": (1, 21, 30),
    "tiny_yolov3": (3, 32, 64),
    "multitask": (3, 128, 128),
    "radar1d": (1, 256),
}
"""Channels and sizes for networks that take any size."""
QUICK = ("lenet5", "mobilenet_v3_small", "shufflenet_v2_x0_5", "espcn", "radar1d")
"""Matrices, gates, shuffled channels, upsampling and one axis, in every run of the tests."""


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[[Model], None]:
    """A function that gives a model statistics and compares it."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import batch_statistics
    import model_sweep

    def compare(model: Any) -> None:
        batch_statistics.give_statistics(model)
        result = model_sweep.check_model(model)
        assert not result.problem, result

    return compare


@pytest.mark.parametrize("name", ENTRIES)
def test_graphs_keep_the_rules(name: str) -> None:
    verify(models.model(name, init=zeros).graph())


@pytest.mark.jit
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SMALL])
def test_small_forms_against_float64(name: str, check: Callable[[Model], None]) -> None:
    check(make_model(models.find(name).network(), ("N", *SMALL[name]), name=name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_networks_against_float64(name: str, check: Callable[[Model], None]) -> None:
    check(models.model(name))
