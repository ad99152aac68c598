"""Normalizations, as they compute at inference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.initialisers import ones, zeros
from cnnc.frontends.dsl.module import Layer, as_layer
from cnnc.frontends.dsl.parameter import Parameter
from cnnc.frontends.dsl.tensor import Operand, Tensor, check_channels
from cnnc.frontends.dsl.trace import trace_of
from cnnc.frontends.dsl.windows import per_axis
from cnnc.ops.normalization import (
    BatchNormalizationAttrs,
    GroupNormalizationAttrs,
    InstanceNormalizationAttrs,
    LayerNormalizationAttrs,
    LRNAttrs,
)


def batch_norm(
    x: Tensor, weight: Operand, bias: Operand, mean: Operand, variance: Operand, *, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias by channel: x [N, C, ...], the others [C].

    Source: Ioffe and Szegedy, Batch Normalization, ICML 2015.
    """
    return trace_of(x).emit(
        "batch_normalization", [x, weight, bias, mean, variance], BatchNormalizationAttrs(epsilon=eps)
    )


def layer_norm(x: Tensor, weight: Operand, bias: Operand | None = None, *, axis: int = -1, eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the axes from ``axis`` on, then scaled and shifted.

    Source: Ba et al., Layer Normalization, arXiv 1607.06450.
    """
    return trace_of(x).emit("layer_normalization", [x, weight, bias], LayerNormalizationAttrs(axis=axis, epsilon=eps))


def group_norm(x: Tensor, groups: int, weight: Operand, bias: Operand, *, eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the channels of a group and all pixels; weight and bias [C].

    Source: Wu and He, Group Normalization, ECCV 2018.
    """
    attrs = GroupNormalizationAttrs(num_groups=groups, epsilon=eps)
    return trace_of(x).emit("group_normalization", [x, weight, bias], attrs)


def instance_norm(x: Tensor, weight: Operand, bias: Operand, *, eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the pixels of each image and channel; weight and bias [C].

    Source: Ulyanov et al., Instance Normalization, arXiv 1607.08022.
    """
    return trace_of(x).emit("instance_normalization", [x, weight, bias], InstanceNormalizationAttrs(epsilon=eps))


def local_response_norm(x: Tensor, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha / size * sum of x^2 over ``size`` neighbouring channels) ** beta.

    Source: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012, section 3.3.
    """
    return trace_of(x).emit("lrn", [x], LRNAttrs(size=size, alpha=alpha, beta=beta, bias=k))


LocalResponseNorm = as_layer(local_response_norm)


class BatchNorm(Layer):
    """Batch normalization with its running statistics, over any number of spatial axes.

    Without ``affine`` it has no weight and no bias: mean 0 and variance 1.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        per_axis("channels", channels, 1)
        self.eps = eps
        self.weight = Parameter((channels,), ones) if affine else np.ones(channels, np.float32)
        self.bias = Parameter((channels,), zeros) if affine else np.zeros(channels, np.float32)
        self.running_mean = Parameter((channels,), zeros, trainable=False)
        self.running_var = Parameter((channels,), ones, trainable=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, ...] -> the same shape."""
        check_channels("BatchNorm", x, self.running_mean.shape[0])
        return batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, eps=self.eps)


class LayerNorm(Layer):
    """Layer normalization over the last axes, whose sizes are given."""

    def __init__(self, shape: int | Sequence[int], *, eps: float = 1e-5, bias: bool = True) -> None:
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps = eps
        self.weight = Parameter(sizes, ones)
        self.bias = Parameter(sizes, zeros) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x [..., sizes] -> the same shape."""
        sizes = self.weight.shape
        if x.rank < len(sizes) or any(isinstance(d, int) and d != s for d, s in zip(x.shape[-len(sizes) :], sizes)):
            label = x.trace.labelled("LayerNorm")
            raise refusal(f"{label} takes an input whose last sizes are {list(sizes)}, got {x}")
        return layer_norm(x, self.weight, self.bias, axis=-len(sizes), eps=self.eps)


class GroupNorm(Layer):
    """Group normalization."""

    def __init__(self, groups: int, channels: int, *, eps: float = 1e-5) -> None:
        per_axis("groups", groups, 1)
        per_axis("channels", channels, 1)
        if channels % groups:
            raise refusal(f"{channels} channels do not divide into groups={groups}")
        self.groups, self.eps = groups, eps
        self.weight = Parameter((channels,), ones)
        self.bias = Parameter((channels,), zeros)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, ...] -> the same shape."""
        check_channels("GroupNorm", x, self.weight.shape[0])
        return group_norm(x, self.groups, self.weight, self.bias, eps=self.eps)


class InstanceNorm(Layer):
    """Instance normalization."""

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        per_axis("channels", channels, 1)
        self.eps = eps
        self.weight = Parameter((channels,), ones)
        self.bias = Parameter((channels,), zeros)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, spatial...] -> the same shape."""
        check_channels("InstanceNorm", x, self.weight.shape[0])
        return instance_norm(x, self.weight, self.bias, eps=self.eps)
