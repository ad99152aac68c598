"""Pools over any number of spatial axes: x is [N, C, spatial...]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.module import as_layer
from cnnc.frontends.dsl.movement import concat, flatten
from cnnc.frontends.dsl.reduction import reduce_max, reduce_mean
from cnnc.frontends.dsl.tensor import Tensor
from cnnc.frontends.dsl.trace import trace_of
from cnnc.frontends.dsl.windows import Padding, Sizes, per_axis, read_padding
from cnnc.ops.pool import AveragePoolAttrs, LpPoolAttrs, MaxPoolAttrs


def max_pool(
    x: Tensor,
    kernel: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Largest element of each window; windows follow each other without overlap unless ``stride`` says otherwise.

    Raises:
        ModelError: attributes that do not fit x.
    """
    rank = _spatial_rank(x)
    pads = read_padding(padding, rank)
    attrs = MaxPoolAttrs(
        kernel_shape=per_axis("kernel", kernel, rank),
        auto_pad=pads.auto_pad,
        ceil_mode=int(ceil_mode),
        dilations=per_axis("dilation", dilation, rank),
        pads=pads.pads,
        strides=per_axis("stride", kernel if stride is None else stride, rank),
    )
    return trace_of(x).emit("max_pool", [x], attrs)


def avg_pool(
    x: Tensor,
    kernel: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_padding: bool = True,
) -> Tensor:
    """Mean of each window. Zeros of the padding count as elements unless ``count_padding`` is False.

    Raises:
        ModelError: attributes that do not fit x.
    """
    rank = _spatial_rank(x)
    pads = read_padding(padding, rank)
    attrs = AveragePoolAttrs(
        kernel_shape=per_axis("kernel", kernel, rank),
        auto_pad=pads.auto_pad,
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count_padding),
        pads=pads.pads,
        strides=per_axis("stride", kernel if stride is None else stride, rank),
    )
    return trace_of(x).emit("average_pool", [x], attrs)


def lp_pool(x: Tensor, kernel: Sizes, *, p: int = 2, stride: Sizes | None = None, padding: Padding = 0) -> Tensor:
    """p-norm of each window.

    Raises:
        ModelError: attributes that do not fit x.
    """
    rank = _spatial_rank(x)
    pads = read_padding(padding, rank)
    attrs = LpPoolAttrs(
        kernel_shape=per_axis("kernel", kernel, rank),
        auto_pad=pads.auto_pad,
        p=p,
        pads=pads.pads,
        strides=per_axis("stride", kernel if stride is None else stride, rank),
    )
    return trace_of(x).emit("lp_pool", [x], attrs)


def global_avg_pool(x: Tensor) -> Tensor:
    """Mean over all pixels: [N, C, spatial...] -> [N, C, 1...].

    Source: Lin et al., Network in Network, ICLR 2014.
    """
    return trace_of(x).emit("global_average_pool", [x])


def global_max_pool(x: Tensor) -> Tensor:
    """Largest of all pixels: [N, C, spatial...] -> [N, C, 1...]."""
    return trace_of(x).emit("global_max_pool", [x])


def mixed_pool(
    x: Tensor, kernel: Sizes, *, ratio: float = 0.5, stride: Sizes | None = None, padding: Padding = 0
) -> Tensor:
    """``ratio`` of the window's maximum and the rest of its mean.

    Source: Lee et al., Generalizing Pooling Functions in CNNs, AISTATS 2016.
    """
    if not 0 <= ratio <= 1:
        raise refusal(f"ratio={ratio} must lie between 0 (mean) and 1 (maximum)")
    largest = max_pool(x, kernel, stride=stride, padding=padding)
    mean = avg_pool(x, kernel, stride=stride, padding=padding)
    return largest * ratio + mean * (1 - ratio)


