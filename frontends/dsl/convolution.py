"""Convolutions of one, two and three spatial axes, transposed ones, and the separable pairs.

Tensors are [N, C, L], [N, C, H, W] or [N, C, D, H, W]; weights [OC, IC/groups, kernel...], of transposed convolutions
[IC, OC/groups, kernel...], as ONNX and PyTorch have them.
"""

from __future__ import annotations

from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.initialisers import Initialiser, zeros
from cnnc.frontends.dsl.module import Layer, Module
from cnnc.frontends.dsl.parameter import Parameter
from cnnc.frontends.dsl.tensor import Operand, Tensor
from cnnc.frontends.dsl.trace import trace_of
from cnnc.frontends.dsl.windows import Padding, Sizes, per_axis, read_padding
from cnnc.ops.conv import ConvAttrs, ConvTransposeAttrs


def conv(
    x: Tensor,
    weight: Operand,
    bias: Operand | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of x [N, IC, spatial...] with weight [OC, IC/groups, kernel...] and bias [OC].

    Raises:
        ModelError: shapes or attributes that contradict each other.
    """
    trace = trace_of(x)
    kernel = trace.operand(weight)
    if kernel.rank < 3:
        raise refusal(f"a convolution's weight is [OC, IC/groups, kernel...], got {kernel}")
    rank = kernel.rank - 2
    pads = read_padding(padding, rank)
    attrs = ConvAttrs(
        auto_pad=pads.auto_pad,
        dilations=per_axis("dilation", dilation, rank),
        group=groups,
        kernel_shape=tuple(kernel.size(axis) for axis in range(2, kernel.rank)),
        pads=pads.pads,
        strides=per_axis("stride", stride, rank),
    )
    return trace.emit("conv", [x, kernel, bias], attrs)


def conv_transpose(
    x: Tensor,
    weight: Operand,
    bias: Operand | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Transposed convolution of x [N, IC, spatial...] with weight [IC, OC/groups, kernel...] and bias [OC].

    Raises:
        ModelError: shapes or attributes that contradict each other.
    """
    trace = trace_of(x)
    kernel = trace.operand(weight)
    if kernel.rank < 3:
        raise refusal(f"a transposed convolution's weight is [IC, OC/groups, kernel...], got {kernel}")
    rank = kernel.rank - 2
    pads = read_padding(padding, rank)
    attrs = ConvTransposeAttrs(
        auto_pad=pads.auto_pad,
        dilations=per_axis("dilation", dilation, rank),
        group=groups,
        kernel_shape=tuple(kernel.size(axis) for axis in range(2, kernel.rank)),
        output_padding=per_axis("output_padding", output_padding, rank, least=0),
        pads=pads.pads,
        strides=per_axis("stride", stride, rank),
    )
    return trace.emit("conv_transpose", [x, kernel, bias], attrs)


class _Convolution(Layer):
    """What convolutions of all ranks share: checked sizes and a weight."""

    rank: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sizes,
        *,
        groups: int = 1,
        bias: bool = True,
        init: Initialiser | None = None,
    ) -> None:
        for name, number in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            per_axis(name, number, 1)
        for name, number in (("in_channels", in_channels), ("out_channels", out_channels)):
            if number % groups:
                raise refusal(
                    f"{name}={number} does not divide into groups={groups}",
                    hint="in_channels and out_channels must both be multiples of groups",
                )
        window = per_axis("kernel", kernel, self.rank)
        shape = (out_channels, in_channels // groups, *window)
        if self.transposed:
            shape = (in_channels, out_channels // groups, *window)
        self.groups = groups
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.weight = Parameter(shape, init)
        self.bias = Parameter((out_channels,), zeros) if bias else None

    def check_input(self, x: Tensor) -> None:
        """Refuse an input of another rank or channel count.

        Raises:
            ModelError: naming expected and got.
        """
        kind = x.trace.labelled(type(self).__name__)
        if x.rank != self.rank + 2:
            raise refusal(f"{kind} takes an input of rank {self.rank + 2} ([N, C, {self.rank} spatial axes]), got {x}")
        if isinstance(x.shape[1], int) and x.shape[1] != self.in_channels:
            raise refusal(f"{kind} takes {self.in_channels} input channels, got {x.shape[1]}: the input is {x}")


class _Conv(_Convolution):
    """A convolution, see ``conv``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sizes,
        *,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        init: Initialiser | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, groups=groups, bias=bias, init=init)
        self.stride, self.padding, self.dilation = stride, padding, dilation

    def forward(self, x: Tensor) -> Tensor:
        """x [N, IC, spatial...] -> [N, OC, spatial...]."""
        self.check_input(x)
        return conv(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class Conv1d(_Conv):
    """Convolution over [N, C, L]."""

    rank = 1


class Conv2d(_Conv):
    """Convolution over [N, C, H, W]."""

    rank = 2


class Conv3d(_Conv):
    """Convolution over [N, C, D, H, W]."""

    rank = 3


class _ConvTranspose(_Convolution):
    """A transposed convolution, see ``conv_transpose``."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sizes,
        *,
        stride: Sizes = 1,
        padding: Padding = 0,
        output_padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        init: Initialiser | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, groups=groups, bias=bias, init=init)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.output_padding = output_padding

    def forward(self, x: Tensor) -> Tensor:
        """x [N, IC, spatial...] -> [N, OC, larger spatial...]."""
        self.check_input(x)
        return conv_transpose(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution over [N, C, L]."""

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution over [N, C, H, W]."""

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution over [N, C, D, H, W]."""

    rank = 3


class DepthwiseConv2d(Conv2d):
    """A convolution of each channel on its own; with ``multiplier`` m, each input channel gives m outputs."""

    def __init__(
        self,
        channels: int,
        kernel: Sizes,
        *,
        multiplier: int = 1,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        bias: bool = True,
        init: Initialiser | None = None,
    ) -> None:
        per_axis("multiplier", multiplier, 1)
        super().__init__(
            channels,
            channels * multiplier,
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=channels,
            bias=bias,
            init=init,
        )


class SeparableConv2d(Module):
    """Depthwise convolution, then a 1x1 convolution: k*k + OC products a pixel and input channel instead of k*k*OC.

    Source: Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sizes,
        *,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        bias: bool = True,
    ) -> None:
        self.depthwise = DepthwiseConv2d(
            in_channels, kernel, stride=stride, padding=padding, dilation=dilation, bias=False
        )
        self.pointwise = Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, IC, H, W] -> [N, OC, H, W]."""
        return self.pointwise(self.depthwise(x))


class SpatiallySeparableConv2d(Module):
    """A k x 1 convolution, then a 1 x k one: 2k products where a k x k window has k*k.

    Source: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, section 3.2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        middle_channels: int | None = None,
        stride: int = 1,
        padding: int | str = 0,
        bias: bool = True,
    ) -> None:
        middle = out_channels if middle_channels is None else middle_channels
        down: Padding = padding if isinstance(padding, str) else (padding, 0)
        across: Padding = padding if isinstance(padding, str) else (0, padding)
        self.vertical = Conv2d(in_channels, middle, (kernel, 1), stride=(stride, 1), padding=down, bias=False)
        self.horizontal = Conv2d(middle, out_channels, (1, kernel), stride=(1, stride), padding=across, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, IC, H, W] -> [N, OC, H, W]."""
        return self.horizontal(self.vertical(x))
