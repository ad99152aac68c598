"""Random networks that join, cut, shuffle and gate channels: DenseNet, ShuffleNet and Inception in small.

Channel counts stand on, beside and across the borders of vector blocks, so pieces, views into joined tensors, and
conversions between layouts all occur.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from cnnc.ir import Graph, Value
from tests.numeric.network import Network

Draw = Callable[[Any], Any]
COUNTS = (1, 5, 8, 16, 17, 24, 32)


def _count(x: Value) -> int:
    channels = x.type.shape[1]
    assert isinstance(channels, int)
    return channels


def _join(net: Network, draw: Draw, pool: list[Value]) -> Value:
    same_size = [value for value in pool if value.type.shape[2:] == pool[-1].type.shape[2:]]
    parts = [draw(st.sampled_from(same_size)) for _ in range(draw(st.integers(1, 3)))]
    return net.op("concat", pool[-1], *parts, axis=1)


def _cut(net: Network, draw: Draw, pool: list[Value]) -> Value:
    x = pool[-1]
    first = draw(st.integers(0, _count(x) - 1))
    last = draw(st.integers(first + 1, _count(x)))
    return net.op("slice", x, net.ints(first), net.ints(last), net.ints(1), net.ints(1))


def _split(net: Network, draw: Draw, pool: list[Value]) -> Value:
    x = pool[-1]
    if _count(x) < 2:
        return net.op("relu", x)
    first = draw(st.sampled_from([count for count in COUNTS if count < _count(x)]))
    left, right = net.many("split", x, net.ints(first, _count(x) - first), outputs=2, axis=1)
    pool.append(left)
    return right


def _shuffle(net: Network, draw: Draw, pool: list[Value]) -> Value:
    groups = [groups for groups in (1, 2, 4, 5) if _count(pool[-1]) % groups == 0]
    return net.op("channel_shuffle", pool[-1], groups=draw(st.sampled_from(groups)))


def _add(net: Network, draw: Draw, pool: list[Value]) -> Value:
    x = pool[-1]
    alike = [value for value in pool if value.type.shape == x.type.shape]
    return net.op(draw(st.sampled_from(["add", "mul", "max"])), x, draw(st.sampled_from(alike)))


def _gate(net: Network, draw: Draw, pool: list[Value]) -> Value:
    x = pool[-1]
    gate = net.op("sigmoid", net.op(draw(st.sampled_from(["global_average_pool", "global_max_pool"])), x))
    return net.op("mul", *draw(st.permutations([x, gate])))


def _conv(net: Network, draw: Draw, pool: list[Value]) -> Value:
    return net.conv(pool[-1], draw(st.sampled_from(COUNTS)))


def _depthwise(net: Network, draw: Draw, pool: list[Value]) -> Value:
    count = _count(pool[-1])
    return net.conv(pool[-1], count, (3, 3), pads=(1, 1, 1, 1), group=count)


def _activation(net: Network, draw: Draw, pool: list[Value]) -> Value:
    return net.op(draw(st.sampled_from(["relu", "tanh"])), pool[-1])


def _channel_scale(net: Network, draw: Draw, pool: list[Value]) -> Value:
    return net.op("mul", pool[-1], net.normal(_count(pool[-1]), 1, 1))


def _pool(net: Network, draw: Draw, pool: list[Value]) -> Value:
    window = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}
    return net.op(draw(st.sampled_from(["max_pool", "average_pool"])), pool[-1], **window)


def _plain(net: Network, draw: Draw, pool: list[Value]) -> Value:
    """Something that needs plain tensors, in the middle."""
    return net.op("softmax", pool[-1], axis=draw(st.sampled_from([1, 3])))


STEPS = (_join, _join, _cut, _split, _shuffle, _add, _gate, _conv, _conv, _depthwise, _activation, _channel_scale)


@st.composite
def channel_graphs(draw: Draw, max_nodes: int = 10) -> Graph:
    """A graph over x [N, C, 4, 5] with up to ``max_nodes`` steps; what nobody reads is returned."""
    net = Network(draw(st.integers(0, 999)))
    pool = [net.input(draw(st.integers(1, 2)), draw(st.sampled_from(COUNTS)), 4, 5)]
    for _ in range(draw(st.integers(3, max_nodes))):
        if _count(pool[-1]) > 100:
            pool.append(_conv(net, draw, pool))
        step = draw(st.sampled_from([*STEPS, _pool, _plain]))
        pool.append(step(net, draw, pool))
    leaves = [value for value in pool if not value.uses and value.producer is not None]
    extra = draw(st.sampled_from(pool))
    if extra.producer is not None and extra not in leaves:
        leaves.append(extra)
    return net.returns(*leaves).graph
