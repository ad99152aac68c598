"""Measured selection for a GPU: the emulated one, whose times mean nothing but whose programs are real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc import compiler
from cnnc.emulation import EmulatedDevice
from cnnc.errors import OptionError
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.tuning import DeviceStopwatch, Environment, read_tuning
from cnnc.types import DType, TensorType

pytestmark = pytest.mark.jit


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EmulatedDevice:
    pytest.importorskip("numba_cuda")
    monkeypatch.setenv("CNNC_CACHE_DIR", str(tmp_path / "cache"))
    return EmulatedDevice()


def convolution() -> Graph:
    """1x1, 16 to 24 channels at 5x6."""
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((1, 16, 5, 6), DType.F32))
    w = graph.add_constant(np.random.default_rng(0).standard_normal((24, 16, 1, 1), np.float32), "w")
    graph.set_outputs([graph.add_node("conv", [x, w], OPS["conv"].attrs(), names=["y"]).output], ["y"])
    return graph


def test_tuned_programs_give_the_same_results(device: EmulatedDevice, tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    tuning = cnnc.tune(convolution(), out=path, device=device, seconds=0.001, again=True)
    assert tuning.environment.cpu == "emulated sm_80"
    [layer] = tuning.layers.values()
    assert len(layer.candidates) > 1
    assert all(seconds > 0 for seconds in layer.seconds)
    assert read_tuning(path) == tuning
    x = {"x": np.random.default_rng(1).standard_normal((1, 16, 5, 6), np.float32)}
    results = []
    for level, given in ((2, None), (3, path)):
        model = cnnc.compile(convolution(), level=level, tuning=given, target="cuda:sm_80")
        model.device = device
        results.append(model.run(x)["y"])
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)


def test_a_tuning_of_the_cpu_does_not_fit(device: EmulatedDevice) -> None:
    tuning = cnnc.tune(convolution(), device=device, seconds=0.001)
    with pytest.raises(OptionError, match="it was measured for target sm_80"):
        cnnc.compile(convolution(), level=3, tuning=tuning)


def test_kernels_are_loaded_once_and_counted(device: EmulatedDevice) -> None:
    told: list[tuple[int, int]] = []
    stopwatch = DeviceStopwatch(device, progress=lambda done, total: told.append((done, total)))
    variants = list(cnnc.compile(convolution(), target="cuda:sm_80").lowered.program.variants())
    stopwatch.compile([*variants, *variants])
    assert told == [(done, len(variants)) for done in range(1, len(variants) + 1)]


def test_the_environment_of_a_gpu_is_not_that_of_a_cpu(device: EmulatedDevice) -> None:
    target = cnnc.compile(convolution(), target="cuda:sm_80").target
    assert Environment.here(target).cpu == ""
    assert Environment.here(target, device=device).target == "sm_80"


def test_what_need_not_be_here_is_not_tuned() -> None:
    with pytest.raises(OptionError, match="cuda:sm_80 need not be this machine"):
        compiler.tune(convolution(), target="cuda:sm_80")
