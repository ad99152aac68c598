"""Passes: rewrites of the graph, one a file, and the pipelines that the levels -O0..-O3 stand for.

A pipeline is one list, in order; each row says from which level it runs and why it stands where it does.
"""

from __future__ import annotations

from cnnc.passes.base import Pass
from cnnc.passes.manager import AfterPass, PassManager, PassReport
from cnnc.passes.registry import ALL_PASSES, make_pass, parse_pipeline

if __name__ != "cnnc.passes":
    raise ImportError("import this package as cnnc.passes: under two names it would be two packages")

__all__ = [
    "ALL_PASSES",
    "PIPELINE",
    "AfterPass",
    "Pass",
    "PassManager",
    "PassReport",
    "make_pass",
    "parse_pipeline",
    "pipeline",
]

PIPELINE: tuple[tuple[int, str, str], ...] = (
    (1, "fuse-elementwise", "after every fusion into a convolution, which is better; what is left runs as chains"),
    (0, "mark-optimised", "nothing after it rewrites what is computed"),
    (0, "assign-layouts{block=BLOCK}", "last: conversions stand between the nodes that really run"),
)
"""(lowest level, pass with options, why here). BLOCK stands for the target's number of float32 lanes."""


def pipeline(level: int, *, block: int = 16) -> tuple[Pass, ...]:
    """The passes of an optimisation level, in order.

    Args:
        level: 0..3.
        block: channels in a block, the number of float32 lanes of the target.
    """
    rows = ",".join(row for lowest, row, _ in PIPELINE if level >= lowest)
    return parse_pipeline(rows.replace("BLOCK", str(block)))
