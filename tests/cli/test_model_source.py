"""MODEL on the command line: model files, models in Python files, networks of the list; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import answer, cnnc, done

NET = """
from cnnc import dsl

def tiny(x):
    return dsl.relu(dsl.Conv2d(1, 4, 3)(x))

model = dsl.model(tiny, ("N", 1, 8, 8))

def make():
    return dsl.model(tiny, (1, 1, 6, 6), name="made")

number = 3
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


@pytest.mark.parametrize("attribute", ["", ":model"])
def test_a_model_in_a_python_file(net: Path, attribute: str) -> None:
    report = answer("inspect", f"{net}{attribute}", "--json")
    assert report["graph"] == "tiny"
    assert report["outputs"] == {"output": "f32[N, 4, 6, 6]"}
    assert [layer["name"] for layer in report["layers"]] == ["conv2d (net.py:5)", "relu (net.py:5)"]


def test_a_function_that_makes_a_model(net: Path) -> None:
    report = answer("inspect", f"{net}:make", "--json")
    assert report["graph"] == "made"


def test_a_network_of_the_list() -> None:
    report = answer("inspect", "models:lenet5", "--json")
    assert report["totals"]["parameters"] == 61706


def test_shapes_of_a_python_model(net: Path) -> None:
    report = answer("inspect", f"{net}:model", "--shape", "x=2,1,20,30", "--json")
    assert report["outputs"] == {"output": "f32[2, 4, 18, 28]"}


@pytest.mark.jit
def test_compile_writes_beside_the_python_file(net: Path) -> None:
    done("compile", f"{net}:model")
    shown = answer("run", net.with_suffix(".cnnc"), "--random", 0, "--json")
    assert shown["outputs"]["output"]["shape"] == [2, 4, 6, 6]


@pytest.mark.jit
def test_verify_compares_a_python_model_with_onnxruntime(net: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert "agrees" in done("verify", f"{net}:model")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("missing.py:model", ["there is no such file", "missing.py"]),
        ("net.py:absent", ["the file defines no 'absent'", "net.py:model"]),
        ("net.py:number", ["it is int, not a model", "dsl.model(network, inputs)"]),
        ("models:lenet6", ["no network called 'lenet6'", "did you mean lenet5"]),
        ("models:zzz", ["no network called 'zzz'", "`cnnc models` lists them"]),
    ],
)
def test_what_is_not_there_is_refused(net: Path, text: str, parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(net.parent)
    _check_refused(text, parts)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("from cnnc import dsl\n\nx = undefined\n", ["net.py:3", "NameError", "undefined"]),
        ("def broken(:\n", ["net.py:1", "SyntaxError"]),
        ("from cnnc import dsl\n", ["it holds no dsl.Model"]),
        (NET + "\nother = make()\n", ["it holds 2 models", "net.py:model, net.py:other"]),
        (NET.replace("Conv2d(1", "Conv2d(3"), ["net.py:5", "dsl.Conv2d(3, 4, 3)(x)", "3 input channels, got 1"]),
    ],
)
def test_a_python_file_that_fails(net: Path, source: str, parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    net.write_text(source)
    monkeypatch.chdir(net.parent)
    _check_refused("net.py", parts)


def _check_refused(text: str, parts: list[str]) -> None:
    result = cnnc("inspect", text)
    assert result.exit_code == 2
    assert all(part in result.stderr for part in parts), result.stderr
    assert "Traceback" not in result.stderr


def test_models_lists_the_networks() -> None:
    [entry] = [item for item in answer("models", "--json") if item["name"] == "lenet5"]
    assert entry["parameters"] == 61706
    assert entry["inputs"] == {"x": ["N", 1, 28, 28]}
    assert "lenet_300_100" in done("models", "lenet")
