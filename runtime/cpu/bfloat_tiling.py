"""Costs of convolutions that multiply bfloat16: those of the float32 kernels with two input channels a step.

Costs count vector multiply-adds of float32, as in ``conv_tiling``, so that kernels of both kinds compete by them. Pure
functions of sizes and of what the machine does in the time of one.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.runtime.cpu.conv_packing import PAIR
from cnnc.runtime.cpu.conv_tiling import ConvTiling, rank_conv_tilings
from cnnc.runtime.cpu.machine import Machine
from cnnc.runtime.cpu.pointwise_tiling import PointwiseTiling, rank_pointwise_tilings

_ROUNDED_VECTOR = 2.5
"""Multiply-adds in the time of loading, rounding and storing a vector of 16 floats."""

_MOST_RANKED = 1000  # tilings, of which all are ranked


def rank_bfloat_pointwise_tilings(
    pixels: int, ic_blocks: int, out_channels: int, lanes: int, batch: int, machine: Machine, count: int = 1
) -> list[tuple[float, PointwiseTiling]]:
    """Up to ``count`` tilings of ``conv.bf16.blocked.pointwise``; as ``rank_pointwise_tilings``.

    Each group of output tiles copies its input.
    """
    pair_blocks = -(-ic_blocks // PAIR)
    ranked = rank_pointwise_tilings(pixels, pair_blocks, out_channels, lanes, batch, _MOST_RANKED, copies=True)

    def cost(steps: float, tiling: PointwiseTiling) -> float:
        oc_tiles = -(-out_channels // (lanes * tiling.blocks))
        copied = batch * pixels * ic_blocks * -(-oc_tiles // tiling.oc_tiles)
        return steps * machine.bf16_step_cost() + copied * _ROUNDED_VECTOR

    costs = [(cost(steps, tiling), tiling) for steps, tiling in ranked]
    return sorted(costs, key=lambda item: item[0])[:count]


def rank_bfloat_conv_tilings(
    output: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    ic_blocks: int,
    oc_blocks: int,
    lanes: int,
    batch: int,
    machine: Machine,
    count: int = 1,
) -> list[tuple[float, ConvTiling]]:
    """Up to ``count`` tilings of ``conv.bf16.blocked.direct``; as ``rank_conv_tilings``."""
    ranked = rank_conv_tilings(
        output,
        window,
        stride,
        dilation,
        -(-ic_blocks // PAIR),
        oc_blocks,
        lanes,
        batch=batch,
        count=count,
        copied_vector=PAIR * _ROUNDED_VECTOR,
    )
    return [(cost * machine.bf16_step_cost(), tiling) for cost, tiling in ranked]
