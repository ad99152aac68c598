"""recognize-depth-to-space: a pixel shuffle spelled as reshape, transpose, reshape becomes one op.

Before:

    %a: f32[N, 4, 3, 3, 8, 8] = reshape(%x, %a.shape)               x f32[N, 36, 8, 8]
    %b: f32[N, 4, 8, 3, 8, 3] = transpose(%a) {perm=(0, 1, 4, 2, 5, 3)}
    %y: f32[N, 4, 24, 24] = reshape(%b, %y.shape)

After:

    %y: f32[N, 4, 24, 24] = depth_to_space(%x) {blocksize=3, mode="CRD"}

Conditions:

1. the first reshape only splits the channels of [N, C, H, W] into blocks of b x b and the rest: (rest, b, b), with
   the permutation above (CRD), or (b, b, rest) with permutation (0, 3, 4, 1, 5, 2) (DCR);
2. the last reshape gives [N, C/b^2, H*b, W*b];
3. nobody else reads the values in between.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import ANY, Bind, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.layout import BlockAttrs
from cnnc.passes.base import Pass
from cnnc.passes.eliminate_no_ops import permutation

_PATTERN = Op("reshape", Op("transpose", Op("reshape", Bind("x"), ANY, name="split"), name="turn"), ANY)

_MODES: dict[tuple[int, ...], tuple[str, int, int]] = {
    (0, 1, 4, 2, 5, 3): ("CRD", 2, 3),
    (0, 3, 4, 1, 5, 2): ("DCR", 1, 2),
}
"""Permutation -> mode, and the axes of the block's rows and columns."""


@dataclass(frozen=True)
class RecognizeDepthToSpace(Pass):
    """Match from the last reshape upwards."""

    name: ClassVar[str] = "recognize-depth-to-space"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return bool(rewrite(graph, [Rule(self.name, _PATTERN, _apply)], notes))


def _apply(found: Match, patch: Patch) -> str | None:
    x, apart = found["x"], found.node("split").output.type.shape
    mode = _MODES.get(permutation(found.node("turn")))
    if mode is None or x.type.rank != 4:
        return "the transpose does not move channels into blocks of pixels"
    name, rows, columns = mode
    block = apart[rows]
    if not isinstance(block, int) or block != apart[columns]:
        return "the blocks are not square"
    if (apart[0], *apart[4:]) != (x.type.shape[0], *x.type.shape[2:]):
        return "the first reshape does not just split the channels"
    made = patch.node("depth_to_space", [x], BlockAttrs(block, name), loc=found.loc)
    if made.type.shape != found.root.output.type.shape:
        return "the last reshape does not join the blocks"
    patch.replace(found.root.output, made)
    return None
