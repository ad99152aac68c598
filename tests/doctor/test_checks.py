"""Each check fires on a model that has what it looks for, and is silent on one that has not. Nothing is compiled to
machine code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.doctor import CHECKS, Finding, Severity, diagnose
from cnnc.ir import Array, Graph, Value
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from cnnc.ops.conv import ConvAttrs
from cnnc.ops.linear import GemmAttrs
from cnnc.options import Options
from cnnc.types import DType, TensorType

RNG = np.random.default_rng(0)


def weights(*shape: int) -> Array:
    return (0.1 * RNG.standard_normal(shape)).astype(np.float32)


def image(graph: Graph, channels: int = 16, size: int = 14) -> Value:
    return graph.add_input("x", TensorType((1, channels, size, size), DType.F32))


def conv(graph: Graph, x: Value, weight: Array, name: str = "conv", pad: int = 0) -> Value:
    value = graph.add_constant(weight, f"{name}.weight")
    attrs = ConvAttrs(pads=(pad,) * 4)
    return graph.add_node("conv", [x, value], attrs, loc=(name,), names=(name,)).output


def simple(op: str, graph: Graph, *operands: Value, name: str = "") -> Value:
    return graph.add_node(op, operands, OPS[op].attrs(), loc=(name or op,)).output


def norm(graph: Graph, x: Value, name: str = "norm") -> Value:
    channels = x.type.shape[1]
    assert isinstance(channels, int)
    numbers = [1 + np.abs(weights(channels)) for _ in range(4)]
    operands = [x, *(graph.add_constant(array.astype(np.float32), f"{name}.{i}") for i, array in enumerate(numbers))]
    return graph.add_node("batch_normalization", operands, OPS["batch_normalization"].attrs(), loc=(name,)).output


def finished(graph: Graph, value: Value) -> Graph:
    graph.set_outputs([value], ["y"])
    return graph


def one_conv(weight: Array) -> Graph:
    graph = Graph(OPS, "one")
    first = conv(graph, image(graph, weight.shape[1]), weight)
    return finished(graph, conv(graph, simple("relu", graph, first), weights(16, weight.shape[0], 1, 1), "last"))


def with_values(*values: float) -> Graph:
    weight = weights(16, 16, 3, 3)
    weight.reshape(-1)[: len(values)] = values
    return one_conv(weight)


def scaled_channel(factor: float) -> Graph:
    weight = weights(16, 16, 3, 3)
    weight[3] *= factor
    return one_conv(weight)


def two_layers(second: Callable[[Array], Array]) -> Graph:
    first = weights(64, 64, 3, 3)
    graph = Graph(OPS, "two")
    x = conv(graph, image(graph, 64), first, "first")
    return finished(graph, conv(graph, x, second(first), "second"))


def skip_with_dead_filters(dead: int) -> Graph:
    """A sum over a skip connection: other channels of it keep the filters of zeros."""
    graph = Graph(OPS, "skip")
    x, weight = image(graph, 32), weights(32, 32, 3, 3)
    weight[:dead] = 0
    joined = simple("add", graph, conv(graph, x, weight, "dying", pad=1), x)
    return finished(graph, conv(graph, joined, weights(32, 32, 1, 1), "last"))


def pruned(density: float) -> Graph:
    weight = weights(64, 64, 3, 3)
    weight[RNG.random(weight.shape) > density] = 0
    return one_conv(weight)


def with_norm(*, behind_conv: bool) -> Graph:
    graph = Graph(OPS, "norm")
    x = image(graph, 16)
    y = norm(graph, conv(graph, x, weights(16, 16, 3, 3))) if behind_conv else norm(graph, simple("relu", graph, x))
    return finished(graph, conv(graph, simple("relu", graph, y), weights(16, 16, 3, 3), "last"))


def quantized(levels: int, *, float_op: bool = False) -> Graph:
    graph = Graph(OPS, "bytes")
    scale = graph.add_constant(np.float32(0.05), "scale")
    zero = graph.add_constant(np.uint8(128), "zero")
    weight_zero = graph.add_constant(np.int8(0), "weight_zero")

    def through_bytes(value: Value, name: str) -> Value:
        attrs = OPS["quantize_linear"].attrs()
        q = graph.add_node("quantize_linear", [value, scale, zero], attrs, loc=(f"{name}.q",)).output
        return graph.add_node(
            "dequantize_linear", [q, scale, zero], OPS["dequantize_linear"].attrs(), loc=(name,)
        ).output

    def layer(value: Value, name: str) -> Value:
        stored = RNG.integers(-levels, levels + 1, (16, 16, 1, 1)).astype(np.int8)
        weight = graph.add_node(
            "dequantize_linear",
            [graph.add_constant(stored, f"{name}.weight"), scale, weight_zero],
            OPS["dequantize_linear"].attrs(),
        ).output
        made = graph.add_node("conv", [value, weight], ConvAttrs(), loc=(name,)).output
        return through_bytes(made, f"{name}.out")

    x = layer(through_bytes(image(graph), "in"), "first")
    if float_op:
        x = through_bytes(simple("softmax", graph, x), "soft")
    return finished(graph, layer(x, "second"))


def flattened(*, pooled: bool) -> Graph:
    graph = Graph(OPS, "flat")
    x = conv(graph, image(graph, 3), weights(16, 3, 3, 3))
    x = simple("global_average_pool", graph, x) if pooled else x
    flat = simple("flatten", graph, x)
    size = flat.type.shape[1]
    assert isinstance(size, int)
    dense = graph.add_node("gemm", [flat, graph.add_constant(weights(size, 8), "w")], GemmAttrs(), loc=("dense",))
    return finished(graph, dense.output)


def channels(count: int) -> Graph:
    return one_conv(weights(count, 16, 3, 3))


def with_op(op: str) -> Graph:
    graph = Graph(OPS, "op")
    return finished(graph, simple(op, graph, conv(graph, image(graph), weights(16, 16, 3, 3))))


def maps(height: int | None) -> Graph:
    graph = Graph(OPS, "maps")
    size = symbol("H") if height is None else height
    x = graph.add_input("x", TensorType((1, 3, size, size), DType.F32))
    return finished(graph, conv(graph, conv(graph, x, weights(32, 3, 5, 5)), weights(16, 32, 1, 1), "last"))


def dense(batch: int) -> Graph:
    graph = Graph(OPS, "dense")
    x = graph.add_input("x", TensorType((batch, 512), DType.F32))
    weight = graph.add_constant(weights(512, 1024), "w")
    return finished(graph, graph.add_node("gemm", [x, weight], GemmAttrs(), loc=("dense",)).output)


def deep(layers: int) -> Graph:
    graph, weight = Graph(OPS, "deep"), weights(64, 64, 7, 7)
    x = image(graph, 64, 56)
    for index in range(layers):
        x = conv(graph, x, weight, f"conv{index}", pad=3)
    return finished(graph, x)


def activated(bias: float) -> Graph:
    graph = Graph(OPS, "activated")
    weight, shift = weights(16, 16, 3, 3), np.zeros(16, np.float32)
    shift[:6] = bias
    operands = [image(graph), graph.add_constant(weight, "w"), graph.add_constant(shift, "b")]
    x = graph.add_node("conv", operands, ConvAttrs(), loc=("conv",)).output
    return finished(graph, simple("relu", graph, x))


NORMAL = {"x": RNG.standard_normal((1, 16, 14, 14)).astype(np.float32)}
HUGE = {"x": 1e6 * NORMAL["x"]}
SPIKE = {"x": np.where(np.arange(14 * 14).reshape(14, 14) == 90, np.float32(2e4), NORMAL["x"]).astype(np.float32)}
BROKEN = {"x": np.full((1, 16, 14, 14), np.inf, np.float32)}

Sample = Mapping[str, Array] | None
CASES: list[tuple[str, Graph, Sample, Severity | None, str]] = [
    ("non-finite-weights", with_values(np.nan, np.inf), None, Severity.ERROR, "1 NaN and 1 infinite"),
    ("non-finite-weights", with_values(1.0), None, None, ""),
    ("denormal-weights", with_values(1e-39, -1e-40), None, Severity.WARNING, "2 of 2304 elements are denormal"),
    ("denormal-weights", with_values(0.0, 1e-37), None, None, ""),
    ("weight-range", scaled_channel(1e7), None, Severity.WARNING, "float16 ends at 65504"),
    ("weight-range", scaled_channel(1e4), None, Severity.INFO, "the median one"),
    ("weight-range", scaled_channel(10.0), None, None, ""),
    ("duplicate-weights", two_layers(lambda first: first.copy()), None, Severity.INFO, "2 constants of 147456 bytes"),
    ("duplicate-weights", two_layers(lambda first: first + 1), None, None, ""),
    ("dead-channels", skip_with_dead_filters(8), None, Severity.WARNING, "8 of its filters are zeros"),
    ("dead-channels", skip_with_dead_filters(0), None, None, ""),
    ("unused-sparsity", pruned(0.6), None, Severity.WARNING, "it is computed as if none were"),
    ("unused-sparsity", pruned(1.0), None, None, ""),
    ("unfolded-batch-norm", with_norm(behind_conv=False), None, Severity.WARNING, "behind relu 'relu', which has no"),
    ("unfolded-batch-norm", with_norm(behind_conv=True), None, None, ""),
    ("integer-conversions", quantized(127, float_op=True), None, Severity.WARNING, "softmax"),
    ("integer-weight-range", quantized(20), None, Severity.WARNING, "16 of 16 output channels use less than 32"),
    ("integer-weight-range", quantized(127), None, None, ""),
    ("integer-saturation", quantized(127), HUGE, Severity.WARNING, "clipped at the upper end"),
    ("integer-saturation", quantized(127), {"x": 1e-2 * NORMAL["x"]}, Severity.INFO, "of its range"),
    ("layout-conversions", flattened(pooled=False), None, Severity.WARNING, "becomes plain for reshape"),
    ("layout-conversions", flattened(pooled=True), None, None, ""),
    ("part-filled-blocks", channels(18), None, Severity.WARNING, "stored as 32 and computed as 32"),
    ("part-filled-blocks", channels(32), None, None, ""),
    ("host-ops", with_op("det"), None, Severity.WARNING, "det runs on the host"),
    ("host-ops", with_op("relu"), None, None, ""),
    ("open-sizes", maps(None), None, Severity.WARNING, "with fixed sizes it would get conv.f32.blocked.plain"),
    ("open-sizes", maps(40), None, None, ""),
    ("bandwidth-bound", dense(1), None, Severity.WARNING, "2.0 MiB of weights for 1.0 MFLOP"),
    ("bandwidth-bound", dense(256), None, None, ""),
    ("refused-methods", deep(40), None, Severity.INFO, "conv.f32.blocked.winograd was refused"),
    ("refused-methods", deep(2), None, None, ""),
    ("activation-range", activated(0.0), BROKEN, Severity.ERROR, "NaN or infinite"),
    ("activation-range", activated(0.0), HUGE, Severity.WARNING, "float16 ends at"),
    ("activation-range", activated(0.0), SPIKE, None, ""),
    ("activation-range", activated(0.0), NORMAL, None, ""),
    ("dead-activations", activated(-100.0), NORMAL, Severity.WARNING, "6 of 16 channels are 0"),
    ("dead-activations", activated(0.0), NORMAL, None, ""),
]


def findings(check: str, graph: Graph, sample: Sample) -> tuple[Finding, ...]:
    [result] = diagnose(graph, checks=[check], samples=None if sample is None else [sample]).results
    assert result.check == check and not result.skipped
    return result.findings


@pytest.mark.parametrize(("check", "graph", "sample", "severity", "fact"), CASES)
def test_check(check: str, graph: Graph, sample: Sample, severity: Severity | None, fact: str) -> None:
    found = findings(check, graph, sample)
    if severity is None:
        assert not found
        return
    first = found[0]
    assert first.severity is severity and fact in first.fact
    assert first.where and first.cost and first.advice
    assert [item.severity for item in found] == sorted((item.severity for item in found), reverse=True)


def test_every_check_has_a_case_that_fires() -> None:
    assert {name for name, _, _, severity, _ in CASES if severity is not None} == {check.name for check in CHECKS}


def test_borders_of_an_integer_model_are_no_warning() -> None:
    found = findings("integer-conversions", quantized(127), None)
    assert {item.severity for item in found} == {Severity.INFO} and any("floats come in" in item.fact for item in found)


def test_zeros_that_pay_are_told_with_their_gain() -> None:
    graph, weight = Graph(OPS, "sparse"), weights(256, 256, 3, 3)
    weight[RNG.random(weight.shape) > 0.03] = 0
    x = conv(graph, image(graph, 256, 28), weight)
    graph = finished(graph, conv(graph, x, weights(16, 256, 1, 1), "last"))
    [found] = findings("unused-sparsity", graph, None)
    assert found.severity is Severity.INFO and "conv.f32.blocked.sparse leaves the others out" in found.fact


def test_a_norm_that_others_read_says_so() -> None:
    graph = Graph(OPS, "shared")
    x = conv(graph, image(graph), weights(16, 16, 3, 3), pad=1)
    graph = finished(graph, simple("add", graph, simple("relu", graph, norm(graph, x)), x))
    [found] = findings("unfolded-batch-norm", graph, None)
    assert "2 read the result of conv 'conv'" in found.fact


def test_levels_change_what_is_found() -> None:
    graph = with_norm(behind_conv=True)
    [result] = diagnose(graph, options=Options(0), checks=["unfolded-batch-norm"]).results
    assert result.findings  # -O0 folds nothing
    assert Activation().kind == "none"
