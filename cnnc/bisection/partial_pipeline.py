"""A pipeline that is run up to some pass, or up to some rewrite of it."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import InternalError
from cnnc.ir import STAGES, Graph, Notes, clone_graph
from cnnc.passes import Pass, PassManager, PassReport


@dataclass(frozen=True, slots=True)
class PassSpan:
    """A pass of a pipeline that changed the graph.

    Attributes:
        index: its place in the pipeline.
        before, rewrites: how many rewrites were done before it and by it.
    """

    index: int
    name: str
    before: int
    rewrites: int


@dataclass(frozen=True, slots=True)
class Point:
    """How far a pipeline is run: its first passes, and the last of these for so many rewrites; None for all."""

    passes: int
    rewrites: int | None = None


@dataclass(frozen=True, slots=True)
class PartialPipeline:
    """A graph, which is never changed, and what a pipeline makes of it on the way."""

    source: Graph
    passes: tuple[Pass, ...]

    def spans(self) -> tuple[PassSpan, ...]:
        """Passes that changed something, in order, up to one that fails or breaks the graph, which is the last then."""
        notes = Notes()
        spans: list[PassSpan] = []
        done = ran = 0

        def after(item: Pass, graph: Graph, report: PassReport) -> None:
            nonlocal done, ran
            if report.changed:
                spans.append(PassSpan(ran, item.name, done, len(notes.fired) - done))
            done, ran = len(notes.fired), ran + 1

        try:
            PassManager(self.passes, after_pass=after).run(clone_graph(self.source), notes)
        except InternalError:
            spans.append(PassSpan(ran, self.passes[ran].name, done, len(notes.fired) - done))
        return tuple(spans)

    def run(self, point: Point, *, to_placement: bool = False) -> tuple[Graph, Notes]:
        """The graph at a point, and what was done to it.

        Args:
            to_placement: also run the later passes that no program can do without: those that a stage depends on.

        Raises:
            InternalError: a pass failed or broke the graph.
        """
        graph, notes = clone_graph(self.source), Notes()
        whole = point.passes if point.rewrites is None else point.passes - 1
        PassManager(self.passes[:whole]).run(graph, notes)
        if point.rewrites is not None:
            last = self.passes[whole]
            notes.budget = len(notes.fired) + point.rewrites
            try:
                last.run(graph, notes)
            except (
                Exception
            ) as error:  # A pass may be anybody's: whatever it raises is its fault, as in the pass manager.
                raise InternalError(f"pass {last.name} failed: {type(error).__name__}: {error}") from error
            notes.budget = None
            _reach(graph, last)
        if to_placement:
            PassManager([item for item in self.passes[point.passes :] if item.ensures]).run(graph, notes)
        return graph, notes


def _reach(graph: Graph, item: Pass) -> None:
    if item.ensures and STAGES.index(item.ensures) > STAGES.index(graph.stage):
        graph.stage = item.ensures
