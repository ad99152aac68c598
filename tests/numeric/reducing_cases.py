"""Ops that sum over axes: reductions, softmax, matrix products, normalizations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from cnnc.ir import Value
from cnnc.ops.activation import Activation
from tests.numeric.case import Build, Case
from tests.numeric.network import Network

SHAPE = (2, 18, 5, 7)
REDUCTIONS = ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1", "reduce_l2")
LOG_REDUCTIONS = ("reduce_log_sum_exp", "reduce_sum_square")
AXES = tuple(axes for count in (1, 2, 3, 4) for axes in combinations(range(4), count))


def _image(net: Network, surroundings: str) -> Value:
    return net.blocked(net.input(2, 3, 5, 7), 18) if surroundings == "blocked" else net.input(*SHAPE)


def _every_axis_set(op: str, surroundings: str) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = _image(net, surroundings)
        return tuple(net.op(op, x, net.ints(*axes), keepdims=index % 2) for index, axes in enumerate(AXES))

    return build


def _other_reductions(surroundings: str) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = _image(net, surroundings)
        near_one = net.op("add", net.op("mul", x, net.const(0.1)), net.const(1))
        made = [
            net.op(op, near_one, net.ints(*axes)) for op in (*REDUCTIONS, *LOG_REDUCTIONS) for axes in ((2, 3), (-1,))
        ]
        return (*made, net.op("reduce_sum", x, keepdims=0))

    return build


def _arg_reductions(net: Network) -> tuple[Value, ...]:
    x = net.input(2, 5, 3, 7)
    made = [net.op(op, x, axis=axis, keepdims=axis % 2) for op in ("arg_max", "arg_min") for axis in range(4)]
    return (*made, net.op("cum_sum", x, net.const(3, dtype="int64")), *net.many("top_k", x, net.ints(3), outputs=2))


def _softmaxes(surroundings: str) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = _image(net, surroundings)
        return tuple(net.op(op, x, axis=axis) for op in ("softmax", "log_softmax") for axis in (0, 1, 2, -1))

    return build


def _gemms(net: Network) -> tuple[Value, ...]:
    a, turned = net.input(5, 37), net.input(37, 5, name="t")
    w, back = net.scaled(37, 19, fan_in=37), net.scaled(19, 37, fan_in=37)
    other = net.input(37, 19, name="o")
    return (
        net.op("gemm", a, w, net.normal(19)),
        net.op("gemm", a, back, net.normal(1, 19), transB=1, activation=Activation("relu")),
        net.op("gemm", turned, w, net.normal(5, 1), transA=1, alpha=0.5, beta=2.0),
        net.op("gemm", turned, back, net.normal(5, 19), transA=1, transB=1),
        net.op("gemm", a, other),
        net.op("gemm", a, w, net.normal(1)),
    )


def _matmuls(net: Network) -> tuple[Value, ...]:
    x, y = net.input(2, 3, 5, 17), net.input(2, 3, 17, 9, name="y")
    shared, row, column = net.input(3, 17, 4, name="shared"), net.input(17, name="row"), net.input(9, name="column")
    return (
        net.op("matmul", x, y),
        net.op("matmul", x, shared),
        net.op("matmul", x, net.scaled(17, 33, fan_in=17)),
        net.op("matmul", row, y),
        net.op("matmul", y, column),
        net.op("matmul", row, row),
        net.op("matmul", net.normal(6, 17), y),
        net.op("add", net.op("matmul", x, net.scaled(17, 16, fan_in=17)), net.normal(16)),
    )


def _attention(net: Network) -> Value:
    x = net.input(2, 7, 24)
    parts = [net.op("matmul", x, net.scaled(24, 24, fan_in=24)) for _ in range(3)]
    heads = [net.op("transpose", net.op("reshape", part, net.ints(2, 7, 3, 8)), perm=(0, 2, 1, 3)) for part in parts]
    scores = net.op("matmul", heads[0], net.op("transpose", heads[1], perm=(0, 1, 3, 2)))
    mixed = net.op("matmul", net.op("softmax", net.op("mul", scores, net.const(0.35))), heads[2])
    return net.op("reshape", net.op("transpose", mixed, perm=(0, 2, 1, 3)), net.ints(2, 7, 24))


def _einsums(net: Network) -> tuple[Value, ...]:
    x, y = net.input(3, 4, 5), net.input(3, 5, 6, name="y")
    return net.op("einsum", x, y, equation="bij,bjk->bik"), net.op("einsum", x, equation="bij->jb")


def _norms(surroundings: str) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = _image(net, surroundings)
        return (
            net.op("instance_normalization", x, net.normal(18), net.normal(18)),
            *(net.op("group_normalization", x, net.normal(18), net.normal(18), num_groups=g) for g in (1, 2, 6, 18)),
            net.op("layer_normalization", x, net.normal(7), net.normal(7)),
            net.op("layer_normalization", x, net.normal(18, 5, 7), axis=1),
            net.op("lp_normalization", x, axis=1),
            net.op("mean_variance_normalization", x),
            net.op("rms_normalization", x, net.normal(7)),
            net.batch_norm(x),
            net.op("scale_shift", x, net.normal(18), net.normal(18), activation=Activation("relu")),
        )

    return build


def _norm_of_channels_last(net: Network) -> Value:
    y = net.op("transpose", net.conv(net.input(2, 3, 5, 7), 20), perm=(0, 2, 3, 1))
    y = net.op("layer_normalization", y, net.normal(20), net.normal(20))
    return net.conv(net.op("transpose", y, perm=(0, 3, 1, 2)), 6)


def _lrns(surroundings: str) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = _image(net, surroundings)
        return tuple(
            net.op("lrn", x, size=size, alpha=0.3, beta=beta, bias=1.5) for size, beta in ((5, 0.75), (2, 0.5))
        )

    return build


def cases() -> Iterator[Case]:
    """All cases of this family."""
    for surroundings in ("plain", "blocked"):
        for op in REDUCTIONS[:3]:
            yield Case(f"{op.replace('_', '-')}-{surroundings}", _every_axis_set(op, surroundings))
        yield Case(f"other-reductions-{surroundings}", _other_reductions(surroundings))
        yield Case(f"softmax-{surroundings}", _softmaxes(surroundings))
        yield Case(f"norm-{surroundings}", _norms(surroundings))
        yield Case(f"lrn-{surroundings}", _lrns(surroundings))
    yield Case("norm-channels-last", _norm_of_channels_last)
    yield Case("arg-reductions", _arg_reductions)
    yield Case("gemm", _gemms)
    yield Case("matmul", _matmuls)
    yield Case("attention", _attention)
    yield Case("einsum", _einsums)
