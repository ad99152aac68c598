"""The example package: an op, a pass, a kernel and a backend from outside cnnc, installed and used by their names."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

import cnnc as compiler
from cnnc import interp, report
from cnnc.errors import OptionError
from cnnc.export import export_graph
from cnnc.extension_points import look_again
from cnnc.frontends import import_onnx
from cnnc.runtime import InferenceSession
from tests.cli.command_line import answer, cnnc, done
from tests.extension.fake_package import importable

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "examples" / "extension_package"
ADDED = {"squared_relu", "recognize-squared-relu", "tidy-squares", "example.squared_relu", "numpy"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The example's model; the package is installed, in a folder of its own, while the module's tests run."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("extension")
    shutil.copytree(PACKAGE, folder / "source")
    arguments = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(folder / "site"))
    command = (sys.executable, "-m", "pip", "install", *arguments, str(folder / "source"))
    subprocess.run(command, check=True, capture_output=True)
    path = folder / "squared_relu.onnx"
    onnx.save(runpy.run_path(str(PACKAGE / "make_model.py"))["model"](), path)
    with importable(folder / "site"):
        look_again()
        yield path


def expected(path: Path, x: np.ndarray) -> np.ndarray:
    """The result in float64, by the meaning of every op."""
    return interp.run(import_onnx(path), {"x": x}, float64=True)["y"]


def test_extensions_are_listed(model: Path) -> None:
    listed = answer("extensions", "--json")["extensions"]
    assert {item["name"] for item in listed} >= ADDED
    assert all(item["package"] == "cnnc-squared-relu" and not item["problem"] for item in listed)


def test_pass_and_pipeline_run_by_name(model: Path) -> None:
    for pipeline in ("recognize-squared-relu", "tidy-squares"):
        text = done("opt", model, "-p", pipeline)
        assert text.count("squared_relu(%c") == 3
        assert "mul(" not in text and "pow(" not in text
    assert "recognize-squared-relu" in done("passes", "recognize-squared-relu")


def test_text_form_goes_back_and_forth(model: Path, tmp_path: Path) -> None:
    done("opt", model, "-O1", "-o", tmp_path / "graph.ir")
    assert done("opt", tmp_path / "graph.ir").count("squared_relu(%c") == 3


@pytest.mark.jit
def test_the_kernel_runs(model: Path) -> None:
    report = answer("explain", model, "--json")
    assert [node["kernel"] for node in report["nodes"] if node["op"] == "squared_relu"] == ["example.squared_relu"] * 3
    x = np.random.default_rng(1).normal(size=(3, 3, 16, 16)).astype(np.float32)
    x[1, 0, 5, 5] = np.nan
    y = compiler.compile(model).run({"x": x})["y"]
    np.testing.assert_allclose(y, expected(model, x), rtol=1e-3, atol=1e-3 * np.nanmax(y))
    assert np.isnan(y[1]).any() and not np.isnan(y[[0, 2]]).any()


@pytest.mark.jit
def test_a_saved_model_finds_the_kernel(model: Path, tmp_path: Path) -> None:
    saved = tmp_path / "squared.cnnc"
    done("compile", model, "-o", saved)
    x = np.ones((1, 3, 16, 16), np.float32)
    [y] = InferenceSession(saved).run(None, {"x": x})
    np.testing.assert_allclose(y, expected(model, x), rtol=1e-3, atol=1e-2)
    empty = {**os.environ, "CNNC_EXTENSIONS": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cnnc", "run", str(saved), "--random", "0"]
    result = subprocess.run(command, cwd=tmp_path, env=empty, capture_output=True, text=True)
    assert result.returncode == 2
    assert "kernel 'example.squared_relu', which this runtime does not have" in result.stderr


@pytest.mark.jit
def test_cnnc_run_from_an_empty_folder(model: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(ROOT), str(model.parent / "site")])
    for target in ("cpu", "numpy"):
        command = [sys.executable, "-m", "cnnc", "run", str(model), "--random", "0", "--target", target]
        result = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True)
        assert result.returncode == 0, result.stderr.decode()


def test_the_backend_runs(model: Path) -> None:
    x = np.random.default_rng(2).normal(size=(2, 3, 16, 16)).astype(np.float32)
    y = compiler.compile(model, target="numpy").run({"x": x})["y"]
    np.testing.assert_allclose(y, expected(model, x), rtol=1e-4, atol=1e-4 * y.max())
    assert answer("run", model, "--random", "0", "--target", "numpy", "--json")["outputs"]["y"]["dtype"] == "float32"


def test_the_op_is_exported_as_standard_operators(model: Path) -> None:
    graph = compiler.compile(model, target="numpy", level=0).graph
    proto = export_graph(graph)
    assert {node.op_type for node in proto.graph.node} == {"Conv", "Relu", "Mul", "Pow"}
    onnx.checker.check_model(proto)


def test_without_the_package_the_model_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNC_EXTENSIONS", "0")
    result = cnnc("run", model, "--random", "0")
    assert result.exit_code == 2
    assert "com.example" in result.output and "install a package" in result.output


@pytest.mark.jit
def test_reports_show_the_package_s_parts(model: Path) -> None:
    found = report.collect(compiler.compile(model))
    stage = next(stage for stage in found.stages if stage.name == "recognize-squared-relu")
    assert stage.changed and stage.why
    layers = [layer for layer in found.layers if layer.op == "squared_relu"]
    assert [layer.kernel for layer in layers] == ["example.squared_relu"] * 3
    assert all(layer.seconds and layer.written_bytes for layer in layers)
    # onnxruntime knows no operator of the package, and the page says so.
    assert "onnxruntime" in found.summary.error_reason
    with pytest.raises(OptionError, match="no program"):
        report.collect(compiler.compile(model, target="numpy"))
