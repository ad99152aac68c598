"""Gathers a report of a compiled model: runs the passes once more, plans, measures and compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnc.compiled_model import CompiledModel
from cnnc.errors import CnncError, UserError
from cnnc.explanation.open_sizes import open_sizes
from cnnc.explanation.step_bytes import planned_bytes
from cnnc.report.facts import FORMAT, RefusedRewrite, Report, StageFact
from cnnc.report.interning import GraphTable
from cnnc.report.layers import Observations, layer_facts
from cnnc.report.machine import Roof, machine_fact
from cnnc.report.memory import memory_fact
from cnnc.report.model import model_fact, summary
from cnnc.report.passes import kept_names, placed_stage, trace_passes
from cnnc.report.running import find_out
from cnnc.runtime.plan import Plan
from cnnc.runtime.planner import plan
from cnnc.runtime.program import Program


@dataclass(frozen=True, slots=True)
class Settings:
    """What a report is to hold.

    Args:
        name: of the model on the page; "" for the graph's.
        measure: time the program and the machine, and compare with onnxruntime. Programs for a GPU are not run.
        seed: of the random inputs.
    """

    name: str = ""
    measure: bool = True
    seed: int = 0


DEFAULT_SETTINGS = Settings()


def collect(compiled: CompiledModel, settings: Settings = DEFAULT_SETTINGS) -> Report:
    """The facts of a compiled model. What cannot be found out is left out, with the reason.

    Raises:
        OptionError: the target is a backend of another package, which has no program to report on.
        InternalError: a pass broke the graph; a bug of cnnc.
    """
    table, lowered = GraphTable(), compiled.lowered
    stages, refused, stages_reason = _stages(compiled, table)
    sizes = open_sizes(compiled.graph)
    made, no_plan = _planned(lowered.program, sizes)
    found = find_out(
        compiled,
        kept_names(table, stages),
        sizes,
        measure=settings.measure,
        seed=settings.seed,
        no_plan=no_plan,
    )
    machine = machine_fact(compiled.target, measure=found.times is not None)
    seen = Observations(
        seconds={} if found.times is None else found.times.steps,
        moved={} if made is None else planned_bytes(lowered.program, made, compiled.target),
        numeric=found.errors,
        integer=found.integers,
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
            found.times,
            seconds_reason=found.times_reason,
            error_reason=found.errors_reason,
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
    compiled: CompiledModel, table: GraphTable
) -> tuple[tuple[StageFact, ...], tuple[RefusedRewrite, ...], str]:
    """Stages, refused rewrites, and why there is only one stage."""
    try:
        graph = compiled.source_graph("the slider over passes")
    except UserError as error:
        return (placed_stage(table, compiled.graph),), (), str(error)
    trace = trace_passes(table, graph, compiled.options, compiled.target)
    return tuple(trace.stages), tuple(trace.refused), ""


def _planned(program: Program, sizes: Mapping[str, int]) -> tuple[Plan | None, str]:
    """The plan of the program's first stage, or why there is none."""
    try:
        return plan(program, sizes), ""
    except CnncError as error:  # sizes that the model was not made for break all sorts of rules
        chosen = ", ".join(f"{name}={size}" for name, size in sizes.items())
        return None, f"no plan with {chosen or 'these inputs'}: {error}"