def stochastic_pool(x: Tensor, kernel: Sizes, *, stride: Sizes | None = None, eps: float = 1e-12) -> Tensor:
    """The inference form of stochastic pooling: each element weighted by its share of the window's sum.

    x must not be negative (it follows a ReLU). A window of zeros gives 0; ``eps`` keeps its quotient defined.

    Source: Zeiler and Fergus, Stochastic Pooling for Regularization of Deep CNNs, ICLR 2013, section 3.2.
    """
    squares = avg_pool(x * x, kernel, stride=stride)
    return squares / (avg_pool(x, kernel, stride=stride) + eps)


def adaptive_avg_pool(x: Tensor, output: Sizes) -> Tensor:
    """Mean over a grid of ``output`` cells; cell i of n along an axis of S covers floor(i*S/n) .. ceil((i+1)*S/n) - 1.

    Raises:
        ModelError: an axis is open and its output is not 1.
    """
    return _adaptive(x, output, avg_pool, reduce_mean, global_avg_pool)


def adaptive_max_pool(x: Tensor, output: Sizes) -> Tensor:
    """Maximum over a grid of ``output`` cells, see ``adaptive_avg_pool``."""
    return _adaptive(x, output, max_pool, reduce_max, global_max_pool)


def spatial_pyramid_pool(x: Tensor, levels: Sequence[Sizes] = (4, 2, 1)) -> Tensor:
    """Maxima over grids of several sizes, as one vector: [N, C, spatial...] -> [N, C * cells of all grids].

    Source: He et al., Spatial Pyramid Pooling in Deep Convolutional Networks, ECCV 2014.
    """
    if not levels:
        raise refusal("a pyramid needs at least one level")
    return concat([flatten(adaptive_max_pool(x, level)) for level in levels], axis=1)


def _adaptive(
    x: Tensor,
    output: Sizes,
    pool: Callable[..., Tensor],
    reduce: Callable[..., Tensor],
    over_all: Callable[[Tensor], Tensor],
) -> Tensor:
    rank = _spatial_rank(x)
    counts = per_axis("output", output, rank)
    if all(count == 1 for count in counts):
        return over_all(x)
    grid = [_cells(x.size(axis), count) for axis, count in enumerate(counts, start=2)]
    windows = [_window(cells) for cells in grid]
    if all(window is not None for window in windows):
        kernel, stride = zip(*(window for window in windows if window is not None))
        return pool(x, kernel, stride=stride)
    # A cell is a rectangle, so that its mean or maximum may be taken along one axis after the other.
    for axis, cells in enumerate(grid, start=2):
        whole = (slice(None),) * axis
        x = concat([reduce(x[(*whole, slice(a, b))], axes=(axis,)) for a, b in cells], axis=axis)
    return x


def _cells(size: int, count: int) -> list[tuple[int, int]]:
    """Begin and end of each of ``count`` cells of an axis."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _window(cells: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Kernel and stride of a pool whose windows are the cells; None where they differ in size or distance."""
    (begin, end), kernel = cells[0], cells[0][1] - cells[0][0]
    stride = cells[1][0] - begin if len(cells) > 1 else kernel
    expected = [(begin + i * stride, end + i * stride) for i in range(len(cells))]
    return (kernel, stride) if stride and cells == expected else None


def _spatial_rank(x: Tensor) -> int:
    if x.rank < 3:
        raise refusal(f"a pool takes [N, C, spatial...], got {x}")
    return x.rank - 2


MaxPool = as_layer(max_pool)
AvgPool = as_layer(avg_pool)
LpPool = as_layer(lp_pool)
GlobalAvgPool = as_layer(global_avg_pool)
GlobalMaxPool = as_layer(global_max_pool)
MixedPool = as_layer(mixed_pool)
StochasticPool = as_layer(stochastic_pool)
AdaptiveAvgPool = as_layer(adaptive_avg_pool)
AdaptiveMaxPool = as_layer(adaptive_max_pool)
SpatialPyramidPool = as_layer(spatial_pyramid_pool)
