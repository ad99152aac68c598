"""The networks of the shared model zoo, with made-up weights; tests of it are skipped where it is absent."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cnnc.compiler import CompiledModel, compile

SHARED = Path(os.environ.get("CNNC_SHARED") or Path(__file__).resolve().parents[3] / "shared")
ZOO = SHARED / "zoo"
MODELS = sorted(path.stem for path in ZOO.glob("light/*.onnx"))

needs_zoo = pytest.mark.skipif(not MODELS, reason="the model zoo is not here (CNNC_SHARED)")


@cache
def _materialize() -> Any:
    """The zoo's own function that fills weights in."""
    spec = importlib.util.spec_from_file_location("materialize", ZOO / "materialize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.materialize


def compiled_model(name: str) -> CompiledModel:
    """A network of the zoo, compiled for this CPU.

    Raises:
        UnsupportedError: it uses what cnnc does not compute.
    """
    return compile(_materialize()(str(ZOO / "light" / f"{name}.onnx")).SerializeToString())
