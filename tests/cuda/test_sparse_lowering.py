"""Networks with pruned weights on the emulated device: where lists are taken, and what they compute."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc.dims import symbol
from cnnc.interp import run
from cnnc.ir import Graph
from cnnc.lower.density import BLOCK
from cnnc.ops import OPS
from cnnc.runtime.cuda.device_facts import A100
from cnnc.runtime.cuda.sparse_tiling import CHANNELS, SparseLayer, rank_sparse_tiles
from cnnc.types import DType, TensorType
from tests.cuda.devices import program_device
from tests.numeric.tolerance import additions, assert_close

LISTS = "conv.f32.sparse"


def _pruned(rng, shape, sparsity, block):
    """Random weights, with zeros in ``block`` neighbouring output channels at a time."""
    weights = rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:]) * (1 - sparsity)))
    masks = rng.random((-(-shape[0] // block), *shape[1:])) >= sparsity
    return weights * np.repeat(masks, block, axis=0)[: shape[0]]


def _check(layers, batch, sparsity, block=1):
    """Compile convolutions (channels, window, stride) with a residual at the end; the rules taken, in order.

    ``batch`` is an int, or a symbol that is run with 3 images.
    """
    pytest.importorskip("numba_cuda")
    rng, graph = np.random.default_rng(0), Graph(OPS)
    channels = 96
    value = graph.add_input("x", TensorType((batch, channels, 9, 8), DType.F32))
    for number, (outputs, window, stride) in enumerate(layers):
        weights = _pruned(rng, (outputs, channels, window, window), sparsity, block)
        operands = [value, graph.add_constant(weights, f"w{number}")]
        operands.append(graph.add_constant(rng.standard_normal(outputs, np.float32), f"b{number}"))
        attrs = OPS["conv"].attrs(strides=(stride, stride), pads=(window // 2,) * 4)
        before, value = value, graph.add_node("conv", operands, attrs).output
        if channels == outputs and stride == 1:
            value = graph.add_node("add", [value, before], OPS["add"].attrs()).output
        value = graph.add_node("relu", [value], OPS["relu"].attrs()).output
        channels = outputs
    graph.set_outputs([value], ["y"])
    x = rng.standard_normal((batch if isinstance(batch, int) else 3, 96, 9, 8), np.float32)
    truth = run(graph, {"x": x}, float64=True)
    tolerance = additions(graph, {"N": 3})
    compiled = cnnc.compile(graph, target="cuda:sm_80")
    [y] = compiled.session(device=program_device()).run(None, {"x": x})
    assert_close({"y": y}, {"y": np.asarray(truth["y"])}, tolerance)
    return [decision.chosen for decision in compiled.lowered.decisions if decision.op == "conv"]


@pytest.mark.parametrize("block", [1, BLOCK])
def test_pruned_layers_take_lists(block):
    layers = [(128, 1, 1), (128, 3, 1), (40, 1, 2)]
    assert _check(layers, 2, 0.93, block)[:2] == [LISTS, LISTS]


def test_any_batch_size():
    assert _check([(64, 1, 1)], symbol("N"), 0.95) == [LISTS]


def test_dense_layers_do_not():
    assert LISTS not in _check([(32, 1, 1)], 1, 0.2)


def test_tiles_follow_from_zeros_and_sizes():
    def best(pixels, by_share, device=A100):
        groups = tuple((channels, 32 * 256 // channels) for channels in CHANNELS)
        layer = SparseLayer(32, pixels, tuple(zip((1, 2, 4), by_share)), groups, 4 * pixels * 512)
        return rank_sparse_tiles(layer, device, 1)[0][1]

    unstructured, in_fours = (6_500, 12_500, 22_500), (6_500, 3_300, 1_650)
    assert best(100_000, unstructured).share == 1 and best(100_000, in_fours).share == 4
    assert best(100_000, in_fours).vectors == 4
    # A map of 7 x 7 pixels fills no device: tiles are smaller, or divided.
    small = best(49, unstructured)
    assert small.vectors < 4 or small.splits > 1
