"""The whole compiler on one screen: model -> graph -> passes -> program -> runnable model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike

from cnnc import passes
from cnnc.compiled_model import CompiledModel, History
from cnnc.errors import ModelError
from cnnc.ir import Graph, Notes
from cnnc.ir.clone import clone_graph
from cnnc.lower import lower
from cnnc.lower.selection import COST_MODEL, Selection
from cnnc.model_reading import Model, read_graph
from cnnc.model_tuning import MeasuringProgress, measure_layers, tune
from cnnc.optimisation import optimise_graph, run_passes
from cnnc.options import Options, check_backend_options, check_precision
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Target
from cnnc.target_backend import BackendProgram, TargetBackend, find_backend
from cnnc.targets import parse_target
from cnnc.tuning import Tuning, known_machine, read_tuning, tuned_selection

__all__ = [
    "CompiledModel",
    "History",
    "MeasuringProgress",
    "Model",
    "compile",
    "compile_graph",
    "optimise_graph",
    "read_graph",
    "tune",
]


def compile(
    model: Model,
    *,
    level: int = 2,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    check_passes: bool = False,
    on_bad_pass: str = "stop",
    rewrite_limit: int | None = None,
    tuning: Tuning | str | PathLike[str] | None = None,
    winograd: str = "auto",
    strassen: str = "auto",
    precision: str = "f32",
    target: str = "cpu",
    after_pass: passes.AfterPass | None = None,
) -> CompiledModel:
    """Compile a model for this CPU, or for a GPU.

    Args:
        model: path or bytes of an ``.onnx`` or ``.cnnc`` file, an onnx ``ModelProto``, a ``dsl.Model``, or a ``Graph``.
        level, shapes, check_passes, on_bad_pass, rewrite_limit, winograd, strassen, precision, target: see
            ``Options``.
        tuning: what ``tune`` gave or wrote, for level 3, which otherwise measures each layer once and caches the times.
        after_pass: called after every pass with the pass, the graph, and a report: time, whether it changed anything.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model, naming nodes.
        OptionError: an option makes no sense, or it or ``tuning`` does not fit the kernels or this CPU.
        InternalError: a pass broke the graph; a bug of cnnc.
    """
    if tuning is not None and not isinstance(tuning, Tuning):
        tuning = read_tuning(tuning)
    checks = check_passes, on_bad_pass, rewrite_limit
    options = Options(level, dict(shapes or {}), *checks, tuning, winograd, strassen, precision, target)
    return compile_graph(read_graph(model, options.shapes), options, model=model, after_pass=after_pass)


def compile_graph(
    graph: Graph,
    options: Options,
    *,
    model: Model = None,
    after_pass: passes.AfterPass | None = None,
    measuring: MeasuringProgress | None = None,
) -> CompiledModel:
    """Compile an imported or optimised graph; it is rewritten in place.

    Args:
        model: what the graph was read from, or the graph itself, for ``CompiledModel.with_outputs``.
        after_pass: see ``compile``.
        measuring: at level 3, told of what is done: "kernels" or "layers", how many, of how many.

    Raises:
        OptionError: the target does not have what the precision needs.
        ModelError: the graph was compiled before.
    """
    if graph.stage == "placed":
        hint = "compile clone_graph(graph) the first time, or take CompiledModel.optimised"
        raise ModelError("the graph was compiled before, which rewrote it in place", where=graph.name, hint=hint)
    if isinstance(model, Graph):
        model = clone_graph(model)
    backend = find_backend(options.target)
    if backend is not None:
        return _compile_for_backend(graph, options, backend, model, after_pass)
    target = parse_target(options.target)
    check_precision(options.precision, target)
    notes, source_ops = Notes(), {node.name: node.op for node in graph.nodes}
    snapshot = [clone_graph(graph)] if graph.stage == "optimised" else []

    def keep_optimised(item: passes.Pass, changed: Graph, report: passes.PassReport) -> None:
        if item.ensures == "optimised":
            snapshot.append(clone_graph(changed))
        if after_pass is not None:
            after_pass(item, changed, report)

    reports = optimise_graph(graph, options, notes, target=target, after_pass=keep_optimised)
    selection, options = _select_kernels(graph, options, target, measuring)
    lowered = lower(graph, target, selection, options.numerics)
    history = History(notes, reports, source_ops)
    return CompiledModel(graph, snapshot[-1], lowered, history, options, target, model, compile_graph)


def _compile_for_backend(
    graph: Graph, options: Options, backend: TargetBackend, model: Model, after_pass: passes.AfterPass | None
) -> CompiledModel:
    """The graph as another package's backend takes it; no kernels of cnnc are chosen."""
    check_backend_options(options)
    notes, source_ops = Notes(), {node.name: node.op for node in graph.nodes}
    reports = run_passes(graph, backend.passes(options.level), options, notes, after_pass=after_pass)
    program = BackendProgram(options.target, backend, graph, options.level)
    history = History(notes, reports, source_ops)
    return CompiledModel(graph, clone_graph(graph), program, history, options, host_target(), model, compile_graph)


def _select_kernels(
    graph: Graph, options: Options, target: Target, measuring: MeasuringProgress | None
) -> tuple[Selection, Options]:
    """The selection at this level, and options that repeat it without a measurement."""
    if options.level < 3:
        return COST_MODEL if is_cuda(target) else Selection(machine=known_machine()), options
    if options.tuning is not None:
        return tuned_selection(graph, target, options.tuning), options
    tuning = measure_layers(graph, options, target, measuring=measuring)
    return Selection(tuning.layers, tuning.machine), replace(options, tuning=tuning)
