"""``TargetBackend``: what another package implements to run graphs its own way, under a target name of its own.

cnnc reads, checks and optimises the model, and hands over a graph in plain layout; the backend makes a function of it,
by whatever means: NumPy, C and a compiler, another engine's API. ``cnnc run --target NAME``, ``verify`` and
``cnnc.compile(target=NAME)`` then use it. (``cnnc.backend`` is another thing: ONNX's own interface to cnnc.)

    class NumpyBackend(TargetBackend):
        def refusal(self, node): ...
        def compile(self, graph, settings): ...

    [project.entry-points."cnnc.backends"]
    numpy = "my_package:NumpyBackend"
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cnnc import passes
from cnnc.dims import evaluate, symbols
from cnnc.errors import UnsupportedError
from cnnc.extension_points import ExtensionError, ExtensionPoint
from cnnc.ir import Array, Graph, Node, Value
from cnnc.ir.clone import clone_graph
from cnnc.runtime.input_check import bind_shapes, gather_inputs, select_outputs
from cnnc.runtime.program import Port
from cnnc.runtime.session import NodeArg, node_arg

RunGraph = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Inputs by name to outputs by name; the arrays that it gets fit the graph's inputs, and it must not change them."""


@dataclass(frozen=True)
class BackendSettings:
    """What a session asks of a backend.

    Args:
        level: the level of optimisation.
        threads: most threads of one call; 0 for all that the process may use.
    """

    level: int
    threads: int = 0


class TargetBackend(ABC):
    """A way to run graphs. A backend has a constructor without arguments and keeps no state of a model."""

    def passes(self, level: int) -> tuple[passes.Pass, ...]:
        """The pipeline of a level; by default cnnc's own, without the pass that chooses layouts.

        A backend that knows few ops takes ``passes.pipeline(0)``, which fuses nothing, or a list of its own.
        """
        return tuple(item for item in passes.pipeline(level) if item.ensures != "placed")

    @abstractmethod
    def refusal(self, node: Node) -> str | None:
        """One sentence why the backend cannot compute a node, or None. Nodes ``dims`` are asked about too."""

    @abstractmethod
    def compile(self, graph: Graph, settings: BackendSettings) -> RunGraph:
        """A function that runs the graph, none of whose nodes was refused.

        Args:
            graph: in stage ``optimised``, or as far as ``passes`` take it; sizes may be symbolic. It is the backend's
                to keep and change.
        """


def _refusal(name: str, thing: Any) -> str | None:
    if not (isinstance(thing, type) and issubclass(thing, TargetBackend)):
        return "it is no subclass of cnnc.target_backend.TargetBackend"
    return "the name has a colon, which stands before a GPU's architecture" if ":" in name else None


BACKENDS: ExtensionPoint[type[TargetBackend]] = ExtensionPoint(
    "cnnc.backends", "backend", _refusal, own=lambda: ("cpu", "cuda")
)
"""Backends of other packages, by target."""


def find_backend(target: str) -> TargetBackend | None:
    """The backend of that target, or None where no package offers one.

    Raises:
        ExtensionError: the package that offers it is broken.
    """
    found = BACKENDS.find(target)
    return None if found is None else found()


def check_nodes(target: str, backend: TargetBackend, graph: Graph) -> None:
    """Refuse a graph with nodes that the backend does not compute.

    Raises:
        UnsupportedError: all of them, with the backend's reasons.
    """
    reasons = [(node, backend.refusal(node)) for node in graph.nodes]
    refused = [f"{node.op} {node.name!r}: {reason}" for node, reason in reasons if reason is not None]
    if refused:
        raise UnsupportedError(
            f"backend {target} does not compute {len(refused)} nodes: " + "; ".join(refused[:20]),
            hint="a lower level (-O0) fuses less; another target computes more",
        )


class BackendProgram:
    """A graph that a backend has compiled, with the checks of inputs and results around it.

    Args:
        target: the backend's target name.
        graph: what the backend was given; it may have changed it since, but for inputs and outputs.

    Raises:
        UnsupportedError: the backend refuses nodes; all are named.
    """

    def __init__(self, target: str, backend: TargetBackend, graph: Graph, level: int) -> None:
        check_nodes(target, backend, graph)
        self.target = target
        self.inputs = _ports(graph.inputs, [value.name for value in graph.inputs])
        self.outputs = _ports(graph.outputs, graph.output_names)
        self._backend = backend
        self._graph = graph
        self._level = level

    def session(self, threads: int | None = None) -> BackendSession:
        """What runs it; the backend compiles its graph for every session anew."""
        settings = BackendSettings(self._level, threads or 0)
        return BackendSession(self, self._backend.compile(clone_graph(self._graph), settings))


class BackendSession:
    """A model on a backend: the part of ``InferenceSession`` that has a meaning for every way to run one."""

    def __init__(self, program: BackendProgram, run: RunGraph) -> None:
        self.inputs = program.inputs
        self._program = program
        self._run = run

    def run(
        self, output_names: Iterable[str] | None, input_feed: Mapping[str, Any], run_options: Any = None
    ) -> list[Array]:
        """Compute the outputs.

        Args:
            output_names: outputs to return, in this order; None for all.
            input_feed: an array per input name.
            run_options: accepted for onnxruntime's sake.

        Raises:
            InputError: a name, dtype, rank or shape does not fit.
            ExtensionError: a result of the backend is missing, or has another dtype or shape than it should.
        """
        outputs = self._program.outputs
        wanted = range(len(outputs)) if output_names is None else select_outputs(output_names, outputs)
        arrays = gather_inputs(self.inputs, input_feed)
        sizes = bind_shapes(self.inputs, arrays)
        found = self._run({port.name: array for port, array in zip(self.inputs, arrays, strict=True)})
        return [self._checked(outputs[index], found, sizes) for index in wanted]

    def _checked(self, port: Port, found: Mapping[str, Array], sizes: Mapping[str, int]) -> Array:
        array = found.get(port.name)
        if array is None:
            raise self._error(f"it gives no output {port.name!r}")
        shape = tuple(evaluate(dim, sizes) if symbols(dim) <= sizes.keys() else None for dim in port.shape)
        fits = array.ndim == len(shape) and all(size in (None, got) for size, got in zip(shape, array.shape))
        if not fits or array.dtype != port.dtype.numpy:
            got = f"{array.dtype.name}{list(array.shape)}"
            raise self._error(f"output {port.name!r} is {got}, expected {port.dtype.value}{list(shape)}")
        return array

    def _error(self, what: str) -> ExtensionError:
        return ExtensionError(what, where=f"backend {self._program.target}", hint="this is a bug of its package")

    def get_inputs(self) -> list[NodeArg]:
        """Name, shape and type of each input."""
        return [node_arg(port) for port in self.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """Name, shape and type of each output."""
        return [node_arg(port) for port in self._program.outputs]

    def get_providers(self) -> list[str]:
        """The backend's target."""
        return [self._program.target]


def sizes_of(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, int]:
    """The size of every symbol in the shapes of a graph's inputs, for ``cnnc.dims.evaluate``.

    Args:
        feeds: arrays that fit the inputs, as a backend's function gets them.
    """
    ports = _ports(graph.inputs, [value.name for value in graph.inputs])
    return bind_shapes(ports, [feeds[port.name] for port in ports])


def _ports(values: Iterable[Value], names: Iterable[str]) -> tuple[Port, ...]:
    pairs = zip(values, names, strict=True)
    return tuple(Port(name, index, value.type.shape, value.type.dtype) for index, (value, name) in enumerate(pairs))
