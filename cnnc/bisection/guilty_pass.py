"""Finds the pass, and then the single rewrite, behind which a model is bad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cnnc.bisection.finding import GuiltyPass, Judgement
from cnnc.bisection.partial_pipeline import PassSpan, Point
from cnnc.bisection.search import first_bad
from cnnc.bisection.trial import Trial
from cnnc.errors import InternalError
from cnnc.ir import Graph
from cnnc.ir.text import print_graph

JudgePoint = Callable[[Point], Judgement]


def find_guilty_pass(
    trial: Trial, judge: JudgePoint, spans: Sequence[PassSpan], good: int = 0
) -> tuple[GuiltyPass, Graph]:
    """The pass and rewrite at fault, and the graph before it.

    Args:
        judge: says what a point of the pipeline is.
        spans: passes that change something. Behind the last of them the model is known to be bad.
        good: so many of them are known to be good.
    """

    def judged(what: str, point: Point) -> Judgement:
        return trial.judged(what, lambda: judge(point))

    def after_pass(count: int) -> Judgement:
        span = spans[count - 1]
        return judged(f"up to pass {span.name} ({span.index + 1} of {len(trial.pipeline.passes)})", _whole(span))

    last_good, bad = first_bad(good, len(spans), lambda count: after_pass(count).verdict)
    span = spans[bad - 1]
    if not _stops_at_rewrites(trial, span):
        return _described(trial, span, 0, last_good == bad - 1)

    def after_rewrite(count: int) -> Judgement:
        what = f"up to rewrite {count} of {span.rewrites} of {span.name}"
        return judged(what, Point(span.index + 1, count))

    low, high = first_bad(0, span.rewrites, lambda count: after_rewrite(count).verdict)
    return _described(trial, span, high, last_good == bad - 1 and low == high - 1)


def _whole(span: PassSpan) -> Point:
    return Point(span.index + 1)


def _stops_at_rewrites(trial: Trial, span: PassSpan) -> bool:
    """Whether the pass makes rewrites one by one, and can be stopped after each."""
    if not span.rewrites:
        return False
    try:
        _, notes = trial.pipeline.run(Point(span.index + 1, 1))
    except InternalError:
        return span.rewrites > 1
    return len(notes.fired) == span.before + 1


def _described(trial: Trial, span: PassSpan, rewrite: int, is_exact: bool) -> tuple[GuiltyPass, Graph]:
    """The rewrite, or the whole pass for 0, with the statements that it changed."""
    counts = rewrite and not trial.pipeline.passes[span.index].ensures
    limit = span.before + rewrite if counts else 0
    guilty = GuiltyPass(span.name, span.index, rewrite, span.rewrites, limit, span.name, (), (), (), is_exact)
    before, _ = trial.pipeline.run(Point(span.index + 1, rewrite - 1) if rewrite > 1 else Point(span.index))
    try:
        after, notes = trial.pipeline.run(Point(span.index + 1, rewrite) if rewrite else _whole(span))
    except InternalError as error:
        return replace(guilty, after=(f"it fails: {error}",)), before
    if rewrite:
        rule, origins = notes.fired[span.before + rewrite - 1]
        guilty = replace(guilty, rule=rule, origins=tuple(origins))
    return replace(guilty, before=only_in(before, after), after=only_in(after, before)), before


def only_in(graph: Graph, other: Graph) -> tuple[str, ...]:
    """Statements of a graph that the other one lacks."""
    others = set(print_graph(other).splitlines())
    return tuple(line.strip() for line in print_graph(graph).splitlines()[1:] if line not in others)
