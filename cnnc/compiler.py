"""The whole compiler on one screen: model -> graph -> passes -> program -> runnable model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from cnnc import __version__, dsl, frontends, passes
from cnnc.errors import ArtifactError, InputError, OptionError
from cnnc.ir import Array, Graph, Notes, Value
from cnnc.ir.clone import clone_graph
from cnnc.ir.text import print_apart
from cnnc.ir.text_parser import parse_graph
from cnnc.lower import Lowered, lower
from cnnc.lower.selection import COST_MODEL, Selection
from cnnc.near_names import near_names
from cnnc.ops import OPS
from cnnc.options import Options, check_backend_options, check_precision
from cnnc.runtime.artifact import Portable, open_artifact, save_artifact
from cnnc.runtime.artifact_format import MAGIC
from cnnc.runtime.cpu_limits import available_threads
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.cuda.driver import open_device
from cnnc.runtime.cuda.target import cuda_target, is_cuda
from cnnc.runtime.executable import Executable
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Target
from cnnc.runtime.program import Port
from cnnc.runtime.session import InferenceSession
from cnnc.target_backend import BackendProgram, BackendSession, TargetBackend, find_backend
from cnnc.targets import parse_target
from cnnc.tuning import (
    DeviceStopwatch,
    KernelStopwatch,
    Stopwatch,
    Tuning,
    known_machine,
    measure_graph,
    read_tuning,
    tuned_selection,
)

Model = str | PathLike[str] | bytes | Any
MeasuringProgress = Callable[[str, int, int], None]


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


def read_graph(model: Model, shapes: Mapping[str, Sequence[int | str]] | None = None) -> Graph:
    """The graph of a model: imported from ONNX, traced from Python, or the optimised one that a ``.cnnc`` file holds.

    Raises:
        ModelError, UnsupportedError, ArtifactError: what is wrong with the model.
        OptionError: ``shapes`` does not fit the inputs, or the model's shapes are settled already.
    """
    if isinstance(model, Graph):
        return model
    if isinstance(model, dsl.Model):
        return model.graph(shapes)
    if not _is_artifact(model):
        return frontends.import_onnx(model, shapes=shapes)
    if shapes:
        raise OptionError("the shapes of a .cnnc file are settled", where="shapes", hint="compile the ONNX model anew")
    source = model if isinstance(model, bytes) else Path(model)
    portable = open_artifact(source).portable()
    if portable is None:
        where = "" if isinstance(model, bytes) else str(model)
        raise ArtifactError("the file holds no graph", where=where, hint="compile the ONNX model instead")
    return parse_graph(portable.graph.decode(), OPS, dict(portable.weights))


def _is_artifact(model: Model) -> bool:
    if isinstance(model, bytes):
        return model.startswith(MAGIC)
    if not isinstance(model, (str, PathLike)) or not Path(model).is_file():
        return False
    with Path(model).open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


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
    """
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
    return CompiledModel(graph, snapshot[-1], lowered, history, options, target, model)


def _compile_for_backend(
    graph: Graph, options: Options, backend: TargetBackend, model: Model, after_pass: passes.AfterPass | None
) -> CompiledModel:
    """The graph as another package's backend takes it; no kernels of cnnc are chosen."""
    check_backend_options(options)
    notes, source_ops = Notes(), {node.name: node.op for node in graph.nodes}
    reports = _run_passes(graph, backend.passes(options.level), options, notes, after_pass=after_pass)
    program = BackendProgram(options.target, backend, graph, options.level)
    history = History(notes, reports, source_ops)
    return CompiledModel(graph, clone_graph(graph), program, history, options, host_target(), model)


def _select_kernels(
    graph: Graph, options: Options, target: Target, measuring: MeasuringProgress | None
) -> tuple[Selection, Options]:
    """The selection at this level, and options that repeat it without a measurement."""
    if options.level < 3:
        return COST_MODEL if is_cuda(target) else Selection(machine=known_machine()), options
    if options.tuning is not None:
        return tuned_selection(graph, target, options.tuning), options
    tuning = _measured(graph, options, target, measuring=measuring)
    return Selection(tuning.layers, tuning.machine), replace(options, tuning=tuning)


def _measured(
    graph: Graph,
    options: Options,
    target: Target,
    *,
    threads: int | None = None,
    device: Device | None = None,
    seconds: float = 0.2,
    again: bool = False,
    measuring: MeasuringProgress | None = None,
) -> Tuning:
    """Measurements of a placed graph's layers on this machine's CPU or GPU."""
    kernels, layers = _progress_of("kernels", measuring), _progress_of("layers", measuring)
    stopwatch: Stopwatch
    if is_cuda(target):
        device = device or open_device()
        stopwatch, machine = DeviceStopwatch(device, seconds=seconds, progress=kernels), COST_MODEL.machine
    else:
        stopwatch = KernelStopwatch(target, threads=threads, seconds=seconds, progress=kernels)
        machine = known_machine()
    return measure_graph(
        graph,
        target,
        stopwatch,
        threads=threads,
        device=device,
        again=again,
        numerics=options.numerics,
        machine=machine,
        progress=layers,
    )


