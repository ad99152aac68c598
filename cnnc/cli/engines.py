"""The engines that ``cnnc bench`` can measure: how each loads a model and runs it, with a cap on its threads."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnc.errors import OptionError

Feeds = Mapping[str, Any]
Runner = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Engine:
    """An inference engine.

    Attributes:
        module: what must be importable.
        load: makes a function that runs the model once, from the model's path, the inputs and the most threads.
    """

    name: str
    module: str
    load: Callable[[Path, Feeds, int], Runner]

    def check_installed(self) -> None:
        """Refuse an engine that is not here.

        Raises:
            OptionError: with the command that installs it.
        """
        if importlib.util.find_spec(self.module) is None:
            raise OptionError(f"{self.name} is not installed", where="--against", hint=f"pip install {self.module}")

    def version(self) -> str:
        """The version of the installed engine."""
        return str(getattr(importlib.import_module(self.module), "__version__", ""))


def find_engine(name: str) -> Engine:
    """The engine of that name, installed.

    Raises:
        OptionError: unknown, not supported, or not installed.
    """
    if name in _REFUSED:
        raise OptionError(
            f"{name} is not supported yet: {_REFUSED[name]}", where="--against", hint=f"use {', '.join(PEERS)}"
        )
    engine = ENGINES.get(name)
    if engine is None:
        raise OptionError(f"there is no engine {name!r}", where="--against", hint=f"use {', '.join(PEERS)}")
    engine.check_installed()
    return engine


def _load_cnnc(path: Path, feeds: Feeds, threads: int) -> Runner:
    from cnnc.runtime.session import InferenceSession

    session = InferenceSession(path, threads=threads)
    return lambda: session.run(None, feeds)


def _load_onnxruntime(path: Path, feeds: Feeds, threads: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    known = {port.name for port in session.get_inputs()}
    arrays = {name: array for name, array in feeds.items() if name in known}
    return lambda: session.run(None, arrays)


def _load_openvino(path: Path, feeds: Feeds, threads: int) -> Runner:
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path))
    # Fixed sizes, as cnnc plans for them too; open sizes would cost it speed.
    model.reshape({name: list(array.shape) for name, array in feeds.items()})
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    arrays = dict(feeds)
    return lambda: request.infer(arrays)


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("cnnc", "cnnc", _load_cnnc),
        Engine("onnxruntime", "onnxruntime", _load_onnxruntime),
        Engine("openvino", "openvino", _load_openvino),
    )
}
"""By name. ``cnnc`` loads a ``.cnnc`` file, the others the ONNX model."""

PEERS = tuple(name for name in ENGINES if name != "cnnc")

_REFUSED = {
    "ncnn": "it reads models of its own format, which its converter writes",
    "mnn": "it reads models of its own format, which its converter writes",
}
