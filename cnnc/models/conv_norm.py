"""A convolution with batch normalization and an activation: what most networks since 2015 are made of."""

from __future__ import annotations

from cnnc.dsl import BatchNorm, Conv2d, Network, Sequential, relu


class ConvNorm(Sequential):
    """Convolution without bias, batch normalization, activation: parts 0, 1 and 2.

    Args:
        padding: None keeps the size, where the kernel is odd and the stride 1.
        act: None for no activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        act: Network | None = relu,
        eps: float = 1e-5,
    ) -> None:
        conv = Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2 * dilation if padding is None else padding,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        super().__init__(conv, BatchNorm(out_channels, eps=eps), *([act] if act is not None else []))


class InceptionConv(Sequential):
    """The same as the Inception networks have it: parts ``conv`` and ``bn``, epsilon 0.001, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__(
            conv=Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding, bias=False),
            bn=BatchNorm(out_channels, eps=1e-3),
            relu=relu,
        )
