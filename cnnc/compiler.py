"""The whole compiler on one screen: model -> graph -> passes -> program -> runnable model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np

from cnnc import frontends, passes
from cnnc.errors import InputError, OptionError
from cnnc.ir import Array, Graph, Notes
from cnnc.lower import Lowered, lower
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
        model: path of an ``.onnx`` file, its bytes, an onnx ``ModelProto``, or a ``Graph``.
        level, shapes, check_passes, on_bad_pass, rewrite_limit: see ``Options``.
        after_pass: called after every pass with the pass, the graph, and a report: time, whether it changed anything.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model, naming nodes.
        InternalError: a pass broke the graph; a bug of cnnc.
    """
    options = Options(level, dict(shapes or {}), check_passes, on_bad_pass, rewrite_limit)
    graph = model if isinstance(model, Graph) else frontends.import_onnx(model, shapes=options.shapes)
    return compile_graph(graph, options, model=model, after_pass=after_pass)


def compile_graph(
    graph: Graph, options: Options, *, model: Model = None, after_pass: passes.AfterPass | None = None
) -> CompiledModel:
    """Compile an imported graph; it is rewritten in place."""
    target = host_target()
    notes = Notes()
    manager = passes.PassManager(
        passes.pipeline(options.level, block=target.lanes),
        check=options.check_passes,
        on_bad_pass=options.on_bad_pass,
        after_pass=after_pass,
        rewrite_limit=options.rewrite_limit,
    )
    manager.run(graph, notes)
    lowered = lower(graph, target)
    return CompiledModel(graph, lowered, notes, options, target, model)


class CompiledModel:
    """A compiled model: run it, look into it, save it.

    Attributes:
        graph: the placed graph that the program was made from.
        lowered: program, constants and kernel decisions.
        notes: what passes did and refused.
    """

    def __init__(
        self, graph: Graph, lowered: Lowered, notes: Notes, options: Options, target: Target, model: Model = None
    ) -> None:
        self.graph = graph
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
            return self._with_outputs(names).run(feeds)
        if self._session is None:
            self._session = self.session()
        results = self._session.run(None, dict(feeds))
        return dict(zip(self.graph.output_names, results, strict=True))

    def _with_outputs(self, names: tuple[str, ...]) -> CompiledModel:
        if names in self._captures:
            return self._captures[names]
        if self._model is None or isinstance(self._model, Graph):
            raise InputError("capture needs the source model", hint="compile from the ONNX file or its bytes")
        graph = frontends.import_onnx(self._model, shapes=self.options.shapes)
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