def _progress_of(what: str, progress: MeasuringProgress | None) -> Callable[[int, int], None] | None:
    return None if progress is None else partial(progress, what)


def tune(
    model: Model,
    *,
    out: str | PathLike[str] | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    threads: int | None = None,
    seconds: float = 0.2,
    again: bool = False,
    target: str = "cpu",
    device: Device | None = None,
    progress: MeasuringProgress | None = None,
) -> Tuning:
    """Measure the kernels of a model's layers here, for ``compile(model, level=3, tuning=...)``.

    Layers are cached one by one, so a run that was stopped goes on where it was. In the end the whole model is timed:
    where the layers' winners do not make it faster than the cost model's choices, those are kept.

    Args:
        model, shapes: as for ``compile``. Open sizes are measured as typical ones: batches of 1, maps of 64 x 64.
        out: write the measurements to this JSON file.
        threads: most threads of a run; None for all that the process may use.
        seconds: time to spend on each layer, compiling apart.
        again: measure also what is cached.
        target: ``cpu`` or ``cuda``.
        device: the GPU to measure on; this machine's first one by default.
        progress: told of what is done: "kernels" or "layers", how many, of how many.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model, naming nodes.
        OptionError: there are not so many threads, or there is no GPU.
        OSError: the file cannot be written.
    """
    most = available_threads()
    if threads is not None and not 1 <= threads <= most:
        raise OptionError(f"{threads} is not between 1 and {most}, the CPUs of this process", where="threads")
    options = Options(2, dict(shapes or {}), target=target)
    graph, place = read_graph(model, options.shapes), _tuning_target(target, device)
    if isinstance(model, Graph):
        graph = clone_graph(graph)
    optimise_graph(graph, options, Notes(), target=place)
    tuning = _measured(
        graph, options, place, threads=threads, device=device, seconds=seconds, again=again, measuring=progress
    )
    if out is not None:
        Path(out).write_text(tuning.to_json(), encoding="utf-8")
    return tuning


