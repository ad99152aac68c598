"""merge-channel-moves: parts of shuffled channels are gathered from where the channels were.

Before:

    %s: f32[N, 8, 7, 7] = channel_shuffle(%x) {groups=2}
    %a: f32[N, 4, 7, 7], %b: f32[N, 4, 7, 7] = split(%s) {axis=1, num_outputs=2}

After:

    %a: f32[N, 4, 7, 7] = gather(%x, [0, 4, 1, 5]) {axis=1}
    %b: f32[N, 4, 7, 7] = gather(%x, [2, 6, 3, 7]) {axis=1}

Conditions:

1. every reader of the shuffle is a slice or split of its channels, by known numbers;
2. the shuffle is no graph output.

Each channel is moved once instead of twice.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Graph, Node, Notes, Patch
from cnnc.ops.blocking import channel_runs, sliced_channels
from cnnc.ops.gathering import GatherAttrs
from cnnc.ops.layout import ChannelShuffleAttrs, shuffled_channels
from cnnc.ops.slicing import SplitAttrs
from cnnc.passes.base import Pass
from cnnc.passes.local_rewrite import rewrite_locally


@dataclass(frozen=True)
class MergeChannelMoves(Pass):
    """Look at the readers of every shuffle."""

    name: ClassVar[str] = "merge-channel-moves"

    def run(self, graph: Graph, notes: Notes) -> bool:
        def merge(node: Node, patch: Patch) -> bool:
            return not graph.is_output(node.output) and _merge(node, patch)

        return rewrite_locally(graph, notes, self.name, {"channel_shuffle": (merge,)})


def _merge(node: Node, patch: Patch) -> bool:
    channels = node.output.type.shape[1]
    assert isinstance(node.attrs, ChannelShuffleAttrs)
    if not isinstance(channels, int) or not node.output.users:
        return False
    order = shuffled_channels(channels, node.attrs.groups)
    parts = [_parts(user) for user in node.output.users]
    if not all(parts):
        return False
    for user, kept in zip(node.output.users, parts):
        for value, part in zip(user.outputs, kept):
            indices = patch.constant(np.array([order[channel] for channel in part], np.int64), f"{value.name}.channels")
            loc = (*node.loc, *user.loc)
            patch.replace(value, patch.node("gather", [node.input(0), indices], GatherAttrs(1), loc=loc))
    return True


def _parts(user: Node) -> list[list[int]]:
    """The channels of each of the user's outputs; none where it is no known cut of channels."""
    if user.op == "slice":
        channels = sliced_channels(user)
        return [] if channels is None else [channels]
    if not isinstance(user.attrs, SplitAttrs) or user.attrs.axis % user.input(0).type.rank != 1:
        return []
    return [list(range(first, first + count)) for first, count in channel_runs(user) or ()]
