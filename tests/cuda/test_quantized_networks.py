"""Quantized networks on the emulated GPU: the CPU program's bytes, bit by bit, and no op left to the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc.compiler import read_graph
from cnnc.emulation import EmulatedDevice
from cnnc.ir.clone import clone_graph
from cnnc.lower.cuda.quantized_conv import joined_groups
from cnnc.runtime.program import HostStep
from tests.cuda.devices import program_device

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.jit


def images() -> np.ndarray:
    """Bundled images as the models take them, float32 [500, 1, 28, 28]."""
    with np.load(EXAMPLES / "images" / "fashion_quantization.npz") as arrays:
        return (arrays["images"][:, None].astype(np.float32) / 255 - np.float32(0.2860)) / np.float32(0.3530)


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("lenet5_fashion", "sm_80"),
        pytest.param("resnet14_fashion-bn", "sm_80", marks=pytest.mark.slow),
        pytest.param("mbv2mini_fashion-bn", "sm_75", marks=pytest.mark.slow),
    ],
)
def test_equals_the_cpu(name: str, architecture: str) -> None:
    pytest.importorskip("numba_cuda")
    x = images()
    graph = read_graph(EXAMPLES / "models" / f"{name}.onnx")
    source = graph.inputs[0].name
    quantized = cnnc.quantize(graph, [{source: x[:32]}]).graph
    expected = cnnc.compile(clone_graph(quantized)).session().run(None, {source: x[100:101]})
    compiled = cnnc.compile(quantized, target=f"cuda:{architecture}")
    assert not any(isinstance(step, HostStep) for step in compiled.lowered.program.steps)
    device = program_device()
    for got, wanted in zip(compiled.session(device=device).run(None, {source: x[100:101]}), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    if isinstance(device, EmulatedDevice):
        assert sum(counters.conflicts for counters in device.counters.values()) == 0


@pytest.mark.parametrize(
    ("groups", "outputs", "inputs", "count"), [(1, 5, 3, 1), (4, 4, 4, 2), (6, 8, 8, 6), (3, 5, 8, 1), (8, 2, 4, 2)]
)
def test_small_groups_are_joined(groups: int, outputs: int, inputs: int, count: int) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 100, (groups * outputs, inputs, 2)).astype(np.int8)
    physical = -(-groups * inputs // 8) * 8
    found = joined_groups(weights, groups, range(groups * inputs), physical)
    assert found.count == (count if physical == groups * inputs else 1)
    x = rng.integers(0, 100, (physical, 2))
    own = x[: groups * inputs].reshape(groups, 1, inputs, 2)
    expected = (weights.reshape(groups, outputs, inputs, 2).astype(int) * own).sum((2, 3)).reshape(-1)
    parts = x.reshape(found.count, 1, -1, 2)
    got = (found.weights.reshape(found.count, -1, *found.weights.shape[1:]).astype(int) * parts).sum((2, 3))
    np.testing.assert_array_equal(got.reshape(-1), expected)
