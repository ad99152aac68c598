"""Whole networks on the emulated GPU: outputs within the limits of the CPU's, no op on the host, arenas poisoned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnc
from cnnc import interp, models
from cnnc.compiler import read_graph
from cnnc.dsl import Input, Module
from cnnc.frontends.dsl.model import model as make_model
from cnnc.ir import Graph
from cnnc.models.unet import UNet
from cnnc.models.unet3d import UNet3d
from cnnc.runtime.cuda.executor import DeviceExecutor
from cnnc.runtime.input_check import bind_shapes
from cnnc.sample_inputs import sample_arrays
from tests.cuda.devices import program_device

pytestmark = [pytest.mark.jit, pytest.mark.usefixtures("compiler")]

BUNDLED = Path(__file__).resolve().parent.parent.parent / "examples" / "models"
LIMIT = 1e-3
"""Of an output's error at -O2, in standard deviations of the float64 result."""


@pytest.fixture(scope="module")
def compiler() -> None:
    pytest.importorskip("numba_cuda")


def bundled(name: str, batch: int = 1) -> Graph:
    path = BUNDLED / name
    graph = read_graph(path)
    return read_graph(path, {value.name: (batch, *value.type.shape[1:]) for value in graph.inputs})


def network(name: str, *sizes: int) -> Graph:
    """A network of the catalogue with random numbers, at batch 1 and a small image."""
    entry = models.find(name)
    [(port, given)] = entry.inputs.items()
    shape = (1, given.shape[1], *(sizes or given.shape[2:]))
    return make_model(entry.network(), {port: type(given)("N", *shape[1:])}, name=name, seed=0).graph({port: shape})


def traced(module: Module, *shape: int) -> Graph:
    """A network of its own sizes, at batch 1."""
    return make_model(module, {"x": Input("N", *shape)}, seed=0).graph({"x": (1, *shape)})


CASES: dict[str, Callable[[], Graph]] = {
    "lenet5": lambda: bundled("lenet5_fashion.onnx", 3),
    "resnet14": lambda: bundled("resnet14_fashion-bn.onnx"),
    "mobilenet_v2 of the bundle": lambda: bundled("mbv2mini_fashion-bn.onnx"),
    "sparse resnet14": lambda: bundled("resnet14_fashion-bn-pruned90.onnx"),
    "mobilenet_v2": lambda: network("mobilenet_v2", 32, 32),
    "mobilenet_v3_small": lambda: network("mobilenet_v3_small", 32, 32),
    "shufflenet_v2_x0_5": lambda: network("shufflenet_v2_x0_5", 32, 32),
    "squeezenet1_1": lambda: network("squeezenet1_1", 32, 32),
    "1-D": lambda: network("radar1d"),
    "unet": lambda: traced(UNet(width=8), 3, 32, 16),
    "3-D unet": lambda: traced(UNet3d(), 3, 8, 8, 8),
    "groups": lambda: network("shufflenet_v1_g8", 32, 32),
    "dense blocks": lambda: network("densenet121", 32, 32),
    "gates": lambda: network("cbam_resnet18", 32, 32),
    "pyramid pools": lambda: network("deeplabv3_resnet50", 33, 33),
    "multitask": lambda: network("multitask", 32, 32),
    "espcn": lambda: network("espcn", 17, 13),
}
"""Every family of layers once; ``benchmarks/cuda_models.py`` runs the rest."""

LONG = (
    "mobilenet_v2 of the bundle",
    "3-D unet",
    "mobilenet_v3_small",
    "squeezenet1_1",
    "groups",
    "dense blocks",
    "gates",
    "pyramid pools",
    "multitask",
    "espcn",
)
"""Networks of kernels that the numeric suite has too, for long runs."""


def run_on_device(graph: Graph, feeds: dict[str, Any], **options: Any) -> tuple[dict[str, Any], Sequence[str]]:
    """Outputs by name, and the ops that ran on the host."""
    compiled = cnnc.compile(graph, target="cuda:sm_80", **options)
    executor = DeviceExecutor(compiled.executable, program_device(), poison=True)
    ports = compiled.lowered.program.inputs
    arrays = [feeds[port.name] for port in ports]
    outputs = executor.run(arrays, bind_shapes(ports, arrays))
    host = [decision.op for decision in compiled.lowered.decisions if decision.chosen == "host"]
    return dict(zip(compiled.graph.output_names, outputs, strict=True)), host


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in CASES]
)
def test_is_as_accurate_as_on_the_cpu(case: str) -> None:
    graph = CASES[case]()
    feeds = sample_arrays({value.name: value.type for value in graph.inputs}, 1)
    truth = interp.run(graph, feeds, float64=True)
    outputs, host = run_on_device(graph, feeds)
    assert host == []
    for name, exact in truth.items():
        error = np.abs(outputs[name] - exact).max() / max(float(exact.std()), 1e-30)
        assert error <= LIMIT, f"{name}: {error:.1e}"
