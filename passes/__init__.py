"""Passes: rewrites of the graph, one a file, and the pipelines that the levels -O0..-O3 stand for.

A pipeline is one list, in order; each row says from which level it runs and why it stands where it does.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.extension_points import ExtensionPoint
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
    "PipelineRow",
    "make_pass",
    "parse_pipeline",
    "pipeline",
    "pipeline_rows",
]

PIPELINE: tuple[tuple[int, str, str], ...] = (
    (0, "decompose-ops", "first: it rids the graph of ops that nothing after it knows"),
    (0, "widen-half", "kernels compute in float32; before constants fold, so that they fold in float32 too"),
    (
        0,
        "fold-constants{dequantize=false}",
        "before no-ops, which ask for known operands; weights often come through Identity or Cast",
    ),
    (0, "eliminate-no-ops", "at every level: no stage after the import has Identity or Dropout"),
    (
        0,
        "fuse-quantized-ops",
        "at every level: integer arithmetic is what a quantized model means; before its weights fold to floats",
    ),
    (0, "lower-quantized-concat", "behind the pass that makes them; before constants fold, which pieces may be"),
    (
        0,
        "split-quantized-weights",
        "behind the pass that makes integer layers; before layouts, so that kernels know the copies as channels",
    ),
    (0, "fold-constants", "again: the dequantized weights of what is left in floats"),
    (0, "resolve-auto-pad", "before anything that reads pads; kernels only know numbers"),
    (0, "fold-shapes", "shape arithmetic becomes expressions, which need no kernel and follow the input's size"),
    (0, "eliminate-dead-code", "the chains that fold-shapes and fold-constants cut off"),
    (1, "canonicalize-reshape", "after fold-shapes, whose expressions become targets; before patterns with reshapes"),
    (1, "recognize-channel-shuffle", "before push-transposes moves the transpose out of the pattern"),
    (1, "recognize-depth-to-space", "for the same reason"),
    (1, "canonicalize-axes", "before patterns that ask for axes"),
    (1, "recognize-layer-norm", "before push-transposes takes a transpose into the chain, and its last axes apart"),
    (1, "push-transposes", "after axes count from the front; before patterns and fusions, which it brings together"),
    (1, "fold-transpose-into-gemm", "what push-transposes left in front of the classifier"),
    (1, "eliminate-concat-slices", "before concats are placed; a slice that reads a piece needs no copy"),
    (1, "merge-channel-moves", "after slices of concats, which need no move at all"),
    (1, "merge-common-subexpressions", "before patterns, whose guard would see two readers where there is one value"),
    (1, "merge-byte-functions", "after equal nodes are one, which are read by fewer then"),
    (1, "canonicalize-operands", "before patterns that ask for constants of one element, or one a channel"),
    (1, "recognize-clip", "before the activations that are spelled with a clip; bounds are constants by now"),
    (1, "recognize-softplus", "before mish, which is spelled with it"),
    (1, "recognize-mish", "after softplus"),
    (1, "recognize-silu", "before any fusion takes the sigmoid out of the chain"),
    (1, "recognize-hard-sigmoid", "after clip, before hard-swish, which is spelled with it"),
    (1, "recognize-hard-swish", "after hard-sigmoid"),
    (1, "recognize-gelu", "before any fusion takes a factor out of the chain"),
    (1, "recognize-lrn", "before fold-pad and fold-scale-into-conv take parts of the chain"),
    (1, "recognize-group-norm", "before its scale and shift merge into one scale_shift"),
    (1, "recognize-global-pool", "after the norms, which are spelled with means"),
    (1, "canonicalize-reshape", "again: a recognized global pool without keepdims leaves a squeeze"),
    (1, "fold-pad", "before the batch norm in front of a conv asks whether the conv pads"),
    (1, "fuse-matmul-add", "before the folds and fusions that know gemm and not matmul"),
    (1, "fold-batch-norm", "before scales: a normalization that folds leaves nothing to merge"),
    (1, "lower-batch-norm", "after folding: only what no layer took becomes a scale_shift"),
    (1, "fold-scale-into-conv", "after lowering, whose scale_shift may still fold into a neighbour through a chain"),
    (
        1,
        "remove-dead-channels",
        "after the folds, which make zeros of scales; before fusions, which it does not follow",
    ),
    (1, "move-pointwise-conv", "after the folds, so that the pool stands right behind; before fusions take it apart"),
    (
        1,
        "fuse-conv-residual",
        "after the folds, which refuse a residual; before activations, which come last in an epilogue",
    ),
    (1, "fuse-conv-activation", "after everything that an activation ends: bias, scale and residual"),
    (1, "fuse-conv-prologue", "after activations, which it takes along; before chains take what no convolution takes"),
    (1, "fuse-conv-gate", "after activations, which must not come between; before chains take the product"),
    (1, "simplify-power", "after the patterns that know powers and quotients, before what is left runs as chains"),
    (1, "simplify-division", "after fold-scale-into-conv, which divides in float64"),
    (1, "fuse-elementwise", "after every fusion into a convolution, which is better; what is left runs as chains"),
    (1, "eliminate-no-ops", "again: folds leave factors of 1 and reshapes to the same shape"),
    (1, "eliminate-dead-code", "what the fusions cut off"),
    (0, "mark-optimised", "nothing after it rewrites what is computed"),
    (0, "assign-layouts{block=BLOCK}", "last: conversions stand between the nodes that really run"),
)
"""(lowest level, pass with options, why here). BLOCK stands for the target's number of float32 lanes."""


@dataclass(frozen=True)
class PipelineRow:
    """A pass that a package adds to the pipelines of the levels.

    Args:
        level: the lowest level that runs it.
        text: the pass, with options in braces.
        before: the pass of ``PIPELINE`` that it stands in front of, where that first occurs.
        why: the reason for its place, for readers of ``cnnc passes``.
    """

    level: int
    text: str
    before: str
    why: str


def _row_refusal(name: str, thing: object) -> str | None:
    if not isinstance(thing, PipelineRow):
        return f"it is a {type(thing).__name__}, not a PipelineRow"
    if thing.level not in (0, 1, 2, 3):
        return f"level {thing.level!r} does not exist"
    if thing.before not in (text.partition("{")[0] for _, text, _ in PIPELINE):
        return f"the pipeline has no pass {thing.before!r} to stand in front of"
    return None


ROWS: ExtensionPoint[PipelineRow] = ExtensionPoint("cnnc.pipeline_rows", "pipeline row", _row_refusal)
"""Rows of other packages, by any name."""


def pipeline_rows() -> tuple[tuple[int, str, str], ...]:
    """``PIPELINE`` with the rows that other packages add; rows at one place stand in the order of their names.

    Raises:
        ExtensionError: the package that offers a row is broken.
    """
    rows = list(PIPELINE)
    for row in ROWS.all().values():
        at = next(index for index, (_, text, _) in enumerate(rows) if text.partition("{")[0] == row.before)
        rows.insert(at, (row.level, row.text, row.why))
    return tuple(rows)


def pipeline(level: int, *, block: int = 16) -> tuple[Pass, ...]:
    """The passes of an optimisation level, in order, those of other packages included.

    Args:
        level: 0..3.
        block: channels in a block, the number of float32 lanes of the target.

    Raises:
        ExtensionError: the package that offers a pass is broken.
    """
    rows = ",".join(row for lowest, row, _ in pipeline_rows() if level >= lowest)
    return parse_pipeline(rows.replace("BLOCK", str(block)))
