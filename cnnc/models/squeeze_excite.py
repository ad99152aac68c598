"""Squeeze-and-excitation: each channel multiplied by a gate that all channels together decide."""

from __future__ import annotations

from cnnc.dsl import Conv2d, Module, Network, Tensor, global_avg_pool, relu, sigmoid


class SqueezeExcite(Module):
    """The mean of each channel, through two 1x1 convolutions, becomes its gate.

    Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018.

    Args:
        squeezed: channels between the two convolutions.
        act: activation between them.
        gate: what brings the gates into 0..1.
    """

    def __init__(self, channels: int, squeezed: int, *, act: Network = relu, gate: Network = sigmoid) -> None:
        self.fc1 = Conv2d(channels, squeezed, 1)
        self.fc2 = Conv2d(squeezed, channels, 1)
        self.act, self.gate = act, gate

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> the same shape."""
        gates = self.fc2(self.act(self.fc1(global_avg_pool(x))))
        return x * self.gate(gates)