def _tuning_target(name: str, device: Device | None) -> Target:
    """What measurements on this machine are for.

    Raises:
        OptionError: a GPU that need not be here is named.
    """
    if device is not None:
        return cuda_target(device.architecture)
    if name not in ("cpu", "cuda"):
        raise OptionError(f"{name} need not be this machine", where="target", hint="tune for cpu or cuda")
    return parse_target(name)


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
        stop_after: name of the last pass to run; "" for all.

    Raises:
        OptionError: the pipeline has no pass ``stop_after``.
        InternalError: a pass broke the graph; a bug of cnnc.
    """
    pipeline = passes.pipeline(options.level, block=target.lanes)
    return _run_passes(graph, pipeline, options, notes, after_pass=after_pass, stop_after=stop_after)


def _run_passes(
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


@dataclass(frozen=True, slots=True)
class History:
    """How a graph became the placed one.

    Attributes:
        notes: what passes did and refused.
        reports: of each pass that ran.
        source_ops: ops of the graph that compilation began with, by node name.
    """

    notes: Notes
    reports: tuple[passes.PassReport, ...]
    source_ops: Mapping[str, str]


class CompiledModel:
    """A compiled model: run it, look into it, save it.

    Attributes:
        graph: the placed graph that the program was made from.
        optimised: the graph before placement, good for any CPU.
        lowered: program, constants and kernel decisions; none for a target of another package.
        history: what passes did and refused, and what there was before them.
        device: what ``run`` runs on, for a model compiled for a GPU; None for this machine's.
    """

    def __init__(
        self,
        graph: Graph,
        optimised: Graph,
        lowered: Lowered | BackendProgram,
        history: History,
        options: Options,
        target: Target,
        model: Model = None,
    ) -> None:
        self.graph = graph
        self.optimised = optimised
        self._lowered = lowered
        self.history = history
        self.options = options
        self.target = target
        self.device: Device | None = None
        self._model = model
        self._session: InferenceSession | BackendSession | None = None
        self._captures: dict[tuple[str, ...], CompiledModel] = {}

    @property
    def notes(self) -> Notes:
        """What passes did and refused."""
        return self.history.notes

    @property
    def has_program(self) -> bool:
        """Whether cnnc's own kernels run the model, and not a backend of another package."""
        return isinstance(self._lowered, Lowered)

    @property
    def lowered(self) -> Lowered:
        """Program, constants and kernel decisions.

        Raises:
            OptionError: the target is a backend of another package, which has no program of cnnc.
        """
        if isinstance(self._lowered, Lowered):
            return self._lowered
        raise OptionError(
            f"target {self._lowered.target} runs graphs its own way: there is no program of cnnc to look into or save",
            where="target",
            hint="cnnc run and cnnc verify take it; compile for cpu or cuda for everything else",
        )

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The inputs as data for them is checked."""
        return self._lowered.program.inputs if isinstance(self._lowered, Lowered) else self._lowered.inputs

    @property
    def executable(self) -> Executable:
        """Program and constants, as the runtime takes them."""
        return self.lowered.executable

    def save(self, path: str | PathLike[str], *, portable: bool = True) -> None:
        """Write a ``.cnnc`` file: plain data that ``InferenceSession`` and ``cnnc run`` load without the compiler.

        Args:
            portable: also write the optimised graph and its plain weights, from which the file can be compiled for
                another CPU or level; the file is about twice as large with it.

        Raises:
            UnsupportedError: the program is larger than the format allows.
            OSError: the file cannot be written.
        """
        part = None
        if portable:
            text, weights = print_apart(self.optimised)
            part = Portable(text.encode(), tuple(weights.items()))
        metadata = {"graph_name": self.graph.name, "cnnc": __version__, "level": str(self.options.level)}
        save_artifact(
            path,
            self.lowered.program,
            self.lowered.constants,
            target=self.target,
            portable=part,
            metadata=metadata,
        )

    def session(self, *, threads: int | None = None, device: Device | None = None) -> InferenceSession | BackendSession:
        """A session of its own on this model; ``device``: the GPU to run on, for models compiled for one."""
        if isinstance(self._lowered, BackendProgram):
            return self._lowered.session(threads)
        return InferenceSession(self.executable, threads=threads, device=device or self.device)

    def run(self, feeds: Mapping[str, Array], *, capture: Iterable[str] = ()) -> dict[str, Array]:
        """Results by output name. A model for a GPU runs on this machine's.

        Args:
            feeds: one array for every input.
            capture: intermediate tensors of the source model to return as well, see ``with_outputs``; the model is
                compiled anew with them as outputs, once for each set of names.

        Raises:
            InputError: wrong names, shapes or dtypes.
        """
        names = tuple(dict.fromkeys(capture))
        if names:
            return self.with_outputs(names).run(feeds)
        if self._session is None:
            self._session = self.session()
        results = self._session.run(None, dict(feeds))
        return dict(zip(self.graph.output_names, results, strict=True))

    def source(self, purpose: str = "this") -> Model:
        """What the model was compiled from; a graph is a copy of what it was before.

        Args:
            purpose: what it is needed for, in the message.

        Raises:
            InputError: it is not known.
        """
        if self._model is None:
            raise InputError(f"{purpose} needs the source model", hint="compile from the ONNX file or its bytes")
        return clone_graph(self._model) if isinstance(self._model, Graph) else self._model

    def source_graph(self, purpose: str = "this") -> Graph:
        """The model's graph before any pass; a new one each time.

        Args:
            purpose: what it is needed for, in the message.

        Raises:
            InputError: the source model is not known.
        """
        return read_graph(self.source(purpose), self.options.shapes)

    def with_outputs(self, names: tuple[str, ...]) -> CompiledModel:
        """The same model, compiled with intermediate tensors as further outputs; kept for the next call.

        What was fused away is computed again: a tensor that is returned must be stored, which may change how the layers
        around it are computed, and their last bits.

        Args:
            names: of tensors, or of nodes, whose first outputs are meant. Results have these names.

        Raises:
            InputError: there is no such tensor and no such node, or the source model is not known.
        """
        if names in self._captures:
            return self._captures[names]
        graph = self.source_graph("capture")
        extra = [name for name in names if name not in graph.output_names]
        values = [*graph.outputs, *_tensors(graph, extra)]
        graph.set_outputs(values, [*graph.output_names, *extra])
        self._captures[names] = compile_graph(graph, self.options)
        self._captures[names].device = self.device
        return self._captures[names]


def _tensors(graph: Graph, names: Sequence[str]) -> list[Value]:
    """The tensors of these names, or of the nodes of these names.

    Raises:
        InputError: there are neither for some.
    """
    by_node = {node.name: node.output for node in reversed(list(graph.nodes))}
    missing = [name for name in names if not graph.has_value(name) and name not in by_node]
    if missing:
        known = (*(value.name for value in graph.values if not value.is_constant), *by_node)
        what = f"the model has no tensor and no node called {', '.join(map(repr, missing))}"
        raise InputError(what, where="capture", hint=near_names(missing[0], known))
    return [graph.value(name) if graph.has_value(name) else by_node[name] for name in names]
