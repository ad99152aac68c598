"""remove-dead-channels: channels that no result depends on leave the graph.

Before, where filter 3 of %w is zeros and its bias is not above 0, or %v[:, 3] is zeros:

    %a: f32[N, 64, H, W] = conv(%x, %w, %b)
    %r: f32[N, 64, H, W] = relu(%a)
    %y: f32[N, 32, H, W] = conv(%r, %v)

After:

    %a: f32[N, 63, H, W] = conv(%x, %w, %b)
    %r: f32[N, 63, H, W] = relu(%a)
    %y: f32[N, 32, H, W] = conv(%r, %v)

Conditions, for a class of channels that can only go together (``cnnc.channels``):

1. it may go: it is no graph input or output, and no op mixes it with others in a way that a missing one would change;
2. every op that sums over these channels multiplies them by weights of 0, or they are 0 where it reads them: made by
   filters of zeros and kept by what lies between (``cnnc.channels.constant_channels``);
3. every tensor keeps a channel.

What becomes dead by that goes too. A channel of another number than 0 stays: a convolution pads it with zeros. Dense
weights are only looked at where a slice begins with 0.

Numerics: rounding. Terms of 0 leave sums, which kernels may then add in other parts. 0 times infinity was NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.channels import dependencies, shrink
from cnnc.channels.dead_channels import dead_classes, may_have_dead_channels
from cnnc.ir import Graph, Notes
from cnnc.passes.base import Pass


@dataclass(frozen=True)
class RemoveDeadChannels(Pass):
    """Shrink the graph by channels that nothing depends on."""

    name: ClassVar[str] = "remove-dead-channels"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        while not notes.is_spent and may_have_dead_channels(graph):
            found = dependencies(graph)
            removed = found.sparing(dead_classes(found), np.zeros(found.couplings.count))
            gone = found.members(removed)
            loc = tuple(
                source.node.name
                for source in found.sources
                if (labels := found.source_labels(source)) is not None and gone[labels].any()
            )
            if not loc:
                break
            graph.become(shrink(found, removed))
            notes.fire(self.name, loc)
            changed = True
        return changed
