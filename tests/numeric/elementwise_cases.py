"""Element-wise ops: broadcasting over every pattern of axes, chains, comparisons and booleans."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from cnnc.ir import Value
from cnnc.types import DType
from tests.numeric.case import Build, Case
from tests.numeric.network import Network

UNARY = ("relu", "sigmoid", "tanh", "neg", "abs", "exp", "softplus", "softsign", "hard_swish", "erf", "sin", "cos")
MORE_UNARY = ("elu", "selu", "celu", "gelu", "mish", "hard_sigmoid", "leaky_relu", "thresholded_relu", "shrink", "atan")
POSITIVE = ("sqrt", "log", "reciprocal")
STEPS = ("floor", "ceil", "round", "sign")
SHAPE = (2, 17, 3, 5)


def _image(net: Network, surroundings: str) -> Value:
    """x [2, 17, 3, 5], or what a convolution makes of [2, 3, 3, 5]."""
    return net.blocked(net.input(2, 3, 3, 5), 17) if surroundings == "blocked" else net.input(*SHAPE)


def _patterns(surroundings: str, op: str) -> Build:
    """An image with a constant and with an input of every shape that broadcasts to it, on either side."""

    def build(net: Network) -> tuple[Value, ...]:
        x = _image(net, surroundings)
        made = []
        for index, kept in enumerate(product((False, True), repeat=4)):
            shape = tuple(size if keep else 1 for size, keep in zip(SHAPE, kept))
            other = net.input(*shape, name=f"b{index}") if index % 2 else net.normal(*shape)
            made.append(net.op(op, x, other) if index % 3 else net.op(op, other, x))
        return tuple(made)

    return build


def _ranks(net: Network) -> tuple[Value, ...]:
    x, line, number = net.input(*SHAPE), net.input(5, name="line"), net.input(name="number")
    tall, wide = net.input(2, 1, 3, 1, name="tall"), net.input(1, 17, 1, 5, name="wide")
    return (
        net.op("sub", line, x),
        net.op("mul", x, number),
        net.op("add", tall, wide),
        net.op("div", number, net.const(3)),
    )


def _blocked_pairs(net: Network) -> tuple[Value, ...]:
    x = _image(net, "blocked")
    gate = net.op("sigmoid", net.op("global_average_pool", x))
    plane = net.op("reduce_mean", x, net.ints(1), keepdims=1)
    return net.op("mul", x, gate), net.op("mul", x, plane), net.op("add", net.op("mul", gate, x), net.op("relu", x))


def _one_channel_gates(net: Network) -> tuple[Value, ...]:
    """Operands of one element that convolutions made, with images in plain layout, and many operands at once."""
    x = net.input(1, 17, 3, 5)
    y = net.conv(x, 17)
    mean = net.op("global_average_pool", x)
    gate, weight = net.op("sigmoid", net.conv(mean, 1)), net.conv(mean, 17)
    plane = net.conv(x, 1)
    return (
        net.op("mul", x, gate),
        net.op("mul", y, gate),
        net.op("mul", y, net.op("sigmoid", plane)),
        net.op("add", x, weight),
        net.op("add", gate, gate),
        net.op("relu", gate),
        net.op("max", x, y, weight, gate, *(net.op("mul", y, net.const(0.1 * k)) for k in range(7))),
    )


def _functions(surroundings: str) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = _image(net, surroundings)
        positive = net.op("add", net.op("abs", x), net.const(0.25))
        made = [net.op(op, x) for op in (*UNARY, *MORE_UNARY)]
        made += [net.op(op, positive) for op in POSITIVE]
        made += [net.op("clip", x, net.const(-0.5), net.const(0.75)), net.op("clip", x, None, net.const(0.1))]
        made += [net.op("prelu", x, net.normal(17, 1, 1)), net.op("pow", positive, net.const(1.7))]
        return tuple(made)

    return build


def _chain(surroundings: str) -> Build:
    """A chain with branches that ends in several outputs."""

    def build(net: Network) -> tuple[Value, ...]:
        x = _image(net, surroundings)
        scaled = net.op("add", net.op("mul", x, net.normal(17, 1, 1)), net.normal(1, 17, 1, 1))
        gated = net.op("mul", scaled, net.op("sigmoid", scaled))
        long = gated
        for _ in range(6):
            long = net.op("tanh", net.op("add", net.op("mul", long, net.const(1.25)), x))
        return net.op("max", gated, long, x), net.op("min", x, scaled), net.op("mean", x, gated, long)

    return build


def _booleans(surroundings: str) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = net.input(*SHAPE)
        y = net.input(2, 17, 1, 5, name="y")
        is_large, is_more = net.op("greater", x, net.const(0.3)), net.op("less_or_equal", x, y)
        either = net.op("or", is_large, net.op("not", is_more))
        both = net.op("and", either, net.op("xor", is_large, is_more))
        values = net.op("relu", x) if surroundings == "plain" else net.blocked(x, 17)
        chosen = net.op("where", both, values, net.op("neg", y))
        return either, both, chosen, net.op("where", is_large, net.const(1), net.const(0))

    return build


def _steps(net: Network) -> tuple[Value, ...]:
    x = net.input(*SHAPE)
    far = net.op("mul", x, net.const(4))
    return (*(net.op(op, far) for op in STEPS), net.op("mod", far, net.const(1.5), fmod=1), net.op("is_nan", x))


def _integers(net: Network) -> tuple[Value, ...]:
    x, y = net.input(3, 5, dtype=DType.I64), net.input(5, name="y", dtype=DType.I64)
    one = net.const(1, dtype="int64")
    divided = net.op("div", net.op("mul", x, y), net.op("add", y, one))
    return (
        divided,
        net.op("equal", x, y),
        net.op("cast", x, to=DType.F32),
        net.op("max", x, y),
        net.op("mod", x, net.op("add", y, one)),
    )


def _casts(net: Network) -> tuple[Value, ...]:
    x, levels, flags = (
        net.input(3, 7),
        net.input(3, 7, name="u", dtype=DType.U8),
        net.input(3, 7, name="b", dtype=DType.BOOL),
    )
    far = net.op("mul", x, net.const(10))
    return (
        net.op("cast", far, to=DType.I32),
        net.op("cast", levels, to=DType.F32),
        net.op("cast", flags, to=DType.F32),
        net.op("cast", x, to=DType.F64),
        net.op("mul", net.op("cast", levels, to=DType.F32), net.op("cast", flags, to=DType.F32)),
    )


def cases() -> Iterator[Case]:
    """All cases of this family."""
    for surroundings in ("plain", "blocked"):
        for op in ("add", "sub", "mul", "max"):
            yield Case(f"broadcast-{op}-{surroundings}", _patterns(surroundings, op))
        yield Case(f"functions-{surroundings}", _functions(surroundings))
        yield Case(f"chain-{surroundings}", _chain(surroundings))
        yield Case(f"booleans-{surroundings}", _booleans(surroundings))
    yield Case("broadcast-ranks", _ranks)
    yield Case("broadcast-blocked-pairs", _blocked_pairs)
    yield Case("one-channel-gates", _one_channel_gates)
    yield Case("steps", _steps)
    yield Case("integers", _integers)
    yield Case("casts", _casts)
