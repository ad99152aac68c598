"""Graphs with symbolic sizes: one compiled session runs them at several."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.ir import Value
from tests.numeric.case import Case
from tests.numeric.network import Network

SAME = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}
BATCHES = tuple({"N": batch} for batch in (1, 3, 5, 0, 2))
IMAGES = tuple({"N": batch, "H": h, "W": w} for batch, h, w in ((1, 16, 16), (2, 9, 13), (3, 8, 31), (1, 33, 7)))


def _residual_network(net: Network) -> Value:
    x = net.op("relu", net.conv(net.input("N", 3, 12, 12), 18, (5, 5), strides=(2, 2), pads=(2, 2, 2, 2)))
    x = net.op("max_pool", x, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    x = net.op("relu", net.op("add", net.conv(net.conv(x, 24, **SAME), 18, **SAME), x))
    pooled = net.op("flatten", net.op("global_average_pool", x))
    return net.op("softmax", net.op("gemm", pooled, net.scaled(10, 18, fan_in=18), net.normal(10), transB=1))


def _gated_depthwise(net: Network) -> Value:
    x = net.conv(net.input("N", 3, "H", "W"), 20, **SAME, strides=(2, 2))
    x = net.op("hard_swish", net.conv(x, 20, **SAME, group=20))
    gate = net.op("hard_sigmoid", net.conv(net.op("relu", net.conv(net.op("global_average_pool", x), 5)), 20))
    return net.conv(net.op("mul", x, gate), 7)


def _pyramid(net: Network) -> tuple[Value, ...]:
    """Down, up again to the size that the shape of the skipped tensor says, and joined."""
    x = net.conv(net.input("N", 3, "H", "W"), 12, **SAME)
    low = net.op("relu", net.conv(x, 20, **SAME, strides=(2, 2)))
    sizes = net.op("slice", net.op("shape", x), net.ints(2), net.ints(4), net.ints(0))
    target = net.op(
        "concat", net.op("slice", net.op("shape", low), net.ints(0), net.ints(2), net.ints(0)), sizes, axis=0
    )
    up = net.op("resize", low, None, None, target, mode="linear")
    joined = net.op("concat", up, x, axis=1)
    return net.conv(joined, 6, **SAME), net.op("resize", low, None, net.const([1, 1, 2, 2]))


def _pools(net: Network) -> tuple[Value, ...]:
    x = net.input("N", 5, "H", "W")
    y = net.conv(x, 18)
    ceil = {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1}
    same = {"kernel_shape": (2, 2), "strides": (2, 2), "auto_pad": "SAME_UPPER"}
    made = [net.op(op, v, **options) for op in ("max_pool", "average_pool") for v in (x, y) for options in (ceil, same)]
    return (*made, net.conv(y, 5, (3, 3), strides=(2, 2), auto_pad="SAME_LOWER"))


def _reductions(net: Network) -> tuple[Value, ...]:
    x = net.input("N", 5, "H", "W")
    y = net.conv(x, 18)
    made = [net.op("reduce_mean", v, net.ints(*axes)) for v in (x, y) for axes in ((1,), (2, 3), (3,), (0, 1))]
    return (*made, net.op("softmax", y, axis=1), net.op("softmax", x, axis=-1), net.op("log_softmax", y, axis=2))


def _movements(net: Network) -> tuple[Value, ...]:
    x = net.input("N", 8, "H", "W")
    y = net.conv(x, 20)
    halves = net.many("split", y, net.ints(7, 13), outputs=2, axis=1)
    flat = net.op("transpose", net.op("reshape", y, net.ints(0, 20, -1)), perm=(0, 2, 1))
    reversed_rows = net.op("slice", y, net.ints(-1), net.ints(-(2**63)), net.ints(2), net.ints(-1))
    return (
        net.op("concat", *reversed(halves), axis=1),
        flat,
        net.op("concat", reversed_rows, y, axis=3),
        net.op("pad", y, net.ints(0, 0, 1, 0, 0, 0, 2, 1)),
        net.op("depth_to_space", y, blocksize=2),
        net.op("channel_shuffle", y, groups=4),
        net.op("expand", net.op("global_max_pool", y), net.op("shape", y)),
    )


def _norms(net: Network) -> tuple[Value, ...]:
    x = net.input("N", 6, "H", "W")
    y = net.conv(x, 18)
    scale, shift = net.normal(18), net.normal(18)
    return (
        net.op("instance_normalization", y, scale, shift),
        net.op("group_normalization", y, scale, shift, num_groups=3),
        net.op("lrn", y, size=5, alpha=0.2),
        net.conv_transpose(y, 9, (4, 4), strides=(2, 2), pads=(1, 1, 1, 1)),
    )


def _any_number_of_rows(net: Network) -> tuple[Value, ...]:
    x = net.input("N", 37)
    y = net.op("relu", net.op("gemm", x, net.scaled(37, 20, fan_in=37), net.normal(20)))
    return y, net.op("matmul", y, net.op("transpose", y, perm=(1, 0))), net.op("reduce_max", x, net.ints(1))


def _found_positions(net: Network) -> tuple[Value, ...]:
    """A size that depends on values, and work behind it."""
    x = net.input("N", 6)
    found = net.op("non_zero", net.op("greater", x, net.const(0.5)))
    picked = net.op("gather_nd", x, net.op("transpose", found, perm=(1, 0)))
    return found, net.op("mul", net.op("sigmoid", picked), net.const(3))


def cases() -> Iterator[Case]:
    """All cases of this family."""
    yield Case("batch-residual-network", _residual_network, BATCHES)
    yield Case("batch-rows", _any_number_of_rows, tuple(sizes for sizes in BATCHES if sizes["N"]))
    yield Case("batch-found-positions", _found_positions, BATCHES)
    for build in (_gated_depthwise, _pyramid, _pools, _reductions, _movements, _norms):
        yield Case("image-" + build.__name__.strip("_").replace("_", "-"), build, IMAGES)
