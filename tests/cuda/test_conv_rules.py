"""Convolutions of small graphs, compiled for a GPU and run on the emulated one, against the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import cnnc
from cnnc.emulation import EmulatedDevice
from cnnc.interp import run
from cnnc.ir import Graph, Value
from cnnc.ops import OPS
from cnnc.types import DType, TensorType
from tests.numeric.tolerance import additions, assert_close

pytest.importorskip("numba_cuda")


class Network:
    """A graph under construction, with weights from a seed."""

    def __init__(self, *shape: int) -> None:
        self.graph, self.rng = Graph(OPS), np.random.default_rng(0)
        self.x = self.graph.add_input("x", TensorType(shape, DType.F32))

    def constant(self, *shape: int) -> Value:
        values = self.rng.standard_normal(shape, np.float32)
        return self.graph.add_constant(values / np.float32(np.sqrt(values[0].size)), "w")

    def layer(self, op: str, operands: Sequence[Value | None], **attrs: Any) -> Value:
        return self.graph.add_node(op, operands, OPS[op].attrs(**attrs)).output

    def kernels(self, *outputs: Value) -> dict[str, int]:
        """Run it both ways; how often each kernel was launched."""
        self.graph.set_outputs(outputs, [f"y{number}" for number in range(len(outputs))])
        x = self.rng.standard_normal([int(size) for size in self.x.type.shape], np.float32)
        truth = run(self.graph, {"x": x}, float64=True)
        compiled = cnnc.compile(self.graph, target="cuda:sm_80")
        device = EmulatedDevice()
        got = compiled.session(device=device).run(None, {"x": x})
        exact = {name: np.asarray(truth[name]) for name in truth}
        assert_close(dict(zip(exact, got, strict=True)), exact, additions(self.graph, {}))
        return {name: counters.issued["fma"] for name, counters in device.counters.items()}


def test_window_residual_and_activation() -> None:
    net = Network(2, 16, 9, 7)
    first = net.layer("relu", [net.layer("conv", [net.x, net.constant(24, 16, 3, 3)], pads=(1, 1, 1, 1))])
    second = net.layer("conv", [first, net.constant(24, 24, 1, 1)])
    kernels = net.kernels(net.layer("relu", [net.layer("add", [first, second])]))
    assert "conv.f32.implicit_gemm" in kernels and "host" not in kernels


def test_few_tiles_share_their_products() -> None:
    net = Network(1, 64, 5, 5)
    kernels = net.kernels(net.layer("conv", [net.x, net.constant(32, 64, 3, 3)], strides=(2, 2)))
    assert "conv.f32.sum_splits" in kernels


def test_concat_of_odd_channels_is_read_in_pieces() -> None:
    net = Network(1, 12, 6, 5)
    one = net.layer("conv", [net.x, net.constant(11, 12, 1, 1)])
    other = net.layer("conv", [net.x, net.constant(13, 12, 3, 3)], pads=(1, 1, 1, 1))
    joined = net.layer("concat", [one, other], axis=1)
    net.kernels(net.layer("conv", [joined, net.constant(9, 24, 3, 3)]))


def test_first_layer_of_a_volume_without_a_window_along_its_depth() -> None:
    net = Network(1, 2, 3, 4, 5)
    assert "conv.f32.plain_input" in net.kernels(net.layer("conv", [net.x, net.constant(5, 2, 1, 1, 1)]))


def test_first_layer_reads_its_plain_image() -> None:
    net = Network(2, 3, 13, 11)
    y = net.layer("conv", [net.x, net.constant(16, 3, 5, 5)], strides=(2, 2), pads=(2, 2, 2, 2))
    assert next(iter(net.kernels(net.layer("relu", [y])))) == "conv.f32.plain_input"


def test_transposed() -> None:
    net = Network(1, 12, 5, 4)
    w = net.constant(12, 10, 4, 4)
    y = net.layer("conv_transpose", [net.x, w], strides=(2, 2), pads=(1, 1, 1, 1))
    assert "conv.f32.implicit_gemm" in net.kernels(net.layer("relu", [y]))


@pytest.mark.parametrize("shape", [(2, 16, 31), (1, 16, 4, 5, 6)], ids=str)
def test_one_and_three_axes(shape: tuple[int, ...]) -> None:
    net = Network(*shape)
    rank = len(shape) - 2
    net.kernels(net.layer("conv", [net.x, net.constant(17, 16, *(3,) * rank)], pads=(1,) * 2 * rank))


def test_transposed_groups_of_a_few_channels() -> None:
    net = Network(1, 24, 6, 5)
    y = net.layer("conv_transpose", [net.x, net.constant(24, 2, 4, 3)], group=12, strides=(2, 2), pads=(1, 1, 1, 0))
    assert "conv_transpose.f32.grouped" in net.kernels(net.layer("relu", [y]))


def test_groups_of_whole_blocks_are_products() -> None:
    net = Network(1, 256, 14, 14)
    y = net.layer("conv", [net.x, net.constant(256, 128, 3, 3)], group=2, strides=(2, 2))
    assert "conv.f32.implicit_gemm" in net.kernels(net.layer("relu", [y]))
