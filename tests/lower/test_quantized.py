"""Which kernels take ops on bytes, what is left to the host, and that results are those of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import CompiledModel, compile_graph
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.ops.quantized import QuantizedConvAttrs
from cnnc.options import Options
from cnnc.types import DType, TensorType

DTYPES = {DType.U8: np.uint8, DType.I8: np.int8}

BYTES = np.arange(256, dtype=np.uint8)
LINE = {"shape": (1, 20, 9), "pads": (2, 2)}


def quantized_conv(
    shape: tuple[int, ...] = (1, 20, 9, 7),
    w_shape: tuple[int, ...] = (24, 20, 3, 3),
    *,
    weights: Any = None,
    dtype: DType = DType.U8,
    x_zero: int = 0,
    w_zero: int = 0,
    bias: int = 0,
    x_scale: float = 0.01,
    group: int = 1,
    pads: tuple[int, ...] = (1, 1, 1, 1),
    strides: tuple[int, ...] = (),
) -> Graph:
    graph = Graph(OPS, "quantized")
    if weights is None:
        weights = np.random.default_rng(1).integers(-128, 128, w_shape).astype(np.int8)
    constants = {
        "x_scale": np.float32(x_scale),
        "x_zero": np.array(x_zero, DTYPES[dtype]),
        "w": weights,
        "w_scale": np.full(len(weights), 0.002, np.float32),
        "w_zero": np.full(len(weights), w_zero, weights.dtype),
        "y_scale": np.float32(0.04),
        "y_zero": np.array(3, DTYPES[dtype]),
        "bias": np.full(len(weights), bias, np.int32),
    }
    x = graph.add_input("x", TensorType(shape, dtype))
    operands = [x, *(graph.add_constant(np.asarray(array), name) for name, array in constants.items())]
    attrs = QuantizedConvAttrs(pads=pads, strides=strides, group=group)
    node = graph.add_node("q_linear_conv", operands, attrs, names=["y"])
    graph.set_outputs([node.output], ["y"])
    return graph


def compiled(graph: Graph) -> tuple[CompiledModel, str, str]:
    """The model, the kernel of its convolution, and why others were refused."""
    model = compile_graph(graph, Options())
    [decision] = [decision for decision in model.lowered.decisions if decision.op == "q_linear_conv"]
    return model, decision.chosen, "; ".join(reason for _, reason in decision.refused)


@pytest.mark.parametrize(
    ("kernel", "case"),
    [
        ("conv.u8.blocked.direct", {}),
        ("conv.u8.blocked.direct", {"x_zero": 77, "dtype": DType.I8}),
        ("conv.u8.blocked.pointwise", {"w_shape": (24, 20, 1, 1), "pads": (0, 0, 0, 0), "x_zero": 200}),
        ("conv.u8.blocked.depthwise", {"w_shape": (20, 1, 3, 3), "group": 20}),
        ("conv.u8.blocked.direct", {"w_shape": (20, 1, 3, 3), "group": 20, "x_zero": 9}),
        ("conv.u8.blocked.direct", {"weights": np.full((24, 20, 3, 3), 255, np.uint8), "w_zero": 128}),
        ("conv.u8.blocked.direct", {"shape": (1, 20, 9), "w_shape": (24, 20, 3), "pads": (1, 1), "x_zero": 9}),
        (
            "conv.u8.blocked.direct",
            {"shape": (1, 5, 4, 7, 5), "w_shape": (6, 5, 3, 3, 2), "pads": (1, 0, 1, 2, 1, 0), "x_zero": 9},
        ),
        (
            "conv.u8.blocked.direct",
            {"shape": (2, 5, 3, 4, 5), "w_shape": (6, 5, 2, 3, 3), "pads": (1,) * 6, "x_zero": 0, "dtype": DType.I8},
        ),
        # Weights beyond int8, as sums of int8.
        ("conv.u8.blocked.direct", {"weights": np.full((24, 20, 3, 3), 255, np.uint8), "w_zero": 100, "x_zero": 5}),
        ("conv.u8.blocked.direct", {"weights": np.full((20, 1, 3, 3), 255, np.uint8), "group": 20, "dtype": DType.I8}),
        ("conv.u8.blocked.direct", {"weights": BYTES[:100].reshape(20, 1, 5), "w_zero": 255, "group": 20} | LINE),
        ("conv.u8.blocked.plain_input", {"shape": (1, 3, 9, 7), "w_shape": (24, 3, 3, 3), "x_zero": 100}),
        ("conv.u8.blocked.direct", {"shape": (1, 4, 9, 7), "w_shape": (24, 4, 3, 1), "pads": (1, 0, 1, 0)}),
        # Sums beyond int32, whose results are 255 for every input.
        ("conv.u8.blocked.direct", {"bias": 2**31 - 1000, "x_zero": 5}),
    ],
)
@pytest.mark.jit
def test_kernels_equal_the_reference(kernel: str, case: dict[str, Any]) -> None:
    graph = quantized_conv(**case)
    dtype = DTYPES[case.get("dtype", DType.U8)]
    x = np.random.default_rng(2).integers(0, 256, case.get("shape", (1, 20, 9, 7))).astype(np.uint8).view(dtype)
    expected = interp.run(graph, {"x": x})["y"]
    model, chosen, _ = compiled(graph)
    assert chosen == kernel
    np.testing.assert_array_equal(model.run({"x": x})["y"], expected)


@pytest.mark.parametrize(
    ("reason", "case"),
    [
        ("may not fit int32", {"bias": 2**31 - 1000, "x_scale": 100.5 / 2**31 * 0.04 / 0.002}),
        ("is not finite", {"x_scale": np.inf}),
    ],
)
def test_what_bytes_cannot_hold_is_left_to_the_host(reason: str, case: dict[str, Any]) -> None:
    _, chosen, refused = compiled(quantized_conv(**case))
    assert chosen == "host"
    assert reason in refused


@pytest.mark.parametrize(
    ("rows", "depth", "dtype"), [(1, 9, DType.U8), (5, 7, DType.I8), (3, 4, DType.U8), (2, 1, DType.I8)]
)
@pytest.mark.jit
def test_matrices_of_any_depth_equal_the_reference(rows: int, depth: int, dtype: DType) -> None:
    graph = Graph(OPS, "matrix")
    rng = np.random.default_rng(3)
    weights = rng.integers(-128, 128, (depth, 19)).astype(np.int8)
    pair = [np.float32(0.05 * depth), np.array(3, DTYPES[dtype])]
    constants = [np.float32(0.02), np.array(7, DTYPES[dtype]), weights, np.float32(0.01), np.int8(0), *pair]
    x = graph.add_input("x", TensorType((rows, depth), dtype))
    operands = [x, *(graph.add_constant(np.asarray(array), f"c{index}") for index, array in enumerate(constants))]
    graph.set_outputs([graph.add_node("q_linear_matmul", operands, names=["y"]).output], ["y"])
    feeds = {"x": rng.integers(0, 256, (rows, depth)).astype(np.uint8).view(DTYPES[dtype])}
    expected = interp.run(graph, feeds)["y"]
    model = compile_graph(graph, Options())
    assert model.lowered.decisions[-1].chosen == "gemm.u8"
    np.testing.assert_array_equal(model.run(feeds)["y"], expected)
