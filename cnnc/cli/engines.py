"""The engines that ``cnnc bench`` can measure, and the interpreters that have them."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from cnnc.errors import OptionError


@dataclass(frozen=True, slots=True)
class Engine:
    """An inference engine.

    Attributes:
        module: what must be importable.
        variable: the environment variable that may name another interpreter which has the engine; "" for none.
        packages: what pip installs to run it, with its model converter.
        on_gpu: whether it runs on a GPU.
    """

    name: str
    module: str
    variable: str
    packages: str
    on_gpu: bool = False

    @property
    def interpreter(self) -> str:
        """The Python that runs the engine: this one, unless the environment names another."""
        return os.environ.get(self.variable) or sys.executable

    @property
    def is_elsewhere(self) -> bool:
        """Whether the engine runs in another interpreter than this one."""
        return self.interpreter != sys.executable

    def check_installed(self) -> None:
        """Refuse an engine that is not here.

        Raises:
            OptionError: with the command that installs it.
        """
        if self.is_elsewhere:
            if not os.access(self.interpreter, os.X_OK):
                raise OptionError(
                    f"{self.variable}={self.interpreter} is no program", where="--against", hint="name a Python"
                )
        elif importlib.util.find_spec(self.module) is None:
            hint = f"pip install {self.packages}, or name a Python that has it by {self.variable}"
            raise OptionError(f"{self.name} is not installed", where="--against", hint=hint)


def find_engine(name: str) -> Engine:
    """The engine of that name, installed.

    Raises:
        OptionError: unknown or not installed.
    """
    engine = ENGINES.get(name)
    if engine is None:
        raise OptionError(f"there is no engine {name!r}", where="--against", hint=f"use {', '.join(PEERS)}")
    engine.check_installed()
    return engine


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("cnnc", "cnnc", "", "cnnc"),
        Engine("onnxruntime", "onnxruntime", "PY_ORT", "onnxruntime"),
        Engine("onnxruntime-gpu", "onnxruntime", "PY_ORT_GPU", "onnxruntime-gpu", on_gpu=True),
        Engine("openvino", "openvino", "PY_OV", "openvino"),
        Engine("ncnn", "ncnn", "PY_NCNN", "ncnn pnnx"),
        Engine("mnn", "MNN", "PY_MNN", "MNN"),
    )
}
"""By name. ``cnnc`` loads a ``.cnnc`` file, onnxruntime and openvino the ONNX model, ncnn and mnn converted ones."""

PEERS = tuple(name for name in ENGINES if name != "cnnc")
