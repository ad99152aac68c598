"""Bisection from beginning to end: passes first, then kernels, then the smallest graph that shows the fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnc import interp
from cnnc.bisection.finding import Finding, GuiltyKernel, GuiltyPass
from cnnc.bisection.guilty_kernel import find_guilty_kernel, find_slow_kernel
from cnnc.bisection.guilty_pass import find_guilty_pass
from cnnc.bisection.host_nodes import with_plain_nodes
from cnnc.bisection.judges import CommandJudge, ResultJudge, SlowJudge
from cnnc.bisection.partial_pipeline import PassSpan, Point
from cnnc.bisection.reduction import extracted, reduced
from cnnc.bisection.search import Verdict
from cnnc.bisection.slow_pass import dearest_span
from cnnc.bisection.trial import OnStep, Trial
from cnnc.cli.accuracy import check_output
from cnnc.compiler import CompiledModel, Model, read_graph
from cnnc.errors import InternalError
from cnnc.ir import Array, Graph, Notes
from cnnc.ir.text import node_text
from cnnc.options import Options
from cnnc.passes import Pass, PassManager
from cnnc.passes.compare_results import ROUNDING_BOUND
from cnnc.sample_inputs import sample_inputs
from cnnc.tuning import KernelStopwatch, Stopwatch


def bisect_results(
    model: Model,
    feeds: Mapping[str, Array] | None = None,
    *,
    reference: Mapping[str, Array] | None = None,
    limit: float | None = None,
    options: Options | None = None,
    passes: Sequence[Pass] | None = None,
    on_step: OnStep | None = None,
) -> Finding:
    """Why a compiled model's results are wrong.

    Args:
        model: as for ``cnnc.compile``.
        feeds, reference, limit: see ``cnnc.bisection.ResultJudge``.
        options: how it is compiled; -O2 by default.
        passes: a pipeline instead of the level's.
        on_step: told of each state that was judged.

    Raises:
        UserError: the model, the feeds or the options are wrong.
    """
    options = options or Options()
    source = read_graph(model, options.shapes)
    trial = Trial(source, options, passes, on_step)
    judge = ResultJudge(source, feeds, reference, limit, options.level)
    spans = trial.pipeline.spans()
    if reference is not None and trial.judged(
        "no pass, on the interpreter", lambda: judge.graph(source)
    ).verdict is not (Verdict.GOOD):
        what = "the imported graph itself gives other results than the reference"
        return _finding(trial, "import", what, graph=source)
    everything = Point(len(trial.pipeline.passes))
    of_graph = trial.judged("all passes, on the interpreter", lambda: judge.graph(trial.pipeline.run(everything)[0]))
    if of_graph.verdict is not Verdict.GOOD:
        guilty, before = find_guilty_pass(trial, lambda point: judge.graph(trial.pipeline.run(point)[0]), spans)
        return _pass_finding(trial, guilty, before, limit)
    whole = trial.whole()
    if trial.judged("all passes, compiled", lambda: judge.model(whole)).verdict is Verdict.GOOD:
        return _finding(trial, "nothing", "nothing is wrong: results agree with the reference")
    return _kernel_finding(trial, find_guilty_kernel(trial, judge.model, whole), whole, limit)


def bisect_command(
    model: Model,
    command: str,
    *,
    options: Options | None = None,
    passes: Sequence[Pass] | None = None,
    on_step: OnStep | None = None,
) -> Finding:
    """Why a command fails on a compiled model, see ``CommandJudge``; other arguments as for ``bisect_results``.

    Raises:
        UserError: the model, the command or the options are wrong.
    """
    options = options or Options()
    source = read_graph(model, options.shapes)
    trial, judge = Trial(source, options, passes, on_step), CommandJudge(command)
    if trial.judged("all passes", lambda: judge.model(trial.whole())).verdict is not Verdict.BAD:
        return _finding(trial, "nothing", "nothing is wrong: the command does not fail")
    needed = trial.judged("the passes that every program needs", lambda: judge.model(trial.compiled(Point(0))))
    if needed.verdict is Verdict.GOOD:
        spans = _optional(trial, trial.pipeline.spans())
        guilty, before = find_guilty_pass(trial, lambda point: judge.model(trial.compiled(point)), spans)
        return _pass_finding(trial, guilty, before)
    whole = trial.whole()
    return _kernel_finding(trial, find_guilty_kernel(trial, judge.model, whole), whole)


def bisect_time(
    model: Model,
    *,
    every_pass: bool = False,
    stopwatch: Stopwatch | None = None,
    options: Options | None = None,
    passes: Sequence[Pass] | None = None,
    on_step: OnStep | None = None,
) -> Finding:
    """What makes a compiled model slow, see ``SlowJudge``; other arguments as for ``bisect_results``.

    A model is suspected of being slower with all passes than with those alone that every program needs. If it is not,
    the methods of its kernels are.

    Args:
        every_pass: measure behind each pass that changes something, in turns, and search in the one that costs most:
            as many compilations as such passes. It finds what the gains of other passes hide.
        stopwatch: what measures; one on this CPU by default.

    Raises:
        UserError: the model or the options are wrong.
    """
    options = options or Options()
    source = read_graph(model, options.shapes)
    trial = Trial(source, options, passes, on_step)
    judge = SlowJudge(stopwatch or KernelStopwatch(trial.target))
    spans = _optional(trial, trial.pipeline.spans())
    whole = trial.whole()
    good, is_slow = 0, False
    if every_pass:
        found = dearest_span(trial, judge, spans)
        if found is not None:
            good, spans, is_slow = found, spans[: found + 1], True
    else:
        judgement = trial.judged(
            "all passes, against those that every program needs",
            lambda: judge.is_slower(trial.compiled(Point(0)), whole),
        )
        is_slow = judgement.verdict is Verdict.BAD
    if is_slow:
        guilty, before = find_guilty_pass(trial, lambda point: judge.model(trial.compiled(point)), spans, good)
        return _pass_finding(trial, guilty, before)
    kernel = find_slow_kernel(trial, judge, whole)
    if kernel is None:
        return _finding(trial, "nothing", "nothing is slower than it was without it, as far as could be measured")
    return _kernel_finding(trial, kernel, whole)


def _optional(trial: Trial, spans: Sequence[PassSpan]) -> list[PassSpan]:
    """Without the passes that every program needs: they run at every point."""
    return [span for span in spans if not trial.pipeline.passes[span.index].ensures]


def _pass_finding(trial: Trial, guilty: GuiltyPass, before: Graph, limit: float | None = None) -> Finding:
    item = trial.pipeline.passes[guilty.index]
    changed = set(guilty.before)
    nodes = [node for node in before.nodes if node_text(node) in changed]
    graph, shows = reduced(before, nodes, lambda part: _is_broken_by(item, part, limit or ROUNDING_BOUND))
    which = f"rewrite {guilty.rewrite} of {guilty.rewrites} of pass" if guilty.rewrite else "pass"
    about = f" at {', '.join(guilty.origins)}" if guilty.origins else ""
    what = f"{which} {guilty.name} is at fault{about}"
    return _finding(trial, "pass", what, guilty_pass=guilty, graph=graph, shows_fault=shows)


def _is_broken_by(item: Pass, graph: Graph, limit: float) -> bool:
    """Whether the pass changes the graph's results on random inputs by more than ``limit``, or fails."""
    feeds = sample_inputs(graph)
    before = interp.run(graph, feeds, float64=True)
    try:
        PassManager([item]).run(graph, Notes())
        after = interp.run(graph, feeds, float64=True)
    except InternalError:
        return True
    return any(check_output(name, after[name], array, limit).problem for name, array in before.items())


