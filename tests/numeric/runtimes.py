"""The ways to run a graph that must all agree with the interpreter in float64."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from onnx import ModelProto

from cnnc import interp
from cnnc.compiler import CompiledModel, compile
from cnnc.export import export_graph
from cnnc.exporting import export_onnx
from cnnc.ir import Array, Graph
from cnnc.ir.text import print_apart
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
    text, weights = print_apart(graph)
    back = parse_graph(text, graph.table, weights)
    return compile(back, level=2).run


def _through_artifact(graph: Graph) -> Run:
    return session_run(InferenceSession(reloaded(compile(graph, level=2)), threads=1))


def _exported(graph: Graph) -> Run:
    """onnxruntime, from the graph exported as it is."""
    return onnxruntime_run(export_graph(graph))


def _exported_optimised(graph: Graph) -> Run:
    """onnxruntime, from the optimised graph: fused ops are written as the operators that they stand for."""
    return onnxruntime_run(export_onnx(graph, level=2))


def onnxruntime_run(model: ModelProto) -> Run:
    """A model in onnxruntime, node by node, as a ``Run``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, dict(feeds)), strict=True))


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
    "exported": _exported,
    "exported-O2": _exported_optimised,
}
"""Name -> how a graph becomes a ``Run``. The graph is the runtime's own: compilers rewrite it."""

_FRACTIONS = (
    "where scales lead to a fraction of a pixel, onnxruntime counts with the rounded size, ONNX with the exact one"
)
_BORDER = "a coordinate lies between two pixels but for its rounding"
_ONNXRUNTIME_SKIPS: Mapping[str, str] = {
    "lrn-plain": "onnxruntime has no LRN over an even number of channels",
    "lrn-blocked": "onnxruntime has no LRN over an even number of channels",
    "resize-other-axes": "onnxruntime interpolates along spatial axes only",
    **{
        f"resize-{mode}-{coordinates}-{surroundings}": _FRACTIONS
        for mode in ("nearest", "linear")
        for coordinates in ("align_corners", "tf_crop_and_resize")
        for surroundings in ("plain", "blocked")
    },
    "resize-nearest-half_pixel_symmetric-plain": _BORDER,
    "resize-nearest-half_pixel_symmetric-blocked": _BORDER,
}
SKIPS: Mapping[tuple[str, str], str] = {
    (runtime, case): reason for runtime in ("exported", "exported-O2") for case, reason in _ONNXRUNTIME_SKIPS.items()
}
"""(runtime, case) -> why the case does not run there."""
