"""Layers on tensor cores on the emulated device: which get them, why others do not, and what they compute."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.emulation import EmulatedDevice
from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

pytest.importorskip("numba_cuda")

CONV, GEMM = "conv.mma.implicit_gemm", "gemm.mma"
RNG = np.random.default_rng(17)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def gemm(rows, columns, depth, *, weights=None, **attrs):
    """A graph of one product with constant weights."""
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((depth, rows) if attrs.get("transA") else (rows, depth), DType.F32))
    weights = random(depth, columns) / np.float32(np.sqrt(depth)) if weights is None else weights
    operands = [x, graph.add_constant(weights, "w"), graph.add_constant(random(columns), "c")]
    graph.set_outputs([graph.add_node("gemm", operands, OPS["gemm"].attrs(**attrs), names=["y"]).output], ["y"])
    return graph


def decision(graph, op, precision="f16", architecture="sm_80"):
    compiled = cnnc.compile(graph, target=f"cuda:{architecture}", precision=precision)
    return [item for item in compiled.lowered.decisions if item.op == op][-1]


def reason(graph, op, rule, **options):
    found = decision(graph, op, **options)
    assert found.chosen != rule
    [said] = [why for name, why in found.refused if name == rule]
    return said


def check(graph, precision, *kernels, atol=1e-4):
    """Equal to the interpreter with rounded factors; all products are those of the kernels."""
    imported = clone_graph(graph)
    compiled = cnnc.compile(graph, target="cuda:sm_80", precision=precision)
    assert {item.chosen for item in compiled.lowered.decisions if item.op in ("conv", "gemm")} <= set(kernels)
    feeds = {value.name: random(*value.type.shape) for value in graph.inputs}
    expected = interp.run(imported, feeds, float64=True, precision=precision)
    device = EmulatedDevice()
    got = compiled.session(device=device).run(None, feeds)
    for name, array in zip(imported.output_names, got):
        np.testing.assert_allclose(array, expected[name], atol=atol)
    assert set(kernels) <= set(device.counters)


@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
def test_products_of_many_rows(precision):
    check(gemm(96, 130, 256, alpha=0.5), precision, GEMM)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (gemm(96, 130, 254), "rows are no multiples of 16 bytes"),
        (gemm(96, 128, 256, transA=1), "transposed"),
        (
            gemm(96, 128, 256, weights=np.full((256, 128), 7e4, np.float32)),
            "a weight of 7e+04 is beyond the range of f16",
        ),
        (gemm(96, 128, 256, weights=np.full((256, 128), 7, np.float32), alpha=1e4), "beyond the range of f16"),
        (gemm(1, 8, 64), "is estimated to take"),
    ],
    ids=["odd depth", "transposed", "weights", "scaled weights", "small"],
)
def test_products_that_stay_in_float32(graph, said):
    assert said in reason(graph, "gemm", GEMM)


def test_float32_unless_asked_for():
    assert reason(gemm(96, 128, 256), "gemm", GEMM, precision="f32") == "the precision is f32"


def test_large_weights_fit_bfloat16():
    graph = gemm(96, 128, 256, weights=np.full((256, 128), 7e4, np.float32))
    assert decision(graph, "gemm", precision="bf16").chosen == GEMM


def test_few_rows_share_the_steps():
    """A classifier of a batch of 64: blocks of threads divide its inner dimension."""
    compiled = cnnc.compile(gemm(64, 64, 4096), target="cuda:sm_80", precision="f16")
    names = [call.variant.kernel for step in compiled.executable.program.steps for call in step.choices[0].calls]
    assert names == [GEMM, "gemm.f32.sum_splits"]
    check(gemm(64, 64, 4096), "f16", *names)


def conv(channels, filters, size, *, kernel=1, weights=None, normalized=False, **attrs):
    """A graph of a convolution of a blocked tensor, which a pool of a plain input makes without rounding."""
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((1, channels, size + 1, size + 1), DType.F32))
    x = graph.add_node("max_pool", [x], OPS["max_pool"].attrs(kernel_shape=(2, 2))).output
    if normalized:
        facts = [graph.add_constant(np.abs(random(channels)) + 1, name) for name in ("scale", "b", "mean", "var")]
        x = graph.add_node("batch_normalization", [x, *facts], OPS["batch_normalization"].attrs()).output
        x = graph.add_node("relu", [x], OPS["relu"].attrs()).output
    inputs = channels // attrs.get("group", 1)
    shape = (filters, inputs, kernel, kernel)
    weights = random(*shape) / np.float32(np.sqrt(inputs) * kernel) if weights is None else weights
    operands = [x, graph.add_constant(weights, "w")]
    graph.set_outputs([graph.add_node("conv", operands, OPS["conv"].attrs(**attrs), names=["y"]).output], ["y"])
    return graph


@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
def test_convolutions(precision):
    check(conv(64, 96, 28, kernel=3, pads=(1, 1, 1, 1), strides=(2, 2)), precision, CONV)


def test_convolutions_with_odd_channels_and_groups():
    check(conv(69, 50, 24, kernel=3, pads=(1, 1, 1, 1)), "f16", CONV)
    check(conv(96, 64, 24, kernel=3, group=2), "f16", CONV)


def test_convolutions_behind_a_normalization():
    """It is the convolution's prologue, computed before factors are rounded; in float32, so some round elsewhere."""
    check(conv(64, 96, 28, normalized=True), "f16", CONV, atol=1e-3)
    found = cnnc.compile(conv(64, 96, 28, normalized=True), target="cuda:sm_80", precision="f16")
    calls = [call for step in found.executable.program.steps for call in step.choices[0].calls]
    assert [call.variant.options["prologue"] for call in calls if call.variant.kernel == CONV] == ["relu"]


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        ({"channels": 64, "filters": 64, "kernel": 3, "pads": (1, 1, 1, 1)}, 56),
        ({"channels": 512, "filters": 512, "kernel": 3, "pads": (1, 1, 1, 1)}, 7),
        ({"channels": 256, "filters": 64}, 56),
        ({"channels": 2048, "filters": 512}, 7),
    ],
    ids=["3x3 64", "3x3 512", "1x1 256", "1x1 2048"],
)
@pytest.mark.parametrize("precision", ["tf32", "f16"])
def test_layers_of_a_resnet_are_estimated_to_be_faster(layer, size, precision):
    assert decision(conv(size=size, **layer), "conv", precision).chosen == CONV


def test_convolutions_whose_weights_are_too_large_stay_in_float32():
    large = np.full((64, 64, 1, 1), -1e5, np.float32)
    said = reason(conv(64, 64, 14, weights=large), "conv", CONV)
    assert said == "a weight of 1e+05 is beyond the range of f16"
    assert reason(conv(64, 64, 14, weights=large), "conv", CONV, precision="f32") == "the precision is f32"
