"""Blocks of well-known networks, in small: what their plans cost is written down in ``plans.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cnnc.ir import Graph, Value
from tests.numeric.network import Network


def residual_blocks() -> Graph:
    """ResNet: 3x3 convolutions with batch norms, a projection where the size halves."""
    net = Network()
    x = _stem(net, 32)
    for filters, stride in ((32, 1), (64, 2)):
        y = net.op("relu", net.batch_norm(_conv(net, x, filters, 3, stride)))
        y = net.batch_norm(_conv(net, y, filters, 3))
        x = net.op("relu", net.op("add", y, _conv(net, x, filters, 1, stride)))
    return _classified(net, x)


def inverted_residuals() -> Graph:
    """MobileNetV3: expansion, depthwise convolution, squeeze and excitation, projection."""
    net = Network()
    x = _stem(net, 24)
    y = net.op("hard_swish", _conv(net, x, 72, 1))
    y = net.op("hard_swish", _conv(net, y, 72, 5, group=72))
    gate = net.op("relu", net.conv(net.op("global_average_pool", y), 24))
    gate = net.op("hard_sigmoid", net.conv(gate, 72))
    y = net.conv(net.op("mul", y, gate), 24)
    return _classified(net, net.op("add", x, y))


def dense_layers() -> Graph:
    """DenseNet: batch norms before convolutions, and a concat that grows."""
    net = Network()
    x = _stem(net, 32)
    for _ in range(3):
        y = net.conv(net.op("relu", net.batch_norm(x)), 64)
        y = _conv(net, net.op("relu", net.batch_norm(y)), 16, 3)
        x = net.op("concat", x, y, axis=1)
    x = net.conv(net.op("relu", net.batch_norm(x)), 40)
    return _classified(net, net.op("average_pool", x, kernel_shape=(2, 2), strides=(2, 2)))


def shuffle_units() -> Graph:
    """ShuffleNetV2: half of the channels passes by, and halves are dealt out anew."""
    net = Network()
    x = _stem(net, 116)
    for _ in range(2):
        kept, y = net.many("split", x, net.ints(58, 58), outputs=2, axis=1)
        y = net.op("relu", net.conv(y, 58))
        y = net.op("relu", net.conv(_conv(net, y, 58, 3, group=58), 58))
        x = net.op("channel_shuffle", net.op("concat", kept, y, axis=1), groups=2)
    return _classified(net, x)


def inception() -> Graph:
    """GoogLeNet: branches of odd channel counts side by side."""
    net = Network()
    x = net.op("max_pool", _stem(net, 64), kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    for _ in range(2):
        pooled = net.op("max_pool", x, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
        branches = (net.conv(x, 64), _conv(net, net.conv(x, 24), 40, 3), _conv(net, net.conv(x, 16), 24, 5))
        x = net.op("concat", *(net.op("relu", y) for y in (*branches, net.conv(pooled, 24))), axis=1)
    return _classified(net, x)


def skip_connections() -> Graph:
    """U-Net: down, up by a transposed convolution, and a concat with what was there before."""
    net = Network()
    x = net.op("relu", _conv(net, net.input("N", 1, 64, 64), 32, 3))
    y = net.op("max_pool", x, kernel_shape=(2, 2), strides=(2, 2))
    y = net.op("relu", _conv(net, y, 64, 3))
    y = net.conv_transpose(y, 32, (2, 2), strides=(2, 2))
    y = net.op("relu", _conv(net, net.op("concat", x, y, axis=1), 32, 3))
    return net.returns(net.op("sigmoid", net.conv(y, 1))).graph


NETWORKS: Mapping[str, Callable[[], Graph]] = {
    "dense layers": dense_layers,
    "inception": inception,
    "inverted residuals": inverted_residuals,
    "residual blocks": residual_blocks,
    "shuffle units": shuffle_units,
    "skip connections": skip_connections,
}


def _stem(net: Network, filters: int) -> Value:
    return net.op("relu", _conv(net, net.input("N", 3, 64, 64), filters, 3, 2))


def _conv(net: Network, x: Value, filters: int, window: int, stride: int = 1, group: int = 1) -> Value:
    pads = (window // 2,) * 4
    return net.conv(x, filters, (window, window), strides=(stride, stride), pads=pads, group=group)


def _classified(net: Network, x: Value) -> Graph:
    flat = net.op("flatten", net.op("global_average_pool", x))
    channels = flat.type.shape[1]
    assert isinstance(channels, int)
    return net.returns(net.op("gemm", flat, net.scaled(channels, 10, fan_in=channels), net.normal(10))).graph
