"""What stands between convolutions of bytes: no conversions, nothing on the host, and the reference's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.dims import symbol
from cnnc.ir import Graph, Value
from cnnc.ir.clone import clone_graph
from cnnc.ops import OPS
from cnnc.runtime.program import KernelStep
from cnnc.types import DType, TensorType

pytestmark = pytest.mark.jit


class ByteNetwork:
    """A graph under construction whose input is u8[N, 5, 6, 7], quantized with the scale 0.05 and zero point 3."""

    def __init__(self) -> None:
        self.graph = Graph(OPS)
        self.rng = np.random.default_rng(0)
        self.graph.add_input("x", TensorType((symbol("N"), 5, 6, 7), DType.U8))

    @property
    def x(self) -> Value:
        return self.graph.inputs[0]

    def const(self, array: Any, dtype: Any = np.float32) -> Value:
        return self.graph.add_constant(np.asarray(array, dtype), "c")

    def pair(self, scale: float = 0.05, zero: int = 3) -> list[Value]:
        return [self.const(scale), self.const(zero, np.uint8)]

    def op(self, name: str, inputs: list[Value | None], **attrs: Any) -> Value:
        return self.graph.add_node(name, inputs, OPS[name].attrs(**attrs)).outputs[0]

    def conv(self, x: Value, channels: int, kernel: int = 3) -> Value:
        shape = (channels, int(x.type.shape[1]), kernel, kernel)
        weights = self.const(self.rng.integers(-128, 128, shape), np.int8)
        scales = [self.const(0.01), self.const(0, np.int8)]
        return self.op("q_linear_conv", [x, *self.pair(), weights, *scales, *self.pair()], pads=(kernel // 2,) * 4)

    def check(self, output: Value) -> list[str]:
        """Compile, compare bit for bit at batches 1 and 3, return the ops of the steps; none may run on the host."""
        self.graph.set_outputs([output], ["y"])
        reference = clone_graph(self.graph)
        model = cnnc.compile(self.graph)
        for batch in (1, 3):
            x = np.random.default_rng(batch).integers(0, 256, (batch, 5, 6, 7)).astype(np.uint8)
            np.testing.assert_array_equal(model.run({"x": x})["y"], interp.run(reference, {"x": x})["y"])
        steps = model.lowered.program.steps
        assert [step.op for step in steps if not isinstance(step, KernelStep)] == []
        return [step.op for step in steps]


@pytest.fixture
def net() -> ByteNetwork:
    return ByteNetwork()


def concat(net: ByteNetwork, pieces: list[Value], scales: list[float]) -> Value:
    triples = [part for piece, scale in zip(pieces, scales) for part in (piece, *net.pair(scale))]
    return net.op("q_linear_concat", [*net.pair(), *triples], axis=1)


@pytest.mark.parametrize("channels", [(16, 32), (8, 24, 5), (1, 1)])
def test_pieces_of_one_scale_are_written_in_place(net: ByteNetwork, channels: tuple[int, ...]) -> None:
    pieces = [net.conv(net.x, count) for count in channels]
    ops = net.check(net.conv(concat(net, pieces, [0.05] * len(pieces)), 9))
    assert ops.count("q_linear_conv") == len(ops) - 1 and ops.count("convert_layout") == 1


@pytest.mark.parametrize("channels", [(16, 32), (8, 24, 5), (1, 1)])
def test_pieces_of_other_scales_are_looked_up_into_their_place(net: ByteNetwork, channels: tuple[int, ...]) -> None:
    pieces = [net.conv(net.x, count) for count in channels]
    ops = net.check(net.conv(concat(net, pieces, [0.05, 0.04, 0.07][: len(pieces)]), 9))
    assert ops.count("requantize") == len(pieces) - 1 and "concat" not in ops


def test_a_pool_reads_and_writes_ranges_of_channels(net: ByteNetwork) -> None:
    window = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    pieces = [net.conv(net.x, 16), net.op("max_pool", [net.conv(net.x, 24)], **window)]
    joined = concat(net, pieces, [0.05, 0.05])
    ops = net.check(net.conv(net.op("max_pool", [joined], **window, strides=(2, 2)), 9))
    assert "concat" not in ops and ops.count("max_pool") == 2


@pytest.mark.parametrize("window", [{"strides": (2, 1)}, {"pads": (0, 1, 1, 1)}], ids=str)
def test_a_pool_of_plain_bytes_is_a_kernel(net: ByteNetwork, window: dict[str, Any]) -> None:
    assert net.check(net.op("max_pool", [net.x], kernel_shape=(2, 3), **window)) == ["max_pool"]


@pytest.mark.parametrize("include_pad", [0, 1])
def test_means(net: ByteNetwork, include_pad: int) -> None:
    window = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "count_include_pad": include_pad}
    pooled = net.op("q_linear_average_pool", [net.conv(net.x, 20), *net.pair(), *net.pair(0.03, 9)], **window)
    ops = net.check(net.conv(concat(net, [net.conv(net.x, 9), pooled], [0.05, 0.05]), 9))
    assert ops.count("convert_layout") == 1 and "concat" not in ops


@pytest.mark.parametrize("shape", [(None, 20, 6, 7), (None, 20, 1, 1)])
@pytest.mark.parametrize("op", ["q_linear_add", "q_linear_mul"])
def test_sums_and_products(net: ByteNetwork, op: str, shape: tuple[int, ...]) -> None:
    a = net.conv(net.x, 20)
    b = net.conv(net.x, 20)
    if shape[2] == 1:
        b = net.op("q_linear_global_average_pool", [b, *net.pair(), *net.pair(0.03)])
    product = net.op(op, [a, *net.pair(), b, *net.pair(0.02, 90), *net.pair(0.07, 41)])
    assert "convert_layout" not in net.check(net.conv(product, 9))[1:-1]


@pytest.mark.parametrize("op", ["q_linear_sigmoid", "q_linear_leaky_relu"])
def test_functions_of_one_byte(net: ByteNetwork, op: str) -> None:
    y = net.op(op, [net.conv(net.x, 20), *net.pair(), *net.pair(1 / 256, 0)])
    bounds: list[Value | None] = [None, net.const(200, np.uint8)]
    ops = net.check(net.conv(net.op("clip", [y, *bounds]), 9))
    assert "convert_layout" not in ops[1:-1]


def test_shuffled_and_cut_channels(net: ByteNetwork) -> None:
    joined = concat(net, [net.conv(net.x, 20), net.conv(net.x, 18)], [0.05, 0.04])
    shuffled = net.op("channel_shuffle", [joined], groups=2)
    ends = [net.const(values, np.int64) for values in ([0], [19], [1])]
    begins = [net.const(values, np.int64) for values in ([19], [38], [1])]
    kept, processed = net.op("slice", [shuffled, *ends]), net.op("slice", [shuffled, *begins])
    again = concat(net, [kept, net.conv(processed, 19)], [0.03, 0.05])
    ops = net.check(net.conv(net.op("channel_shuffle", [again], groups=2), 9))
    assert ops.count("convert_layout") == 1 and "concat" not in ops


def test_split_channels(net: ByteNetwork) -> None:
    split = net.graph.add_node(
        "split", [net.conv(net.x, 24), net.const([5, 11, 8], np.int64)], OPS["split"].attrs(axis=1), outputs=3
    )
    pieces = [net.conv(split.outputs[0], 7), split.outputs[2], split.outputs[1]]
    ops = net.check(net.conv(concat(net, pieces, [0.05, 0.05, 0.05]), 9))
    assert ops.count("convert_layout") == 1 and "concat" not in ops


@pytest.mark.parametrize("op", ["q_linear_add", "q_linear_mul"])
@pytest.mark.parametrize("constant_first", [False, True])
def test_a_sum_with_one_number_is_looked_up(net: ByteNetwork, op: str, constant_first: bool) -> None:
    sides = [[net.conv(net.x, 20), *net.pair()], [net.const(77, np.uint8), *net.pair(0.04, 9)]]
    operands = [*sides[constant_first], *sides[not constant_first], *net.pair(0.07, 41)]
    y = net.op(op, operands)
    model = net.check(net.conv(y, 9))
    assert "convert_layout" not in model[1:-1]


def test_a_swish_in_two_ops_is_one_lookup(net: ByteNetwork) -> None:
    x = net.conv(net.x, 20)
    gate = net.op("q_linear_sigmoid", [x, *net.pair(), *net.pair(1 / 256, 0)])
    y = net.op("q_linear_mul", [x, *net.pair(), gate, *net.pair(1 / 256, 0), *net.pair(0.04, 9)])
    ops = net.check(net.conv(y, 9))
    assert ops.count("lookup") == 1 and "q_linear_mul" not in ops


def test_an_upsampled_piece_is_written_in_place(net: ByteNetwork) -> None:
    wide = net.conv(net.x, 24)
    small = net.op("max_pool", [wide], kernel_shape=(2, 2), strides=(2, 2))
    operands = [small, None, None, net.const([6, 7], np.int64)]
    grown = net.op("resize", operands, mode="nearest", axes=(2, 3))
    ops = net.check(net.conv(concat(net, [wide, grown], [0.05, 0.05]), 9))
    assert ops.count("convert_layout") == 1 and "concat" not in ops


def test_padded_bytes_stay_blocked(net: ByteNetwork) -> None:
    pads, fill = net.const([0, 0, 1, 0, 0, 0, 2, 3], np.int64), net.const(3, np.uint8)
    padded = net.op("pad", [net.conv(net.x, 20), pads, fill])
    ops = net.check(net.conv(net.op("max_pool", [padded], kernel_shape=(2, 2)), 9))
    assert "convert_layout" not in ops[1:-1]


def test_a_sum_has_its_channels_in_one_piece(net: ByteNetwork) -> None:
    joined = concat(net, [net.conv(net.x, 8), net.conv(net.x, 12)], [0.05, 0.05])
    total = net.op("q_linear_add", [joined, *net.pair(), net.conv(net.x, 20), *net.pair(), *net.pair(0.1, 9)])
    ops = net.check(net.op("q_linear_add", [total, *net.pair(), net.conv(total, 20), *net.pair(), *net.pair(0.1, 9)]))
    assert ops.count("convert_layout") == 2  # the joined pieces, the result


@pytest.mark.parametrize("op", ["q_linear_add", "q_linear_mul"])
@pytest.mark.parametrize("shape", [(7,), (5, 1, 1), (6, 1), (1, 1, 6, 7)])
@pytest.mark.parametrize("constant_first", [False, True])
def test_other_broadcasts_are_copied_out(
    net: ByteNetwork, op: str, shape: tuple[int, ...], constant_first: bool
) -> None:
    constant = net.const(net.rng.integers(0, 256, shape), np.uint8)
    sides = [[net.x, *net.pair()], [constant, *net.pair(0.04, 9)]]
    y = net.op(op, [*sides[constant_first], *sides[not constant_first], *net.pair(0.07, 41)])
    assert net.check(y) == [op]
