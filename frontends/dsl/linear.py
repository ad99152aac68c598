"""Linear layers and matrix products."""

from __future__ import annotations

from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.initialisers import Initialiser, zeros
from cnnc.frontends.dsl.module import Layer
from cnnc.frontends.dsl.parameter import Parameter
from cnnc.frontends.dsl.tensor import Operand, Tensor
from cnnc.frontends.dsl.trace import trace_of
from cnnc.frontends.dsl.windows import per_axis
from cnnc.ops.linear import GemmAttrs
from cnnc.ops.reshaping import TransposeAttrs


def linear(x: Tensor, weight: Operand, bias: Operand | None = None) -> Tensor:
    """x @ weight.T + bias over the last axis: x [..., IN], weight [OUT, IN], bias [OUT].

    Raises:
        ModelError: shapes that contradict each other.
    """
    trace = trace_of(x)
    if x.rank == 2:
        return trace.emit("gemm", [x, weight, bias], GemmAttrs(transB=1))
    product = trace.emit("matmul", [x, trace.emit("transpose", [weight], TransposeAttrs((1, 0)))])
    return product if bias is None else product + bias


def matmul(a: Tensor, b: Operand) -> Tensor:
    """Matrix product of the last two axes, the others broadcast: [..., M, K] @ [..., K, N]."""
    return trace_of(a).emit("matmul", [a, b])


class Linear(Layer):
    """A fully connected layer over the last axis, see ``linear``."""

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, init: Initialiser | None = None
    ) -> None:
        per_axis("in_features", in_features, 1)
        per_axis("out_features", out_features, 1)
        self.in_features = in_features
        self.weight = Parameter((out_features, in_features), init)
        self.bias = Parameter((out_features,), zeros) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x [..., IN] -> [..., OUT]."""
        label = x.trace.labelled("Linear")
        if x.rank < 2:
            raise refusal(f"{label} takes [N, features] or more axes, got {x}")
        if isinstance(x.shape[-1], int) and x.shape[-1] != self.in_features:
            hint = "flatten [N, C, H, W] to [N, C*H*W] before a Linear" if x.rank > 2 else ""
            raise refusal(f"{label} takes {self.in_features} features, got {x.shape[-1]}: the input is {x}", hint=hint)
        return linear(x, self.weight, self.bias)