def _kernel_finding(
    trial: Trial, guilty: GuiltyKernel | None, whole: CompiledModel, limit: float | None = None
) -> Finding:
    if guilty is None:
        what = "it is bad even where NumPy runs every node: neither a pass nor a kernel is at fault"
        return _finding(trial, "program", what)
    plain = with_plain_nodes(whole.graph, {node.output.name for node in whole.graph.nodes})
    same = [node for node in plain.nodes if (node.name, node.op) == (guilty.node, guilty.op)]
    graph = extracted(plain, same[:1]) if same else None
    shows = False
    if graph is not None:
        graph.stage = "optimised"
        shows = _is_miscompiled(graph, trial, limit)
    what = f"kernel {guilty.kernel} is at fault for {guilty.op} {guilty.node!r}"
    return _finding(trial, "kernel", what, guilty_kernel=guilty, graph=graph, shows_fault=shows)


def _is_miscompiled(graph: Graph, trial: Trial, limit: float | None) -> bool:
    """Whether the program of one layer gives other results than the interpreter, on random inputs."""
    layer = Trial(graph, trial.options)
    judge = ResultJudge(graph, limit=limit, level=trial.options.level)
    return layer.judged("the layer alone", lambda: judge.model(layer.whole())).verdict is Verdict.BAD


def _finding(
    trial: Trial,
    kind: str,
    what: str,
    *,
    guilty_pass: GuiltyPass | None = None,
    guilty_kernel: GuiltyKernel | None = None,
    graph: Graph | None = None,
    shows_fault: bool = False,
) -> Finding:
    steps = tuple(trial.steps)
    return Finding(kind, what, steps, trial.compiles, guilty_pass, guilty_kernel, graph, shows_fault)
