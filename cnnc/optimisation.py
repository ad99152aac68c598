"""Graphs through the passes of a level."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc import passes
from cnnc.ir import Graph, Notes
from cnnc.options import Options
from cnnc.runtime.kernel import Target


def optimise_graph(
    graph: Graph,
    options: Options,
    notes: Notes,
    *,
    target: Target,
    after_pass: passes.AfterPass | None = None,
    stop_after: str = "",
) -> tuple[passes.PassReport, ...]:
    """Run the level's pipeline, or what is left of it for a graph that some passes went over already.

    Args:
        stop_after: name of the last pass to run, or of the stage to stop at; "" for all.

    Raises:
        OptionError: the pipeline has no pass ``stop_after`` and reaches no such stage.
        InternalError: a pass broke the graph; a bug of cnnc.
    """
    pipeline = passes.pipeline(options.level, block=target.lanes)
    return run_passes(graph, pipeline, options, notes, after_pass=after_pass, stop_after=stop_after)


def run_passes(
    graph: Graph,
    pipeline: Sequence[passes.Pass],
    options: Options,
    notes: Notes,
    *,
    after_pass: passes.AfterPass | None = None,
    stop_after: str = "",
) -> tuple[passes.PassReport, ...]:
    """Run a pipeline, from the stage on that the graph has reached."""
    reached = [index for index, item in enumerate(pipeline, 1) if item.ensures == graph.stage]
    manager = passes.PassManager(
        pipeline[max(reached, default=0) :],
        check=options.check_passes,
        on_bad_pass=options.on_bad_pass,
        after_pass=after_pass,
        rewrite_limit=options.rewrite_limit,
        stop_after=stop_after,
    )
    return manager.run(graph, notes)
