"""How inexact fast algorithms may be: the part of a network's error that each of its convolutions may use."""

from __future__ import annotations

import math

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder

_WINDOW_BUDGET = 1.2e-5
"""Of the relative errors of all convolutions with a window on a path, added as independent ones: Winograd's method.

A layer gets the budget over the square root of their number, so F(4x4, 3x3) is left to networks of up to 60 such
layers. On ResNet-152, 47 layers, the results of the network are off by half of what they may be
(``benchmarks/zoo_sweep.py``)."""

_POINTWISE_BUDGET = 8e-6
"""The same for 1x1 convolutions, of which deep networks have twice as many: Strassen's method."""


def may_err_by(error: float, node: Node, builder: ProgramBuilder) -> bool:
    """Whether the convolution may have this relative error, a root mean square as ``winograd_error`` bounds it."""
    has_window = any(size != 1 for size in node.input(1).type.shape[2:])
    budget = _WINDOW_BUDGET if has_window else _POINTWISE_BUDGET
    return error <= budget / math.sqrt(builder.conv_depth(has_window))
