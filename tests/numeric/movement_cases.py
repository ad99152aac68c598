"""Ops that move elements: concat and split of channels, slices, pads, transposes, shuffles, gathers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from cnnc.ir import Value
from tests.numeric.case import Build, Case
from tests.numeric.network import Network

SAME = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}


def _dense_block(*counts: int) -> Build:
    """Concats of odd channel counts, each read by convolutions, a pool and an element-wise chain."""

    def build(net: Network) -> tuple[Value, ...]:
        x = net.input(2, 3, 6, 7)
        parts = [net.conv(x, count, **SAME) for count in counts]
        joined = net.op("concat", *parts, axis=1)
        further = net.op("concat", joined, net.conv(joined, 5), axis=1)
        total = sum(counts) + 5
        scaled = net.op("relu", net.op("mul", further, net.normal(total, 1, 1)))
        pooled = net.op("average_pool", scaled, kernel_shape=(2, 2), strides=(2, 2))
        return net.conv(further, 9, **SAME), net.conv(pooled, 17), further, net.op("global_average_pool", scaled)

    return build


def _concat_depthwise(net: Network) -> tuple[Value, ...]:
    x = net.input(1, 3, 6, 7)
    joined = net.op("concat", net.conv(x, 10), net.conv(x, 6), axis=1)
    grouped = net.conv(joined, 16, **SAME, group=16)
    return (
        grouped,
        net.conv(joined, 16, group=4),
        net.op("add", joined, grouped),
        net.conv(joined, 16, residual=grouped),
    )


def _concat_mixed(net: Network) -> tuple[Value, ...]:
    """Plain and blocked parts, constants, a part twice, and other axes."""
    x = net.input(2, 5, 4, 6)
    y = net.conv(x, 7)
    return (
        net.op("concat", x, y, y, net.normal(2, 2, 4, 6), axis=1),
        net.op("concat", y, y, axis=2),
        net.op("concat", y, net.conv(x, 7), axis=-1),
        net.op("concat", y, y, axis=0),
        net.conv(net.op("concat", x, y, axis=1), 6),
    )


def _split(*counts: int) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        y = net.conv(net.input(2, 3, 5, 6), sum(counts))
        parts = net.many("split", y, net.ints(*counts), outputs=len(counts), axis=1)
        return (*(net.conv(part, 7) for part in parts), net.op("relu", parts[-1]))

    return build


def _slices(net: Network) -> tuple[Value, ...]:
    x = net.input(2, 20, 7, 9)
    y = net.conv(x, 20)

    def cut(value: Value, starts: tuple[int, ...], ends: tuple[int, ...], axes: tuple[int, ...], *steps: int) -> Value:
        return net.op("slice", value, net.ints(*starts), net.ints(*ends), net.ints(*axes), net.ints(*steps))

    least = -(2**63)
    return (
        cut(x, (-1,), (least,), (3,), -1),
        cut(x, (-1, 6), (least, 0), (0, 2), -1, -2),
        cut(x, (1, 0), (6, 100), (2, 3), 2, 3),
        cut(y, (-1,), (least,), (1,), -1),
        cut(y, (-2, 5), (least, -1), (3, 1), -3, 4),
        net.conv(cut(y, (16,), (20,), (1,), 1), 5),
        net.conv(cut(y, (3,), (19,), (1,), 1), 5),
        cut(y, (0,), (0,), (2,), 1),
        net.op("relu", cut(y, (1, 1), (6, 8), (2, 3), 1, 1)),
    )


def _transposes(net: Network) -> tuple[Value, ...]:
    x = net.input(2, 3, 4, 5)
    return tuple(net.op("transpose", x, perm=order) for order in permutations(range(4)))


def _transposes_around_convs(net: Network) -> tuple[Value, ...]:
    last = net.input(2, 6, 7, 5)
    first = net.op("transpose", last, perm=(0, 3, 1, 2))
    y = net.conv(first, 18, **SAME)
    back = net.op("transpose", y, perm=(0, 2, 3, 1))
    return back, net.op("transpose", y, perm=(1, 0, 3, 2)), net.op("softmax", back, axis=-1)


def _pads(net: Network) -> tuple[Value, ...]:
    x = net.input(2, 5, 4, 6)
    y = net.conv(x, 18)
    around = net.ints(0, 0, 1, 2, 0, 0, 3, 1)
    return (
        net.op("pad", x, around),
        net.op("pad", y, around, net.const(1.5)),
        net.op("pad", x, net.ints(1, 2, 0, 0, 0, 1, 0, 3), net.const(-2)),
        net.op("pad", x, net.ints(0, 0, -1, 2, 0, 0, 1, -2)),
        net.op("pad", y, around, mode="reflect"),
        net.op("pad", x, around, mode="edge"),
        net.op("pad", x, around, mode="wrap"),
        net.conv(net.op("pad", y, around), 6, (3, 3)),
        net.conv(net.op("pad", y, net.ints(0, 1, 0, 0, 0, 2, 0, 0)), 6),
    )


def _expand_and_tile(net: Network) -> tuple[Value, ...]:
    x, row = net.input(2, 1, 3, 1), net.input(5, name="row")
    y = net.conv(net.input(2, 3, 3, 4, name="z"), 6)
    return (
        net.op("expand", x, net.ints(2, 4, 3, 5)),
        net.op("expand", row, net.ints(2, 3, 1)),
        net.op("tile", x, net.ints(1, 3, 2, 4)),
        net.op("tile", y, net.ints(2, 1, 1, 3)),
        net.op("tile", y, net.ints(1, 2, 1, 1)),
    )


def _pixel_shuffles(net: Network) -> tuple[Value, ...]:
    x = net.input(2, 12, 4, 6)
    y = net.conv(x, 20)
    return (
        net.op("depth_to_space", x, blocksize=2),
        net.op("depth_to_space", y, blocksize=2, mode="CRD"),
        net.op("space_to_depth", x, blocksize=2),
        net.conv(net.op("space_to_depth", y, blocksize=2), 5),
    )


def _channel_shuffles(net: Network) -> tuple[Value, ...]:
    x = net.input(2, 24, 5, 6)
    y, z = net.conv(x, 32), net.op("concat", net.conv(x, 10), net.conv(x, 10), axis=1)
    shuffled = net.op("channel_shuffle", y, groups=2)
    halves = net.many("split", shuffled, outputs=2, axis=1, num_outputs=2)
    return (
        net.op("channel_shuffle", x, groups=3),
        net.op("channel_shuffle", y, groups=4),
        net.op("channel_shuffle", z, groups=2),
        net.conv(halves[1], 16, group=16, **SAME),
        net.op("channel_shuffle", net.op("concat", halves[0], net.conv(halves[1], 16), axis=1), groups=2),
    )


def _gathers(net: Network) -> tuple[Value, ...]:
    x = net.input(4, 5, 6)
    return (
        net.op("gather", x, net.ints(3, 0, -1), axis=0),
        net.op("gather", x, net.const([[0, -2], [1, 1]], dtype="int64"), axis=1),
        net.op("gather", x, net.const(2, dtype="int64"), axis=2),
    )


def _views(net: Network) -> tuple[Value, ...]:
    x = net.input(2, 6, 4, 5)
    y = net.conv(x, 18)
    flat = net.op("flatten", y)
    return (
        net.op("reshape", x, net.ints(0, -1)),
        net.op("reshape", y, net.ints(2, 3, 6, 20)),
        net.op("gemm", flat, net.scaled(360, 7, fan_in=360)),
        net.op("squeeze", net.op("global_average_pool", y), net.ints(2, 3)),
        net.op("unsqueeze", y, net.ints(0, -1)),
        net.conv(net.op("reshape", net.op("global_max_pool", y), net.ints(2, 9, 1, 2)), 4),
    )


def cases() -> Iterator[Case]:
    """All cases of this family."""
    for counts in ((3, 5), (16, 8), (17, 33, 1), (24, 24), (5,)):
        yield Case("concat-" + "-".join(map(str, counts)), _dense_block(*counts))
    for counts in ((16, 16), (8, 8), (3, 21, 9), (17, 15)):
        yield Case("split-" + "-".join(map(str, counts)), _split(*counts))
    for build in (
        _concat_depthwise,
        _concat_mixed,
        _slices,
        _transposes,
        _transposes_around_convs,
        _pads,
        _expand_and_tile,
        _pixel_shuffles,
        _channel_shuffles,
        _gathers,
        _views,
    ):
        yield Case(build.__name__.strip("_").replace("_", "-"), build)
