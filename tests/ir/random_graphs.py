"""Small random networks for property tests: of the text form, the passes, and the kernels.

``random_graphs()`` is a hypothesis strategy. A graph has one or two inputs [N, C, H, W], N and H symbolic or numbers,
and a few nodes; each new node reads a value made before, mostly the newest one, so chains, branches and joins occur.
Weights are small, seeded, and sometimes shared. What nobody reads becomes a graph output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cnnc.dims import Dim, symbol
from cnnc.ir import Graph, Value
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

Draw = Callable[[Any], Any]
Step = Callable[["Maker", Value], "Value | None"]


class Maker:
    """Draws one graph."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.graph = Graph(OPS, "random")
        self.rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        self.pool: list[Value] = []

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def weights(self, *shape: int, name: str = "w") -> Value:
        return self.graph.add_constant(self.rng.standard_normal(shape).astype(np.float32), name)

    def sizes(self, *sizes: int) -> Value:
        return self.graph.add_constant(np.array(sizes, np.int64), "sizes")

    def add(self, op: str, *inputs: Value | None, outputs: int = 1, **attrs: Any) -> Value:
        return self.node(op, *inputs, outputs=outputs, **attrs)[0]

    def node(self, op: str, *inputs: Value | None, outputs: int = 1, **attrs: Any) -> tuple[Value, ...]:
        attributes = OPS[op].attrs(**attrs)
        return self.graph.add_node(op, inputs, attributes, outputs=outputs, loc=(f"{op}{len(self.graph)}",)).outputs

    def like(self, x: Value) -> Value | None:
        """Another value of the same shape, or the same value."""
        return self.draw(st.sampled_from([value for value in self.pool if value.type == x.type]))


def _channels(x: Value) -> int | None:
    return x.type.shape[1] if x.type.rank >= 2 and isinstance(x.type.shape[1], int) else None


def _is_image(x: Value, smallest: int = 1) -> bool:
    """[N, C, H, W] with known channels and sides of at least ``smallest``; symbolic sides are large."""
    if x.type.rank != 4 or _channels(x) is None:
        return False
    return all(not isinstance(dim, int) or dim >= smallest for dim in x.type.shape[2:])


def _is_known_image(x: Value) -> bool:
    return x.type.rank == 4 and all(isinstance(dim, int) for dim in x.type.shape[1:])


def _stride(make: Maker, x: Value) -> int:
    # Symbolic sides shrink by a little only, so that they stay large.
    return make.pick(1, 1, 2) if _is_known_image(x) else 1


def _unary(make: Maker, x: Value) -> Value:
    return make.add(make.pick("relu", "sigmoid", "tanh", "neg", "abs", "softplus", "hard_swish", "identity"), x)


def _activation(make: Maker, x: Value) -> Value:
    op = make.pick("leaky_relu", "elu", "hard_sigmoid", "clip", "gelu")
    if op == "clip":
        bound = make.graph.add_constant(np.array(make.pick(-1.0, 0.0), np.float32), "low")
        return make.add("clip", x, bound, make.graph.add_constant(np.array(6.0, np.float32), "high"))
    return make.add(op, x)


def _silu(make: Maker, x: Value) -> Value:
    return make.add("mul", x, make.add("sigmoid", x))


def _binary(make: Maker, x: Value) -> Value:
    return make.add(make.pick("add", "sub", "mul", "add", "max", "min"), x, make.like(x))


def _with_constant(make: Maker, x: Value) -> Value:
    channels = _channels(x)
    per_channel = channels is not None and make.pick(True, False)
    value = make.weights(channels, *[1] * (x.type.rank - 2)) if per_channel else make.weights()
    pair = (x, value) if make.pick(True, True, False) else (value, x)
    return make.add(make.pick("add", "sub", "mul"), *pair)


