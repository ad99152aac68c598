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

Channels can then be permuted in the next convolution's weights instead of in memory.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.dims import product
from cnnc.ir import ANY, Bind, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.layout import ChannelShuffleAttrs
from cnnc.passes.base import Pass
from cnnc.passes.eliminate_no_ops import permutation

_PATTERN = Op("reshape", Op("transpose", Op("reshape", Bind("x"), ANY, name="split"), name="swap"), ANY)


@dataclass(frozen=True)
class RecognizeChannelShuffle(Pass):
    """Match from the last reshape upwards."""

    name: ClassVar[str] = "recognize-channel-shuffle"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return bool(rewrite(graph, [Rule(self.name, _PATTERN, _apply)], notes))


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
