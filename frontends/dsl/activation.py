"""Activation functions. Each is a function of a tensor, and a layer of the same name in CamelCase."""

from __future__ import annotations

from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.constant import integers
from cnnc.frontends.dsl.initialisers import constant
from cnnc.frontends.dsl.module import Layer, as_layer
from cnnc.frontends.dsl.parameter import Parameter
from cnnc.frontends.dsl.tensor import Operand, Tensor, check_channels
from cnnc.frontends.dsl.trace import trace_of
from cnnc.frontends.dsl.windows import per_axis
from cnnc.ops.nonlinearity import AlphaAttrs, GeluAttrs, HardSigmoidAttrs, LeakyReluAttrs, SeluAttrs, ShrinkAttrs
from cnnc.ops.reshaping import ReshapeAttrs
from cnnc.ops.softmax import SoftmaxAttrs


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return trace_of(x).emit("relu", [x])


def clip(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """x limited to low..high; None for no limit on that side."""
    return trace_of(x).emit("clip", [x, low, high], like=x)


def relu6(x: Tensor) -> Tensor:
    """x limited to 0..6."""
    return clip(x, 0.0, 6.0)


def leaky_relu(x: Tensor, alpha: float = 0.01) -> Tensor:
    """x where it is positive, alpha * x elsewhere."""
    return trace_of(x).emit("leaky_relu", [x], LeakyReluAttrs(alpha))


def prelu(x: Tensor, slope: Operand) -> Tensor:
    """x where it is positive, slope * x elsewhere; the slope broadcasts to x.

    Source: He et al., Delving Deep into Rectifiers, ICCV 2015.
    """
    return trace_of(x).emit("prelu", [x, slope])


def thresholded_relu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is above alpha, 0 elsewhere."""
    return trace_of(x).emit("thresholded_relu", [x], AlphaAttrs(alpha))


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is positive, alpha * (exp(x) - 1) elsewhere."""
    return trace_of(x).emit("elu", [x], AlphaAttrs(alpha))


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)."""
    return trace_of(x).emit("celu", [x], AlphaAttrs(alpha))


def selu(x: Tensor) -> Tensor:
    """gamma * x where x is positive, gamma * (alpha * exp(x) - alpha) elsewhere.

    Source: Klambauer et al., Self-Normalizing Neural Networks, NIPS 2017, which gives both constants.
    """
    return trace_of(x).emit("selu", [x], SeluAttrs())


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x; ``approximate`` is none or tanh.

    Raises:
        ModelError: another ``approximate``.
    """
    if approximate not in ("none", "tanh"):
        raise refusal(f"approximate={approximate!r} does not exist", hint="use none or tanh")
    return trace_of(x).emit("gelu", [x], GeluAttrs(approximate))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return trace_of(x).emit("sigmoid", [x])


def hard_sigmoid(x: Tensor, alpha: float = 1 / 6, beta: float = 0.5) -> Tensor:
    """alpha * x + beta, limited to 0..1. The slope 1/6 is that of MobileNetV3; ONNX's own default is 0.2."""
    return trace_of(x).emit("hard_sigmoid", [x], HardSigmoidAttrs(alpha, beta))


def hard_swish(x: Tensor) -> Tensor:
    """x * hard_sigmoid(x).

    Source: Howard et al., Searching for MobileNetV3, ICCV 2019.
    """
    return trace_of(x).emit("hard_swish", [x])


def swish(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x * sigmoid(alpha * x); with alpha 1 it is SiLU.

    Source: Ramachandran et al., Searching for Activation Functions, arXiv 1710.05941.
    """
    return trace_of(x).emit("swish", [x], AlphaAttrs(alpha))


def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x))."""
    return trace_of(x).emit("mish", [x])


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return trace_of(x).emit("softplus", [x])


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return trace_of(x).emit("softsign", [x])


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return trace_of(x).emit("tanh", [x])


def shrink(x: Tensor, lambd: float = 0.5, bias: float = 0.0) -> Tensor:
    """0 within -lambd..lambd, x moved by ``bias`` towards 0 outside."""
    return trace_of(x).emit("shrink", [x], ShrinkAttrs(bias, lambd))


def swi_glu(gate: Tensor, x: Tensor, alpha: float = 1.0) -> Tensor:
    """swish(gate) * x.

    Source: Shazeer, GLU Variants Improve Transformer, arXiv 2002.05202.
    """
    return trace_of(gate).emit("swi_glu", [gate, x], AlphaAttrs(alpha))


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) over its sum along the axis."""
    return trace_of(x).emit("softmax", [x], SoftmaxAttrs(axis))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Logarithm of ``softmax``."""
    return trace_of(x).emit("log_softmax", [x], SoftmaxAttrs(axis))


def hardmax(x: Tensor, axis: int = -1) -> Tensor:
    """1 at the first largest element along the axis, 0 elsewhere."""
    return trace_of(x).emit("hardmax", [x], SoftmaxAttrs(axis))


class PReLU(Layer):
    """``prelu`` with a learned slope for each channel, or one for all."""

    def __init__(self, channels: int = 1, *, init: float = 0.25) -> None:
        per_axis("channels", channels, 1)
        self.weight = Parameter((channels,), constant(init))

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, ...] -> the same shape."""
        trace = trace_of(x)
        slope = trace.operand(self.weight)
        if slope.size(0) > 1:
            check_channels("PReLU", x, slope.size(0))
        # PReLU's slope broadcasts from the right: [C] stands for the channels as [C, 1, ...].
        if x.rank > 2 and slope.size(0) > 1:
            shape = integers([slope.size(0), *[1] * (x.rank - 2)], "shape")
            slope = trace.emit("reshape", [slope, shape], ReshapeAttrs())
        return prelu(x, slope)


ReLU = as_layer(relu)
ReLU6 = as_layer(relu6)
Clip = as_layer(clip)
LeakyReLU = as_layer(leaky_relu)
ThresholdedReLU = as_layer(thresholded_relu)
ELU = as_layer(elu)
CELU = as_layer(celu)
SELU = as_layer(selu)
GELU = as_layer(gelu)
Sigmoid = as_layer(sigmoid)
HardSigmoid = as_layer(hard_sigmoid)
HardSwish = as_layer(hard_swish)
Swish = as_layer(swish)
SiLU = as_layer(swish)
Mish = as_layer(mish)
Softplus = as_layer(softplus)
Softsign = as_layer(softsign)
Tanh = as_layer(tanh)
Shrink = as_layer(shrink)
Softmax = as_layer(softmax)
LogSoftmax = as_layer(log_softmax)
