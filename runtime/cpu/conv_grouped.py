"""conv.f32.blocked.grouped: ``conv.f32.blocked.direct`` for groups smaller than a block of channels.

One vector holds the inputs of all groups that a block of outputs reads. Step j of a tap gives every output lane the
j-th input of its own group, by a permutation of that vector: a group of g inputs takes g multiply-adds a tap, where a
block-diagonal product of g inputs times the groups of a block would take ``lanes``, nearly all of them with zeros. No
lane ever reads another group's inputs, so infinities and NaN stay in their group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim
from cnnc.runtime.cpu import conv_direct
from cnnc.runtime.cpu.conv_packing import PackedWeights
from cnnc.runtime.kernel import KernelDef, Params, Target

NAME = "conv.f32.blocked.grouped"
"""Arguments and items are those of ``conv.f32.blocked.direct``, and so are variant parameters, with ``blocks`` 1 and
``input_block`` the lanes; group_inputs, group_outputs: channels of a group."""


def grouping_refusal(
    channels: int, out_channels: int, groups: int, lanes: int, input_lanes: Sequence[int] | None = None
) -> str | None:
    """Why the inputs of a block of outputs do not lie in one vector in the order of their groups; None if they do."""
    inputs, outputs = channels // groups, out_channels // groups
    if outputs >= lanes or lanes % outputs:
        return f"{outputs} output channels a group do not divide a block of {lanes} into several groups"
    lane_of = range(channels) if input_lanes is None else input_lanes
    for first in range(0, groups, lanes // outputs):
        members = lane_of[first * inputs : (first + lanes // outputs) * inputs]
        if list(members) != list(range(members[0], members[0] + len(members))):
            return "the input channels of a block of outputs do not follow each other"
        if members[0] // lanes != members[-1] // lanes:
            return "the input channels of a block of outputs lie in several blocks"
    return None


def pack_grouped(w: NDArray[Any], lanes: int, groups: int, input_lanes: Sequence[int] | None = None) -> PackedWeights:
    """Pack ``w`` [OC, IC/groups, KD, KH, KW] (or fewer spatial axes) as [OC block][KD][KH][KW][input of a group][lane].

    There is one segment an output block: the lanes of its groups' inputs, which ``grouping_refusal`` has let pass, with
    the inputs of one group as its count.
    """
    w = np.asarray(w, np.float32)
    w = w.reshape(*w.shape[:2], *(1,) * (5 - w.ndim), *w.shape[2:])
    out_channels, inputs = w.shape[:2]
    blocks = -(-out_channels // lanes)
    padded = np.zeros((blocks * lanes, *w.shape[1:]), np.float32)
    padded[:out_channels] = w
    packed = np.moveaxis(padded.reshape(blocks, lanes, *w.shape[1:]), (1, 2), (-1, -2))
    lane_of = range(inputs * groups) if input_lanes is None else input_lanes
    block_groups = lanes // (out_channels // groups)
    firsts = [int(lane_of[block * block_groups * inputs]) for block in range(blocks)]
    heads = [(block, 1, block * packed[0].size) for block in range(blocks)]
    rows = [(first // lanes, first % lanes, inputs) for first in firsts]
    return PackedWeights(np.ascontiguousarray(packed).reshape(-1), np.array([*heads, *rows], np.int64), 1)


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    # The vector of a pixel's groups may begin inside a block: that of the last pixel reaches beyond the copied input.
    return conv_direct.KERNEL.scratch_bytes(s, params) + int(params["lanes"]) * 4


def _build(target: Target, params: Params) -> Callable[..., Any]:
    return conv_direct.build_direct(target, params, (int(params["group_inputs"]), int(params["group_outputs"])))


KERNEL = KernelDef(
    NAME,
    conv_direct.BUFFERS,
    conv_direct.SIZES,
    _build,
    conv_direct.KERNEL.items,
    conv_direct.KERNEL.footprint,
    _scratch_bytes,
    inplace=conv_direct.KERNEL.inplace,
)
