"""``CompiledModel``: what a compilation gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike

from cnnc import __version__, passes
from cnnc.errors import InputError, OptionError
from cnnc.fact_table import FactTable, Tabled
from cnnc.ir import Array, Graph, Notes, Value
from cnnc.ir.clone import clone_graph
from cnnc.ir.text import print_apart
from cnnc.lower import Lowered
from cnnc.model_reading import Model, read_graph
from cnnc.near_names import near_names
from cnnc.options import Options
from cnnc.passes.manager import reports_table
from cnnc.runtime.artifact import Portable, save_artifact
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.executable import Executable
from cnnc.runtime.kernel import Target
from cnnc.runtime.program import Port
from cnnc.runtime.session import InferenceSession
from cnnc.target_backend import BackendProgram, BackendSession


@dataclass(frozen=True, slots=True)
class History(Tabled):
    """How a graph became the placed one.

    Attributes:
        notes: what passes did and refused.
        reports: of each pass that ran.
        source_ops: ops of the graph that compilation began with, by node name.
    """

    notes: Notes
    reports: tuple[passes.PassReport, ...]
    source_ops: Mapping[str, str]

    def fact_table(self) -> FactTable:
        """A row for each pass."""
        return reports_table(f"{len(self.reports)} passes, {len(self.notes.fired)} rewrites", self.reports)


class CompiledModel(Tabled):
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
        model: Model,
        compile_again: Callable[[Graph, Options], CompiledModel],
    ) -> None:
        self.graph = graph
        self.optimised = optimised
        self._lowered = lowered
        self.history = history
        self.options = options
        self.target = target
        self.device: Device | None = None
        self._model = model
        self._compile_again = compile_again
        self._session: InferenceSession | BackendSession | None = None
        self._captures: dict[tuple[str, ...], CompiledModel] = {}

    def fact_table(self) -> FactTable:
        """A row for each node that is computed: what was fused into it, and the kernel that runs it."""
        if not isinstance(self._lowered, Lowered):
            return replace(self.graph.fact_table(), title=repr(self))
        rows = tuple(
            (decision.node, decision.op, ", ".join(decision.loc[1:]), decision.chosen)
            for decision in self._lowered.decisions
        )
        return FactTable(repr(self), ("node", "op", "fused into it", "kernel"), rows)

    def __repr__(self) -> str:
        steps = f", {len(self._lowered.program.steps)} steps" if isinstance(self._lowered, Lowered) else ""
        return f"CompiledModel({self.graph.name!r}, -O{self.options.level}, {self.options.target}{steps})"

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
        self._captures[names] = self._compile_again(graph, self.options)
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
