"""What each op couples, and that a shrunk graph computes what the masked one does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from cnnc.channels import dependencies
from cnnc.ir import Graph, Value
from tests.channels.masking import assert_same_as_masked, random_removal
from tests.ir.random_graphs import random_graphs
from tests.passes.sketch import Sketch

Build = Callable[[Sketch, Value], Value]


def network(build: Build, *, channels: int = 12, spatial: tuple[int | str, ...] = (6, 6)) -> Graph:
    """A convolution to ``channels`` channels "a", what ``build`` makes of it, and a convolution to 3 channels."""
    sketch = Sketch()
    x = sketch.input("N", 2, *spatial)
    window = (3,) * len(spatial)
    a = sketch.op("conv", x, sketch.normal(channels, 2, *window, name="a"), sketch.normal(channels), name="a")
    made = build(sketch, sketch.batch_norm(a))
    last = made.type.shape[1]
    assert isinstance(last, int)
    ones = (1,) * (made.type.rank - 2)
    y = sketch.op("conv", made, sketch.normal(3, last, *ones), name="last") if ones else made
    return sketch.returns(y).graph


def classes_of(graph: Graph, constant: str = "a") -> tuple[int, int]:
    """Classes among the rows of a constant, and how many of them may go."""
    found = dependencies(graph)
    labels = found.axes(graph.value(constant))[0]
    assert labels is not None
    roots = np.unique(found.couplings.roots(labels))
    return len(roots), int((~found.couplings.pinned(roots)).sum())


def residual(s: Sketch, x: Value) -> Value:
    return s.op("add", s.op("relu", x), s.op("conv", s.op("relu", x), s.normal(12, 12, 1, 1, name="b")))


def squeeze_excite(s: Sketch, x: Value) -> Value:
    pooled = s.op("global_average_pool", x)
    hidden = s.op("relu", s.op("conv", pooled, s.normal(5, 12, 1, 1), s.normal(5)))
    return s.op("mul", x, s.op("sigmoid", s.op("conv", hidden, s.normal(12, 5, 1, 1), s.normal(12))))


def squeeze_excite_of_matrices(s: Sketch, x: Value) -> Value:
    pooled = s.op("reshape", s.op("global_average_pool", x), s.ints(0, -1))
    hidden = s.op("relu", s.op("gemm", pooled, s.normal(12, 5), s.normal(5)))
    gate = s.op("gemm", hidden, s.normal(12, 5), s.normal(12), transB=1)
    return s.op("mul", x, s.op("reshape", s.op("sigmoid", gate), s.ints(-1, 12, 1, 1)))


def dense_block(s: Sketch, x: Value) -> Value:
    for index in range(3):
        channels = x.type.shape[1]
        assert isinstance(channels, int)
        made = s.op("conv", s.op("relu", s.batch_norm(x, f"n{index}")), s.normal(4, channels, 1, 1))
        x = s.op("concat", x, made, axis=1)
    return s.op("relu", x)


def depthwise(s: Sketch, x: Value) -> Value:
    x = s.op("conv", s.op("hard_swish", x), s.normal(12, 1, 3, 3), s.normal(12), group=12, pads=(1, 1, 1, 1))
    return s.op("clip", x, s.const(0.0), s.const(6.0))


def depthwise_multiplier(s: Sketch, x: Value) -> Value:
    return s.op("conv", x, s.normal(24, 1, 3, 3), group=12)


def few_groups(s: Sketch, x: Value) -> Value:
    return s.op("conv", x, s.normal(8, 6, 3, 3), s.normal(8), group=2)


def many_groups(s: Sketch, x: Value) -> Value:
    return s.op("conv", x, s.normal(18, 2, 3, 3), s.normal(18), group=6)


def shuffle(s: Sketch, x: Value) -> Value:
    parts = s.op("reshape", x, s.ints(0, 2, 6, 4, 4))
    return s.op("reshape", s.op("transpose", parts, perm=(0, 2, 1, 3, 4)), s.ints(0, -1, 4, 4))


def recognized_shuffle(s: Sketch, x: Value) -> Value:
    return s.op("channel_shuffle", x, groups=3)


def computed_shape(s: Sketch, x: Value) -> Value:
    """A target that is computed from the shape, as exporters write it."""
    shape = s.op("shape", x)
    n, c = (s.op("gather", shape, s.ints(axis)) for axis in (0, 1))
    target = s.op("concat", n, s.ints(2), s.op("div", c, s.ints(2)), s.ints(4, 4), axis=0)
    parts = s.op("transpose", s.op("reshape", x, target), perm=(0, 2, 1, 3, 4))
    return s.op("reshape", parts, s.op("concat", n, c, s.ints(4, 4), axis=0))


def split_and_slices(s: Sketch, x: Value) -> Value:
    first = s.op("split", x, s.ints(5, 7), axis=1, outputs=2)
    assert first.producer is not None
    second = first.producer.outputs[1]
    third = s.op("slice", x, s.ints(2), s.ints(9), s.ints(1))
    end = s.op("slice", x, s.ints(-4), s.ints(2**31 - 1), s.ints(1))
    return s.op("concat", s.op("relu", first), second, third, end, axis=1)


def equal_split(s: Sketch, x: Value) -> Value:
    first = s.op("split", x, axis=1, num_outputs=3, outputs=3)
    assert first.producer is not None
    return s.op("concat", *first.producer.outputs[::-1], axis=1)


def picked(s: Sketch, x: Value) -> Value:
    return s.op("gather", x, s.ints(3, 3, 0, 11, 7), axis=1)


def padded(s: Sketch, x: Value) -> Value:
    """A shortcut that is widened by channels of zeros."""
    wide = s.op("pad", s.op("average_pool", x, kernel_shape=(2, 2)), s.ints(0, 2, 0, 0, 0, 4, 0, 0), s.const(0.5))
    return s.op("add", wide, s.op("conv", x, s.normal(18, 12, 2, 2)))


def instance_norm(s: Sketch, x: Value) -> Value:
    return s.op("leaky_relu", s.op("instance_normalization", x, s.normal(12), s.normal(12)), alpha=0.1)


def group_norm(s: Sketch, x: Value) -> Value:
    return s.op("group_normalization", x, s.normal(12), s.normal(12), num_groups=4)


def spelled_group_norm(s: Sketch, x: Value) -> Value:
    groups = s.op("reshape", x, s.ints(0, 4, -1))
    normal = s.op("instance_normalization", groups, s.normal(4), s.normal(4))
    back = s.op("reshape", normal, s.op("shape", x))
    return s.op("add", s.op("mul", back, s.normal(12, 1, 1)), s.normal(12, 1, 1))


def upsampling(s: Sketch, x: Value) -> Value:
    scaled = s.op("resize", x, None, s.const([1, 1, 2, 2]), mode="linear")
    sized = s.op("resize", s.op("prelu", scaled, s.normal(12, 1, 1)), None, None, s.ints(2, 12, 5, 5), mode="nearest")
    return s.op("lp_pool", sized, kernel_shape=(2, 2))


def transposed_conv(s: Sketch, x: Value) -> Value:
    x = s.op("conv_transpose", x, s.normal(12, 9, 2, 2), s.normal(9), strides=(2, 2))
    x = s.op("conv_transpose", s.op("relu", x), s.normal(9, 1, 3, 3), s.normal(9), group=9)
    return s.op("conv_transpose", x, s.normal(9, 4, 2, 2), s.normal(12), group=3)


def transposed_conv_of_few_groups(s: Sketch, x: Value) -> Value:
    return s.op("conv_transpose", x, s.normal(12, 4, 2, 2), s.normal(8), group=2)


def attention(s: Sketch, x: Value) -> Value:
    """Products of two tensors sum over channels of both; channels last in between."""
    rows = s.op("transpose", s.op("reshape", x, s.ints(0, 12, 16)), perm=(0, 2, 1))
    q, k, v = (s.op("matmul", rows, s.normal(12, 6), name=name) for name in "qkv")
    weights = s.op("softmax", s.op("matmul", q, s.op("transpose", k, perm=(0, 2, 1))), axis=-1)
    back = s.op("transpose", s.op("matmul", weights, v), perm=(0, 2, 1))
    return s.op("reshape", back, s.ints(0, 6, 4, 4))


def expanded(s: Sketch, x: Value) -> Value:
    gate = s.op("sigmoid", s.op("conv", x, s.normal(1, 12, 1, 1)))
    return s.op("mul", x, s.op("expand", gate, s.op("shape", x)))


def depth_to_space(s: Sketch, x: Value) -> Value:
    up = s.op("depth_to_space", x, blocksize=2, mode="CRD")
    return s.op("space_to_depth", s.op("relu", up), blocksize=2)


def depth_first(s: Sketch, x: Value) -> Value:
    return s.op("depth_to_space", x, blocksize=2)


def summed(s: Sketch, x: Value) -> Value:
    return s.op("mul", x, s.op("reduce_sum", x, s.ints(1)))


def shared_weights(s: Sketch, x: Value) -> Value:
    w = s.normal(12, 12, 1, 1, name="shared")
    return s.op("conv", s.op("relu", s.op("conv", x, w)), w)


def transposed_weights(s: Sketch, x: Value) -> Value:
    rows = s.op("transpose", x, perm=(0, 2, 3, 1))
    product = s.op("matmul", rows, s.op("transpose", s.normal(10, 12), perm=(1, 0)))
    return s.op("transpose", s.op("add", product, s.normal(10)), perm=(0, 3, 1, 2))


def reshaped_weights(s: Sketch, x: Value) -> Value:
    """Maps and weights are both flattened for a product."""
    rows = s.op("reshape", s.op("max_pool", x, kernel_shape=(2, 2), strides=(2, 2)), s.ints(0, 48))
    y = s.op("matmul", rows, s.op("reshape", s.normal(12, 2, 2, 10), s.ints(48, 10)))
    return s.op("gemm", s.op("relu", y), s.normal(10, 3), s.normal(3))


def flattened(s: Sketch, x: Value) -> Value:
    pooled = s.op("max_pool", x, kernel_shape=(2, 2), strides=(2, 2))
    y = s.op("relu", s.op("gemm", s.op("flatten", pooled), s.normal(48, 10), s.normal(10)))
    return s.op("gemm", y, s.normal(10, 3), s.normal(3))


@pytest.mark.parametrize(
    ("build", "classes"),
    [
        (residual, 12),
        (squeeze_excite, 12),
        (squeeze_excite_of_matrices, 12),
        (dense_block, 12),
        (depthwise, 12),
        (depthwise_multiplier, 12),
        (few_groups, 6),
        (many_groups, 6),
        (shuffle, 6),
        (recognized_shuffle, 4),
        (computed_shape, 6),
        (split_and_slices, 12),
        (equal_split, 12),
        (picked, 12),
        (padded, 12),
        (instance_norm, 12),
        (group_norm, 4),
        (spelled_group_norm, 4),
        (upsampling, 12),
        (transposed_conv, 12),
        (transposed_conv_of_few_groups, 6),
        (attention, 12),
        (expanded, 12),
        (depth_to_space, 3),
        (depth_first, 3),
        (summed, 12),
        (shared_weights, 12),
        (transposed_weights, 12),
        (flattened, 12),
        (reshaped_weights, 12),
    ],
)
def test_channels_that_go_together_leave_the_masked_result(build: Build, classes: int) -> None:
    graph = network(build)
    assert classes_of(graph) == (classes, classes)
    found = dependencies(graph)
    for seed, ratio in enumerate((0.3, 0.5, 0.9)):
        removed = random_removal(found, ratio, seed)
        small = assert_same_as_masked(found, removed)
        assert [node.op for node in small.nodes] == [node.op for node in graph.nodes]
        assert [node.name for node in small.nodes] == [node.name for node in graph.nodes]
        assert [value.type for value in small.outputs] == [value.type for value in graph.outputs]


@pytest.mark.parametrize("spatial", [(9,), (5, 5, 5)])
def test_other_ranks(spatial: tuple[int, ...]) -> None:
    graph = network(lambda s, x: s.op("relu", x), spatial=spatial)
    found = dependencies(graph)
    assert classes_of(graph) == (12, 12)
    assert_same_as_masked(found, random_removal(found, 0.5))


def test_open_sizes() -> None:
    def split_and_joined(s: Sketch, x: Value) -> Value:
        parts = s.op("reshape", x, s.ints(0, 2, 6, 0, -1))
        shape = s.op("shape", x)
        height = s.op("gather", shape, s.ints(2))
        back = s.op("concat", s.ints(0, 12), height, s.ints(-1), axis=0)
        return s.op("reshape", s.op("transpose", parts, perm=(0, 2, 1, 3, 4)), back)

    graph = network(split_and_joined, spatial=("H", 8))
    found = dependencies(graph)
    assert classes_of(graph) == (6, 6)
    assert_same_as_masked(found, random_removal(found, 0.5))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda s, x: s.op("softmax", x, axis=1, name="sm"), ("softmax 'sm'", "mixes channels")),
        (lambda s, x: s.op("lrn", x, size=3, name="n"), ("lrn 'n'", "mixes channels")),
        (lambda s, x: s.op("mul", x, s.op("reduce_mean", x, s.ints(1), name="m")), ("reduce_mean 'm'", "reduces")),
        (lambda s, x: s.op("group_normalization", x, s.normal(12), s.normal(12), num_groups=1), ("all channels",)),
        (lambda s, x: s.op("cum_sum", x, s.const(1, dtype="int64"), name="c"), ("no rule for cum_sum 'c'",)),
        (lambda s, x: s.op("slice", x, s.ints(0), s.ints(12), s.ints(1), s.ints(2), name="o"), ("slice 'o'",)),
        (
            lambda s, x: s.op("div", x, s.op("cast", s.op("size", x), to=x.type.dtype), name="d"),
            ("div 'd'", "computes with their number"),
        ),
    ],
)
def test_what_mixes_channels_keeps_them_and_says_so(build: Build, words: tuple[str, ...]) -> None:
    graph = network(build)
    assert classes_of(graph)[1] == 0
    found = dependencies(graph)
    labels = found.axes(graph.value("a"))[0]
    assert labels is not None
    reason = found.couplings.reason(int(found.couplings.roots(labels)[0])) or ""
    assert all(word in reason for word in words), reason


def test_a_recurrent_layer_keeps_what_it_reads() -> None:
    sketch = Sketch()
    x = sketch.input(4, 2, 6, name="x")
    rows = sketch.op("matmul", x, sketch.normal(6, 5, name="a"))
    y = sketch.op("lstm", rows, sketch.normal(1, 12, 5), sketch.normal(1, 12, 3), hidden_size=3, name="rec")
    found = dependencies(sketch.returns(y).graph)
    labels = found.axes(sketch.graph.value("a"))[1]
    assert labels is not None
    assert "lstm 'rec'" in (found.couplings.reason(int(found.couplings.roots(labels)[0])) or "")


def test_halves_that_a_shuffle_takes_apart() -> None:
    """Even and odd channels come from a reshape across the batch axis, a transpose and indices."""
    s = Sketch()
    a = s.op("conv", s.input(1, 2, 6, 6), s.normal(12, 2, 3, 3, name="a"), s.normal(12), name="a")
    pairs = s.op("transpose", s.op("reshape", a, s.ints(-1, 2, 16)), perm=(1, 0, 2))
    halves = s.op("reshape", pairs, s.ints(2, -1, 6, 4, 4))
    even, odd = (s.op("gather", halves, s.const(index, dtype="int64"), axis=0) for index in (0, 1))
    joined = s.op("concat", even, s.op("conv", odd, s.normal(6, 6, 1, 1)), axis=1)
    graph = s.returns(s.op("conv", joined, s.normal(3, 12, 1, 1))).graph
    assert classes_of(graph) == (6, 6)
    found = dependencies(graph)
    assert_same_as_masked(found, random_removal(found, 0.5, 1))


def test_computed_scales_of_a_resize_stay() -> None:
    def build(s: Sketch, x: Value) -> Value:
        scales = s.op("concat", s.const([1.0, 1.0], "ones"), s.const([2.0, 2.0], "twos"), axis=0)
        return s.op("resize", x, None, scales, mode="nearest")

    graph = network(build)
    found = dependencies(graph)
    for name in ("ones", "twos"):
        (labels,) = found.axes(graph.value(name))
        assert labels is not None and found.couplings.pinned(labels).all()
    assert_same_as_masked(found, random_removal(found, 0.5))


def test_graph_outputs_and_inputs_keep_their_channels() -> None:
    sketch = Sketch()
    x = sketch.input("N", 4, 5, 5)
    a = sketch.op("conv", x, sketch.normal(4, 4, 1, 1, name="a"))
    b = sketch.op("conv", sketch.op("add", a, x), sketch.normal(6, 4, 1, 1, name="b"))
    found = dependencies(sketch.returns(b).graph)
    for name in "ab":
        labels = found.axes(sketch.graph.value(name))[0]
        assert labels is not None and found.couplings.pinned(labels).all()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_graphs())
def test_random_graphs(graph: Graph) -> None:
    found = dependencies(graph)
    assert_same_as_masked(found, random_removal(found, 0.5), tolerance=1e-6)
