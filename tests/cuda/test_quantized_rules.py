"""Which GPU kernels take ops on bytes, and that results are those of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import compile_graph
from cnnc.ir import Graph
from cnnc.options import Options
from cnnc.types import DType
from tests.cuda.devices import program_device
from tests.lower.test_quantized import DTYPES, quantized_conv

pytestmark = pytest.mark.jit


def run_on_gpu(graph: Graph, feeds: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Results, and the rules that lowered the graph's ops."""
    pytest.importorskip("numba_cuda")
    model = compile_graph(graph, Options(target="cuda:sm_80"))
    model.device = program_device()
    return model.run(feeds), [decision.chosen for decision in model.lowered.decisions]


@pytest.mark.parametrize(
    ("kernel", "case"),
    [
        ("conv.u8.implicit_gemm", {"x_zero": 77, "dtype": DType.I8}),
        ("conv.u8.implicit_gemm", {"w_shape": (24, 20, 1, 1), "pads": (0, 0, 0, 0), "x_zero": 200}),
        ("conv.u8.depthwise", {"w_shape": (20, 1, 3, 3), "group": 20, "x_zero": 9}),
        ("conv.u8.implicit_gemm", {"shape": (1, 16, 9, 7), "w_shape": (24, 4, 3, 3), "group": 4, "x_zero": 5}),
        ("conv.u8.implicit_gemm", {"shape": (1, 15, 9, 7), "w_shape": (9, 5, 3, 3), "group": 3, "x_zero": 5}),
        ("conv.u8.implicit_gemm", {"shape": (1, 20, 9), "w_shape": (24, 20, 3), "pads": (1, 1), "x_zero": 9}),
        (
            "conv.u8.implicit_gemm",
            {"shape": (2, 5, 3, 4, 5), "w_shape": (6, 5, 2, 3, 3), "pads": (1,) * 6, "dtype": DType.I8},
        ),
        # Weights beyond int8, as sums of int8.
        ("conv.u8.implicit_gemm", {"weights": np.full((24, 20, 3, 3), 255, np.uint8), "w_zero": 100, "x_zero": 5}),
        ("conv.u8.plain_input", {"shape": (1, 3, 9, 7), "w_shape": (24, 3, 3, 3), "x_zero": 100}),
        ("conv.u8.plain_input", {"shape": (2, 3, 9, 8), "w_shape": (24, 3, 3, 3), "x_zero": 7, "dtype": DType.I8}),
        # Sums beyond int32, whose results are 255 for every input.
        ("conv.u8.implicit_gemm", {"bias": 2**31 - 1000, "x_zero": 5}),
    ],
)
def test_convolutions_equal_the_reference(kernel: str, case: dict[str, Any]) -> None:
    graph = quantized_conv(**case)
    dtype = DTYPES[case.get("dtype", DType.U8)]
    x = np.random.default_rng(2).integers(0, 256, case.get("shape", (1, 20, 9, 7))).astype(np.uint8).view(dtype)
    expected = interp.run(graph, {"x": x})["y"]
    found, chosen = run_on_gpu(graph, {"x": x})
    assert kernel in chosen and "host" not in chosen
    np.testing.assert_array_equal(found["y"], expected)
