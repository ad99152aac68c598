"""Every verb that looks into a model, on the zoo of exported graphs and on trained models of public repositories.

They lie in a folder beside the project (or in ``$CNNC_SHARED``); the tests are skipped where it is absent. A few of the
models stand for all in every run. Kernels are compiled and run for small models only.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import onnx
import pytest

import cnnc as compiler
from cnnc.report import Settings, write_report
from tests.cli.command_line import answer, cnnc, done
from tests.frontends.test_zoo_imports import REAL, SHARED, ZOO, zoo

ALWAYS = ("act_zoo", "c2_shufflenet", "lenet5_view")
SMALL = ("act_zoo", "lenet5_view", "hand_opset7_mnist")
"""These are run too: bisected, and their feature maps drawn."""


def models() -> list[object]:
    """Names of the zoo, and paths of trained models; all but a few are long runs."""
    quick = [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in ZOO]
    return quick + [pytest.param(path, marks=pytest.mark.slow, id=path.stem) for path in REAL]


@pytest.fixture
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The ONNX file of a model."""
    if isinstance(request.param, Path):
        return request.param
    path = tmp_path / f"{request.param}.onnx"
    onnx.save(zoo().materialize(str(SHARED / "zoo" / "light" / f"{request.param}.onnx")), path)
    return path


@pytest.mark.parametrize("model", models(), indirect=True)
def test_every_verb_answers(model: Path, tmp_path: Path) -> None:
    assert done("compile", model, "--print-after", "all", "--emit", "program").startswith("// after ")
    assert "stage=normalised" in done("compile", model, "--stop-after", "fold-batch-norm")
    assert done("compile", model, "--rewrite-limit", 3, "--emit", "ir").startswith("graph ")

    text = tmp_path / "graph.ir"
    done("opt", model, "-O1", "--stop-after", "fold-batch-norm", "-o", text)
    assert done("opt", text, "-p", "fuse-conv-activation{max=2},eliminate-dead-code").count("activation=") <= 2

    explained = answer("explain", model, "--json")
    assert explained["nodes"] and all(node["kernel"] for node in explained["nodes"])
    assert answer("doctor", model, "--json")["checks"]
    done("inspect", model)

    done("draw", model, "-o", tmp_path / "graph.svg")
    assert "<svg" in (tmp_path / "graph.svg").read_text()[:1000]
    report = tmp_path / "report.html"
    write_report(compiler.compile(model), report, Settings(measure=False))
    page = report.read_text()
    begin = page.index('type="application/json"')
    facts = json.loads(page[page.index(">", begin) + 1 : page.index("</script>", begin)])
    assert len(facts["layers"]) > 0


@pytest.mark.jit
@pytest.mark.slow
@pytest.mark.parametrize("model", [name for name in SMALL if name in ZOO], indirect=True)
def test_small_models_are_bisected_and_viewed(model: Path, tmp_path: Path) -> None:
    assert "nothing is wrong" in done("bisect", model)
    assert cnnc("view", model, "--random", 0, "-o", tmp_path / "pictures").exit_code == 0
    assert any(name.endswith(".png") for _, _, names in os.walk(tmp_path / "pictures") for name in names)
