"""``Network``: builds the graph of a numeric test case call by call."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.ir import Value
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from tests.passes.sketch import Sketch


class Network(Sketch):
    """A sketch whose weights keep the scale of what flows through: standard deviation 1 in, about 1 out."""

    def scaled(self, *shape: int, fan_in: int, name: str = "w") -> Value:
        """Normal weights for sums of ``fan_in`` products."""
        values = self._random.standard_normal(shape) / np.sqrt(max(fan_in, 1))
        return self.graph.add_constant(values.astype(np.float32), name)

    def many(self, op: str, *inputs: Value | None, outputs: int, **attrs: Any) -> tuple[Value, ...]:
        """All outputs of a node."""
        made = self.graph.add_node(op, inputs, OPS[op].attrs(**attrs), outputs=outputs, loc=(op,))
        return made.outputs

    def conv(
        self,
        x: Value,
        filters: int,
        kernel: tuple[int, ...] = (1, 1),
        *,
        bias: bool = True,
        residual: Value | None = None,
        activation: str = "none",
        alpha: float = 0.0,
        beta: float = 0.0,
        **attrs: Any,
    ) -> Value:
        """A convolution of x [N, C, spatial...] with fresh weights [filters, C/group, kernel...]."""
        channels = _channels(x) // attrs.get("group", 1)
        w = self.scaled(filters, channels, *kernel, fan_in=channels * int(np.prod(kernel)))
        slopes = self.normal(filters, name="slopes") if activation == "prelu" else None
        fused = Activation(activation, alpha, beta)
        return self.op(
            "conv", x, w, self.normal(filters) if bias else None, residual, slopes, activation=fused, **attrs
        )

    def conv_transpose(self, x: Value, filters: int, kernel: tuple[int, ...], **attrs: Any) -> Value:
        """A transposed convolution of x [N, C, spatial...] with fresh weights [C, filters/group, kernel...]."""
        group = attrs.get("group", 1)
        channels = _channels(x)
        w = self.scaled(channels, filters // group, *kernel, fan_in=channels // group * int(np.prod(kernel)))
        return self.op("conv_transpose", x, w, self.normal(filters), **attrs)

    def blocked(self, x: Value, filters: int) -> Value:
        """A pointwise convolution: what follows it stands between blocked tensors."""
        return self.conv(x, filters, (1,) * (x.type.rank - 2))


def _channels(x: Value) -> int:
    channels = x.type.shape[1]
    assert isinstance(channels, int)
    return channels
