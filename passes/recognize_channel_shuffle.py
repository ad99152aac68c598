"""recognize-channel-shuffle: reshape, transpose, reshape that deal channels from groups become one op.

Before:

    %a: f32[N, 2, 4, 7, 7] = reshape(%x, %a.shape)              x f32[N, 8, 7, 7]
    %b: f32[N, 4, 2, 7, 7] = transpose(%a) {perm=(0, 2, 1, 3, 4)}
    %y: f32[N, 8, 7, 7] = reshape(%b, %y.shape)

After:

    %y: f32[N, 8, 7, 7] = channel_shuffle(%x) {groups=2}

Conditions:

1. the first reshape splits the channels of [N, C, spatial...] into two axes of known size; the spatial axes may be
   merged meanwhile;
2. the transpose swaps just these two; the last reshape gives the first one's input shape again;
3. nobody else reads the values in between.

Some exporters deal the channels into two halves at once, without putting them together:

    %a: f32[N*4, 2, 49] = reshape(%x, %a.shape)                  x f32[N, 8, 7, 7]
    %b: f32[2, N*4, 49] = transpose(%a) {perm=(1, 0, 2)}
    %c: f32[2, N, 4, 7, 7] = reshape(%b, %c.shape)
    %even: f32[N, 4, 7, 7] = gather(%c, 0)
    %odd: f32[N, 4, 7, 7] = gather(%c, 1)

which is a shuffle of C/2 groups and a split:

    %c: f32[N, 8, 7, 7] = channel_shuffle(%x) {groups=4}
    %even: f32[N, 4, 7, 7], %odd: f32[N, 4, 7, 7] = split(%c) {axis=1, num_outputs=2}

on the same conditions, where every reader of the last reshape is a gather of one known part along axis 0.

Channels can then be permuted in the next convolution's weights instead of in memory.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.dims import product
from cnnc.ir import ANY, Bind, Graph, Match, Node, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.gathering import GatherAttrs
from cnnc.ops.layout import ChannelShuffleAttrs
from cnnc.ops.slicing import SplitAttrs
from cnnc.passes.base import Pass
from cnnc.passes.eliminate_no_ops import permutation
from cnnc.passes.local_rewrite import known_ints, rewrite_locally

_PATTERN = Op("reshape", Op("transpose", Op("reshape", Bind("x"), ANY, name="split"), name="swap"), ANY)


@dataclass(frozen=True)
class RecognizeChannelShuffle(Pass):
    """Match from the last reshape upwards."""

    name: ClassVar[str] = "recognize-channel-shuffle"

    def run(self, graph: Graph, notes: Notes) -> bool:
        joined = bool(rewrite(graph, [Rule(self.name, _PATTERN, _apply)], notes))
        return rewrite_locally(graph, notes, self.name, {"reshape": (_deal,)}) or joined


def _apply(found: Match, patch: Patch) -> str | None:
    x, split, swap, last = found["x"], found.node("split"), found.node("swap"), found.root
    shape, apart = x.type.shape, split.output.type.shape
    if len(shape) < 3 or len(apart) < 4 or last.output.type.shape != shape:
        return "the reshapes do not lead back to an [N, C, spatial...] shape"
    groups, rest = apart[1], apart[2]
    if apart[0] != shape[0] or groups * rest != shape[1] or product(apart[3:]) != product(shape[2:]):
        return "the first reshape does not just split the channels"
    if permutation(swap) != (0, 2, 1, *range(3, len(apart))):
        return "the transpose does not just swap the two parts of the channels"
    if not isinstance(groups, int):
        return f"the number of groups {groups} is not known"
    patch.replace(last.output, patch.node("channel_shuffle", [x], ChannelShuffleAttrs(groups), loc=found.loc))
    return None


def _deal(node: Node, patch: Patch) -> bool:
    """The form with gathers; ``node`` is its last reshape."""
    swap = _sole_producer(node, "transpose")
    split = None if swap is None else _sole_producer(swap, "reshape")
    if swap is None or split is None:
        return False
    x, apart, dealt = split.input(0), split.output.type.shape, node.output.type.shape
    shape = x.type.shape
    if len(shape) < 3 or len(apart) < 3 or apart[1] != 2 or permutation(swap) != (1, 0, *range(2, len(apart))):
        return False
    channels = shape[1]
    if not isinstance(channels, int) or dealt != (2, shape[0], channels // 2, *shape[2:]):
        return False
    if apart[0] != shape[0] * (channels // 2) or product(apart[2:]) != product(shape[2:]):
        return False
    parts = [_gathered_part(user) for user in node.output.users]
    if not parts or None in parts:
        return False
    loc = tuple(dict.fromkeys((*split.loc, *swap.loc, *node.loc)))
    shuffled = patch.node("channel_shuffle", [x], ChannelShuffleAttrs(channels // 2), loc=loc)
    halves = patch.node_outputs("split", [shuffled], SplitAttrs(axis=1, num_outputs=2), loc=loc, outputs=2)
    for user, part in zip(node.output.users, parts, strict=True):
        assert part is not None
        patch.replace(user.output, halves[part])
    return True


def _sole_producer(node: Node, op: str) -> Node | None:
    """What computes the first operand, where it is an ``op`` that nobody else reads."""
    producer = node.input(0).producer
    return producer if producer is not None and producer.op == op and node.input(0).users == (node,) else None


def _gathered_part(node: Node) -> int | None:
    """0 or 1, where ``node`` takes this part of axis 0 and drops the axis."""
    if node.op != "gather" or not isinstance(node.attrs, GatherAttrs) or node.attrs.axis != 0:
        return None
    index = known_ints(node.input(1))
    if index is None or node.input(1).type.rank != 0 or index[0] not in (-2, -1, 0, 1):
        return None
    return index[0] % 2
