"""Gathers a report of a compiled model: runs the passes once more, plans, measures and compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnc.cli.step_bytes import planned_bytes
from cnnc.compiler import CompiledModel, Model, read_graph
from cnnc.errors import CnncError, UserError
from cnnc.explanation.open_sizes import open_sizes
from cnnc.ir import Array, Graph
from cnnc.ir.clone import clone_graph
from cnnc.report.facts import FORMAT, IntegerFact, NumericError, RefusedRewrite, Report, StageFact
from cnnc.report.integers import integer_facts, with_noise
from cnnc.report.interning import GraphTable
from cnnc.report.layers import Observations, layer_facts
from cnnc.report.machine import Roof, machine_fact
from cnnc.report.memory import memory_fact
from cnnc.report.model import model_fact, summary
from cnnc.report.numeric import numeric_errors
from cnnc.report.passes import kept_names, placed_stage, trace_passes
from cnnc.report.timing import Times, measured_times
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.plan import Plan
from cnnc.runtime.planner import plan
from cnnc.runtime.program import Program
from cnnc.sample_inputs import sample_inputs

THREADS = 1
"""Of measured runs: predictions and the machine's rates are of one core."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a report is to hold.

    Args:
        name: of the model on the page; "" for the graph's.
        source: what the model was compiled from, for the passes and onnxruntime; None for what the compiler was given.
        measure: time the program and the machine. Programs for a GPU are not timed.
        seed: of the random inputs.
    """

    name: str = ""
    source: Model = None
    measure: bool = True
    seed: int = 0


DEFAULT_SETTINGS = Settings()


def collect(compiled: CompiledModel, settings: Settings = DEFAULT_SETTINGS) -> Report:
    """The facts of a compiled model. What cannot be found out is left out, with the reason.

    Raises:
        InternalError: a pass broke the graph; a bug of cnnc.
    """
    table = GraphTable()
    stages, refused, stages_reason = _stages(compiled, settings.source, table)
    sizes, lowered = open_sizes(compiled.graph), compiled.lowered
    made, no_plan = _planned(lowered.program, sizes)
    not_run = _not_run(compiled, settings, no_plan)
    feeds = {} if not_run else sample_inputs(compiled.graph, settings.seed, sizes)
    times, seconds_reason = _timed(compiled, feeds, not_run)
    errors, error_reason = _compared(compiled, settings.source, kept_names(table, stages), sizes, feeds, seconds_reason)
    machine = machine_fact(compiled.target, measure=times is not None)
    seen = Observations(
        seconds={} if times is None else times.steps,
        moved={} if made is None else planned_bytes(lowered.program, made, compiled.target),
        numeric=errors,
        integer=_integers(compiled, sizes, feeds, seconds_reason),
    )
    layers, refused_kernels = layer_facts(compiled, table, sizes, made, Roof.of(machine, lowered), seen)
    return Report(
        format=FORMAT,
        model=model_fact(compiled, settings.name, sizes),
        machine=machine,
        summary=summary(
            len(table.graphs[stages[0].graph].nodes),
            compiled,
            layers,
            times,
            seconds_reason=seconds_reason,
            error_reason=error_reason,
            stages_reason=stages_reason,
        ),
        values=table.values.items,
        nodes=table.nodes.items,
        graphs=table.graphs.items,
        stages=stages,
        refused_rewrites=refused,
        refused_kernels=refused_kernels,
        layers=layers,
        memory=memory_fact(lowered, made, no_plan),
    )


def _stages(
    compiled: CompiledModel, source: Model, table: GraphTable
) -> tuple[tuple[StageFact, ...], tuple[RefusedRewrite, ...], str]:
    """Stages, refused rewrites, and why there is only one stage."""
    try:
        origin = compiled.source("the slider over passes") if source is None else source
        graph = read_graph(origin, compiled.options.shapes)
    except UserError as error:
        return (placed_stage(table, compiled.graph),), (), str(error)
    graph = clone_graph(graph) if isinstance(origin, Graph) else graph
    trace = trace_passes(table, graph, compiled.options, compiled.target)
    return tuple(trace.stages), tuple(trace.refused), ""


def _planned(program: Program, sizes: Mapping[str, int]) -> tuple[Plan | None, str]:
    """The plan of the program's first stage, or why there is none."""
    try:
        return plan(program, sizes), ""
    except CnncError as error:  # sizes that the model was not made for break all sorts of rules
        chosen = ", ".join(f"{name}={size}" for name, size in sizes.items())
        return None, f"no plan with {chosen or 'these inputs'}: {error}"


def _not_run(compiled: CompiledModel, settings: Settings, no_plan: str) -> str:
    """Why the program is not run; "" if it is."""
    if not settings.measure:
        return "measuring was left out"
    if is_cuda(compiled.target):
        return "programs for a GPU are not run; their times are predictions of the cost model"
    return no_plan


def _timed(compiled: CompiledModel, feeds: Mapping[str, Array], reason: str) -> tuple[Times | None, str]:
    """Times, or why there are none: ``reason`` if there is one."""
    if reason:
        return None, reason
    try:
        return measured_times(compiled, feeds, THREADS), ""
    except UserError as error:
        return None, f"it does not run on random inputs: {error}"


def _integers(
    compiled: CompiledModel, sizes: Mapping[str, int], feeds: Mapping[str, Array], reason: str
) -> Mapping[int, IntegerFact]:
    """Quantization by step; without noise if there is a ``reason`` why the program does not run."""
    facts = integer_facts(compiled)
    return facts if reason or not facts else with_noise(facts, compiled, sizes, feeds)


def _compared(
    compiled: CompiledModel,
    source: Model,
    kept: frozenset[str],
    sizes: Mapping[str, int],
    feeds: Mapping[str, Array],
    reason: str,
) -> tuple[Mapping[int, NumericError], str]:
    """Errors by step, or why there are none: ``reason`` if there is one."""
    if reason:
        return {}, reason
    try:
        return numeric_errors(
            compiled, compiled.source("onnxruntime") if source is None else source, kept, sizes, feeds
        ), ""
    except UserError as error:
        return {}, str(error)
