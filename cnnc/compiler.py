"""The whole compiler on one screen: model -> graph -> passes -> program -> runnable model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from cnnc import __version__, frontends, passes
from cnnc.errors import ArtifactError, InputError, OptionError
from cnnc.ir import Array, Graph, Notes
from cnnc.ir.clone import clone_graph
from cnnc.ir.text import constant_arrays, print_graph
from cnnc.ir.text_parser import parse_graph
from cnnc.lower import Lowered, lower
from cnnc.ops import OPS
from cnnc.runtime.artifact import Portable, open_artifact, save_artifact
from cnnc.runtime.artifact_format import MAGIC
from cnnc.runtime.executable import Executable
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Target
from cnnc.runtime.session import InferenceSession

Model = str | PathLike[str] | bytes | Any


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile.

    Args:
        level: 0 keeps the graph as imported but for what lowering needs; 1 rewrites that keep results to float
            rounding; 2 (default) everything; 3 adds measured kernel selection.
        shapes: input shapes by name that override the model's: ints, or names for symbolic sizes.
        check_passes: compare the graph's outputs before and after every pass on the interpreter.
        on_bad_pass: ``stop`` or ``skip`` a pass that changed results beyond its bound.
        rewrite_limit: stop after that many rewrites (for bisecting).
    """

    level: int = 2
    shapes: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    check_passes: bool = False
    on_bad_pass: str = "stop"
    rewrite_limit: int | None = None

    def __post_init__(self) -> None:
        if self.level not in (0, 1, 2, 3):
            raise OptionError(f"optimization level {self.level!r} does not exist", hint="use 0, 1, 2 or 3")
        if self.on_bad_pass not in ("stop", "skip"):
            raise OptionError(f"on_bad_pass={self.on_bad_pass!r}", hint="use 'stop' or 'skip'")


def compile(
    model: Model,
    *,
    level: int = 2,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    check_passes: bool = False,
    on_bad_pass: str = "stop",
    rewrite_limit: int | None = None,
    after_pass: passes.AfterPass | None = None,
) -> CompiledModel:
    """Compile a model for this CPU.

    Args:
        model: path of an ``.onnx`` or ``.cnnc`` file, its bytes, an onnx ``ModelProto``, or a ``Graph``.
        level, shapes, check_passes, on_bad_pass, rewrite_limit: see ``Options``.
        after_pass: called after every pass with the pass, the graph, and a report: time, whether it changed anything.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model, naming nodes.
        InternalError: a pass broke the graph; a bug of cnnc.
    """
    options = Options(level, dict(shapes or {}), check_passes, on_bad_pass, rewrite_limit)
    return compile_graph(read_graph(model, options.shapes), options, model=model, after_pass=after_pass)


def read_graph(model: Model, shapes: Mapping[str, Sequence[int | str]] | None = None) -> Graph:
    """The graph of a model: imported from ONNX, or the optimised one that a ``.cnnc`` file or its bytes hold.

    Raises:
        ModelError, UnsupportedError, ArtifactError: what is wrong with the model.
        OptionError: ``shapes`` does not fit the inputs, or the model's shapes are settled already.
    """
    if isinstance(model, Graph):
        return model
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
    graph: Graph, options: Options, *, model: Model = None, after_pass: passes.AfterPass | None = None
) -> CompiledModel:
    """Compile an imported or optimised graph; it is rewritten in place."""
    target = host_target()
    notes = Notes()
    snapshot = [clone_graph(graph)] if graph.stage == "optimised" else []

    def keep_optimised(item: passes.Pass, changed: Graph, report: passes.PassReport) -> None:
        if item.ensures == "optimised":
            snapshot.append(clone_graph(changed))
        if after_pass is not None:
            after_pass(item, changed, report)

    optimise_graph(graph, options, notes, target=target, after_pass=keep_optimised)
    lowered = lower(graph, target)
    return CompiledModel(graph, snapshot[-1], lowered, notes, options, target, model)


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


class CompiledModel:
    """A compiled model: run it, look into it, save it.

    Attributes:
        graph: the placed graph that the program was made from.
        optimised: the graph before placement, good for any CPU.
        lowered: program, constants and kernel decisions.
        notes: what passes did and refused.
    """

    def __init__(
        self,
        graph: Graph,
        optimised: Graph,
        lowered: Lowered,
        notes: Notes,
        options: Options,
        target: Target,
        model: Model = None,
    ) -> None:
        self.graph = graph
        self.optimised = optimised
        self.lowered = lowered
        self.notes = notes
        self.options = options
        self.target = target
        self._model = model
        self._session: InferenceSession | None = None
        self._captures: dict[tuple[str, ...], CompiledModel] = {}

    @property
    def executable(self) -> Executable:
        """Program and constants, as the runtime takes them."""
        constants = tuple(_as_bytes(array) for array in self.lowered.constants)
        return Executable(self.lowered.program, constants)

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
            text = print_graph(self.optimised).encode()
            part = Portable(text, tuple(constant_arrays(self.optimised).items()))
        metadata = {"graph_name": self.graph.name, "cnnc": __version__, "level": str(self.options.level)}
        save_artifact(
            path,
            self.lowered.program,
            self.lowered.constants,
            target=self.target,
            portable=part,
            metadata=metadata,
        )

    def session(self, *, threads: int | None = None) -> InferenceSession:
        """A session of its own on this model."""
        return InferenceSession(self.executable, threads=threads)

    def run(self, feeds: Mapping[str, Array], *, capture: Iterable[str] = ()) -> dict[str, Array]:
        """Results by output name.

        Args:
            feeds: one array for every input.
            capture: names of intermediate tensors of the source model to return as well; the model is compiled anew
                with them as outputs, once for each set of names.

        Raises:
            InputError: wrong names, shapes or dtypes.
        """
        names = tuple(capture)
        if names:
            return self.with_outputs(names).run(feeds)
        if self._session is None:
            self._session = self.session()
        results = self._session.run(None, dict(feeds))
        return dict(zip(self.graph.output_names, results, strict=True))

    def with_outputs(self, names: tuple[str, ...]) -> CompiledModel:
        """The same model, compiled with intermediate tensors as further outputs; kept for the next call.

        Raises:
            InputError: there is no such tensor, or the source model is not known.
        """
        if names in self._captures:
            return self._captures[names]
        if self._model is None or isinstance(self._model, Graph):
            raise InputError("capture needs the source model", hint="compile from the ONNX file or its bytes")
        graph = read_graph(self._model, self.options.shapes)
        missing = [name for name in names if not graph.has_value(name)]
        if missing:
            raise InputError(f"the model has no tensor called {', '.join(missing)}", hint="cnnc inspect lists them")
        extra = [name for name in names if name not in graph.output_names]
        values = [*graph.outputs, *(graph.value(name) for name in extra)]
        graph.set_outputs(values, [*graph.output_names, *extra])
        self._captures[names] = compile_graph(graph, self.options)
        return self._captures[names]


def _as_bytes(array: Array) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
