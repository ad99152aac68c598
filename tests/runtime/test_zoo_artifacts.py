"""What is saved of a network loads again: the same program and constants, and the same results where that is quick."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc.cli.inputs import fill_randomly
from cnnc.compiler import CompiledModel, compile
from cnnc.errors import UnsupportedError
from cnnc.runtime import InferenceSession
from cnnc.runtime.artifact import load_artifact
from cnnc.runtime.input_check import bind_shapes, gather_inputs
from cnnc.runtime.planner import Planner
from tests.runtime.zoo import MODELS, compiled_model, needs_zoo

BUNDLED = sorted((Path(__file__).resolve().parents[2] / "examples" / "models").glob("*.onnx"))
QUICK = ("lenet5_dyn18", "squeezenet1_1", "lenet5_fashion", "lenet5_fashion-pruned90", "mbv2mini_fashion-bn")
QUICK_NANOSECONDS = 10_000_000
"""Estimated work of one run up to which a network is run."""


def judge(model: CompiledModel, folder: Path) -> None:
    path = folder / "model.cnnc"
    model.save(path)
    written, read = model.executable, load_artifact(path, check_weights=True)
    assert read.program == written.program
    assert len(read.constants) == len(written.constants)
    for before, after in zip(written.constants, read.constants, strict=True):
        np.testing.assert_array_equal(after, before)
    ports = read.program.inputs
    feeds = fill_randomly({}, ports, seed=3)
    plan = Planner(read.program).plan(bind_shapes(ports, gather_inputs(ports, feeds)))
    if plan.work > QUICK_NANOSECONDS:
        return
    expected = model.session().run(None, feeds)
    for mine, theirs in zip(InferenceSession(path).run(None, feeds), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.jit
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in QUICK else pytest.mark.slow, id=path.stem) for path in BUNDLED],
)
def test_bundled_models(path: Path, tmp_path: Path) -> None:
    judge(compile(path), tmp_path)


@needs_zoo
@pytest.mark.jit
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in MODELS])
def test_zoo(name: str, tmp_path: Path) -> None:
    try:
        model = compiled_model(name)
    except UnsupportedError as error:
        pytest.skip(str(error))
    judge(model, tmp_path)