def _conv(make: Maker, x: Value) -> Value | None:
    channels = _channels(x)
    if not _is_image(x) or channels is None:
        return None
    kernel = make.pick(1, 1, 3)
    if not _is_image(x, kernel) and make.pick(True, False):
        return None
    group = make.pick(*[g for g in (1, 1, 2, channels) if channels % g == 0])
    out = group * make.pick(1, 2, 3)
    pads = (1, 1, 1, 1) if kernel == 3 and (not _is_image(x, 3) or make.pick(True, False)) else ()
    auto_pad = "SAME_UPPER" if not pads and make.pick(True, False, False) else "NOTSET"
    stride = _stride(make, x)
    bias = make.weights(out, name="b") if make.pick(True, False) else None
    weights = make.weights(out, channels // group, kernel, kernel)
    if not pads and auto_pad == "NOTSET" and not _is_image(x, kernel):
        return None
    attrs = {"group": group, "strides": (stride, stride), "pads": pads, "auto_pad": auto_pad}
    return make.add("conv", x, weights, bias, **attrs)


def _batch_norm(make: Maker, x: Value) -> Value | None:
    channels = _channels(x)
    if channels is None:
        return None
    variance = make.graph.add_constant(make.rng.uniform(0.5, 2, channels).astype(np.float32), "variance")
    rest = [make.weights(channels, name=name) for name in ("scale", "shift", "mean")]
    return make.add("batch_normalization", x, *rest, variance)


def _pool(make: Maker, x: Value) -> Value | None:
    if not _is_image(x, 2):
        return None
    stride = _stride(make, x)
    pads = make.pick((), (), (1, 1, 1, 1), (0, 0, 1, 1))
    return make.add(make.pick("max_pool", "average_pool"), x, kernel_shape=(2, 2), strides=(stride, stride), pads=pads)


def _global_pool(make: Maker, x: Value) -> Value | None:
    if not _is_image(x):
        return None
    if make.pick(True, False):
        return make.add("global_average_pool", x)
    return make.add("reduce_mean", x, make.sizes(*make.pick((2, 3), (-1, -2))), keepdims=make.pick(0, 1))


def _transpose(make: Maker, x: Value) -> Value:
    if x.type.rank == 4 and make.pick(True, True, False):
        return make.add("transpose", x, perm=make.pick((0, 2, 3, 1), (0, 3, 1, 2)))
    return make.add("transpose", x, perm=tuple(make.draw(st.permutations(range(x.type.rank)))))


def _reshape(make: Maker, x: Value) -> Value | None:
    if x.type.rank < 2:
        return None
    match make.pick("flatten", "merge", "same", "unsqueeze"):
        case "flatten":
            return make.add("flatten", x, axis=make.pick(1, 2))
        case "merge":
            return make.add("reshape", x, make.sizes(0, -1))
        case "same":
            return make.add("reshape", x, make.sizes(*[0] * x.type.rank))
    if x.type.rank > 4:
        return None
    axes = make.sizes(make.pick(0, 1, -1))
    return make.add("squeeze", make.add("relu", make.add("unsqueeze", x, axes)), axes)


def _shape_chain(make: Maker, x: Value) -> Value | None:
    """The exporters' way to flatten: Shape, Gather, Concat, Reshape."""
    if x.type.rank < 2:
        return None
    first = make.add("gather", make.add("shape", x), make.sizes(0), axis=0)
    return make.add("reshape", x, make.add("concat", first, make.sizes(-1), axis=0))


def _concat(make: Maker, x: Value) -> Value | None:
    if x.type.rank < 2:
        return None
    parts = [x, make.like(x), make.like(x)][: make.pick(1, 2, 3)]
    joined = make.add("concat", *parts, axis=1)
    count = x.type.shape[1]
    if make.pick(True, False) or not isinstance(count, int):
        return joined
    first = make.pick(0, count if len(parts) > 1 else 0)
    return make.add("slice", joined, make.sizes(first), make.sizes(first + count), make.sizes(1))


def _slice(make: Maker, x: Value) -> Value | None:
    axis = x.type.rank - 1
    size = x.type.shape[axis]
    if not isinstance(size, int) or size < 2:
        return None
    step = make.pick(1, 2, -1)
    if step < 0:
        return make.add("slice", x, make.sizes(-1), make.sizes(-(2**31)), make.sizes(axis), make.sizes(step))
    return make.add("slice", x, make.sizes(make.pick(0, 1)), make.sizes(2**31), make.sizes(axis), make.sizes(step))


def _split(make: Maker, x: Value) -> Value | None:
    channels = _channels(x)
    if channels is None or channels % 2:
        return None
    left, right = make.node("split", x, outputs=2, axis=1, num_outputs=2)
    make.pool.append(left)
    return right


def _shuffle(make: Maker, x: Value) -> Value | None:
    channels = _channels(x)
    if not _is_known_image(x) or channels is None or channels % 2:
        return None
    height, width = x.type.shape[2:]
    assert isinstance(height, int) and isinstance(width, int)
    grouped = make.add("reshape", x, make.sizes(0, 2, channels // 2, height, width))
    turned = make.add("transpose", grouped, perm=(0, 2, 1, 3, 4))
    return make.add("reshape", turned, make.sizes(0, channels, height, width))


def _deal(make: Maker, x: Value) -> Value | None:
    """The channel shuffle that some exporters spell with gathers."""
    channels = _channels(x)
    if not _is_known_image(x) or channels is None or channels % 2:
        return None
    height, width = x.type.shape[2:]
    assert isinstance(height, int) and isinstance(width, int)
    rows = make.add("reshape", x, make.sizes(-1, 2, height * width))
    turned = make.add("transpose", rows, perm=make.pick((1, 0, 2), (1, 2, 0)))
    dealt = make.add("reshape", turned, make.sizes(2, -1, channels // 2, height, width))
    even, odd = (make.add("gather", dealt, make.graph.add_constant(np.array(part), "part")) for part in (0, -1))
    make.pool.append(even)
    return odd


def _pixel_shuffle(make: Maker, x: Value) -> Value | None:
    channels = _channels(x)
    if not _is_known_image(x) or channels is None or channels % 4:
        return None
    height, width = x.type.shape[2:]
    assert isinstance(height, int) and isinstance(width, int)
    rest = channels // 4
    order, perm = make.pick(((rest, 2, 2), (0, 1, 4, 2, 5, 3)), ((2, 2, rest), (0, 3, 4, 1, 5, 2)))
    apart = make.add("reshape", x, make.sizes(0, *order, height, width))
    return make.add("reshape", make.add("transpose", apart, perm=perm), make.sizes(0, rest, 2 * height, 2 * width))


def _gate(make: Maker, x: Value) -> Value | None:
    """Squeeze and excitation, channels last or first as they come."""
    if x.type.rank != 4:
        return None
    gate = make.add("sigmoid", make.add("reduce_mean", x, make.sizes(*make.pick((1, 2), (2, 3))), keepdims=1))
    if make.pick(True, False):
        gate = make.add("expand", gate, make.add("shape", x))
    return make.add("mul", x, gate)


def _dropout(make: Maker, x: Value) -> Value:
    return make.add("dropout", x)


def _pad(make: Maker, x: Value) -> Value | None:
    if x.type.rank != 4:
        return None
    return make.add("pad", x, make.sizes(*make.pick((0, 0, 1, 1, 0, 0, 1, 1), (0,) * 8, (0, 0, 0, 1, 0, 0, 1, 0))))


def _softmax(make: Maker, x: Value) -> Value:
    return make.add("softmax", x, axis=make.pick(-1, 1) if x.type.rank > 1 else -1)


def _reduce(make: Maker, x: Value) -> Value | None:
    if x.type.rank < 3:
        return None
    axes = make.sizes(make.pick(1, -1, 2))
    return make.add(make.pick("reduce_mean", "reduce_max", "reduce_sum"), x, axes, keepdims=make.pick(0, 1))


def _linear(make: Maker, x: Value) -> Value | None:
    size = x.type.shape[-1]
    if x.type.rank != 2 or not isinstance(size, int) or size > 256:
        return None
    if make.pick(True, False):
        return make.add("gemm", x, make.weights(5, size), make.weights(5), transB=1)
    return make.add("matmul", x, make.weights(size, 4))


def _classifier(make: Maker, x: Value) -> Value | None:
    """Flatten channels-last data into a product, as Keras models do."""
    if not _is_known_image(x):
        return None
    size = int(np.prod([dim for dim in x.type.shape[1:] if isinstance(dim, int)]))
    flat = make.add("flatten", make.add("transpose", x, perm=make.pick((0, 2, 3, 1), (0, 3, 1, 2))))
    if make.pick(True, False):
        return make.add("matmul", flat, make.weights(size, 3))
    turned = make.pick(0, 1)
    return make.add("gemm", flat, make.weights(3, size) if turned else make.weights(size, 3), transB=turned)


def _sum(make: Maker, x: Value) -> Value:
    return make.add(make.pick("sum", "mean"), *[x, make.like(x), make.like(x)][: make.pick(1, 2, 3)])


def _cast(make: Maker, x: Value) -> Value:
    return make.add("cast", make.add("cast", x, to=make.pick(DType.F64, DType.F32)), to=DType.F32)


STEPS: dict[str, Step] = {
    "unary": _unary,
    "activation": _activation,
    "silu": _silu,
    "binary": _binary,
    "with_constant": _with_constant,
    "conv": _conv,
    "batch_norm": _batch_norm,
    "pool": _pool,
    "global_pool": _global_pool,
    "transpose": _transpose,
    "reshape": _reshape,
    "shape_chain": _shape_chain,
    "concat": _concat,
    "slice": _slice,
    "split": _split,
    "shuffle": _shuffle,
    "deal": _deal,
    "pixel_shuffle": _pixel_shuffle,
    "gate": _gate,
    "dropout": _dropout,
    "pad": _pad,
    "softmax": _softmax,
    "reduce": _reduce,
    "linear": _linear,
    "classifier": _classifier,
    "sum": _sum,
    "cast": _cast,
}
"""What may be drawn, by name: tests of one pass weight what it is about."""


@st.composite
def random_graphs(
    draw: Draw, max_nodes: int = 7, steps: tuple[str, ...] = tuple(STEPS), favour: tuple[str, ...] = ()
) -> Graph:
    """A graph of about ``max_nodes`` steps; those in ``favour`` are drawn several times as often."""
    make = Maker(draw)
    batch: Dim = draw(st.sampled_from([symbol("N"), 1, 2]))
    channels: int = draw(st.sampled_from([1, 3, 4, 6]))
    height: Dim = draw(st.sampled_from([4, 5, 7, symbol("H")]))
    width: int = draw(st.sampled_from([4, 6]))
    shape = (batch, channels, height, width)
    for index in range(draw(st.integers(1, 2))):
        make.pool.append(make.graph.add_input(f"x{index}", TensorType(shape, DType.F32)))
    names = [*steps, *(name for name in favour for _ in range(4))]
    for _ in range(draw(st.integers(1, max_nodes))):
        # Shrinks towards the newest value: index 0 counts from the end.
        source = make.pool[-1 - min(draw(st.sampled_from([0, 0, 0, 1, 2])), len(make.pool) - 1)]
        made = STEPS[draw(st.sampled_from(names))](make, source)
        if made is not None:
            make.pool.append(made)
    _return_leaves(make)
    return make.graph


def _return_leaves(make: Maker) -> None:
    leaves = [value for value in make.pool if not value.uses and value.producer is not None]
    leaves = leaves or [make.pool[-1]]
    extra = make.draw(st.sampled_from([None, *make.pool]))
    if extra is not None and extra not in leaves:
        leaves.append(extra)
    make.graph.set_outputs(leaves, [f"y{index}" for index in range(len(leaves))])
    make.graph.remove_unused_constants()
