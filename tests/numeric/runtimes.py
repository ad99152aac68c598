"""The ways to run a graph that must all agree with the interpreter in float64."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from cnnc import interp
from cnnc.compiler import CompiledModel, compile
from cnnc.ir import Array, Graph
from cnnc.ir.text import constant_arrays, print_graph
from cnnc.ir.text_parser import parse_graph
from cnnc.runtime.artifact import load_artifact, save_artifact
from cnnc.runtime.session import InferenceSession

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Results by output name of one set of feeds."""


def _interpreter(graph: Graph) -> Run:
    return lambda feeds: interp.run(graph, feeds)


def session_run(session: InferenceSession) -> Run:
    """A session as a ``Run``."""
    names = [port.name for port in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, dict(feeds)), strict=True))


def _at_level(level: int) -> Callable[[Graph], Run]:
    return lambda graph: compile(graph, level=level).run


def _through_text(graph: Graph) -> Run:
    back = parse_graph(print_graph(graph), graph.table, constant_arrays(graph))
    return compile(back, level=2).run


def _through_artifact(graph: Graph) -> Run:
    return session_run(InferenceSession(reloaded(compile(graph, level=2)), threads=1))


def reloaded(model: CompiledModel) -> object:
    """The model's executable, written to a file and read back."""
    executable = model.executable
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.cnnc"
        save_artifact(path, executable.program, executable.constants, target=model.target)
        return load_artifact(path, trusted=False)


RUNTIMES: Mapping[str, Callable[[Graph], Run]] = {
    "interpreter": _interpreter,
    "O0": _at_level(0),
    "O1": _at_level(1),
    "O2": _at_level(2),
    "text": _through_text,
    "artifact": _through_artifact,
}
"""Name -> how a graph becomes a ``Run``. The graph is the runtime's own: compilers rewrite it."""

SKIPS: Mapping[tuple[str, str], str] = {}
"""(runtime, case) -> why the case does not run there."""
