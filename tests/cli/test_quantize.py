"""``cnnc quantize``: data in all its forms, what is written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc.export import file as export_file
from tests.cli.command_line import IMAGE, LENET, ROOT, answer, cnnc, done

FASHION = ROOT / "examples" / "images" / "fashion50.npz"

READER = """
import numpy as np

def make():
    generator = np.random.default_rng(0)
    for _ in range(3):
        yield {"input": generator.standard_normal((2, 1, 28, 28), np.float32)}

def broken():
    yield {"input": undefined}

def score(run):
    logits = run(next(make()))["logits"]
    return float(logits.shape == (2, 10))

def nothing(run):
    pass

def failing(run):
    return run({"picture": 1})
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", input=generator.standard_normal((8, 1, 28, 28), np.float32))
    np.savez(tmp_path / "empty.npz", input=np.zeros((0, 1, 28, 28), np.float32))
    np.savez(tmp_path / "shape.npz", input=np.zeros((2, 1, 20, 20), np.float32))
    np.savez(tmp_path / "name.npz", picture=np.zeros((2, 1, 28, 28), np.float32), other=np.zeros(2, np.float32))
    (tmp_path / "reader.py").write_text(READER)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bag.png").write_bytes(IMAGE.read_bytes())
    (tmp_path / "nothing").mkdir()
    with np.load(FASHION) as fashion:
        pixels = ((fashion["images"][:, None] / 255 - 0.2860) / 0.3530).astype(np.float32)
        np.savez(tmp_path / "labelled.npz", input=pixels, labels=fashion["labels"])
        np.savez(tmp_path / "wrong.npz", input=pixels, labels=(fashion["labels"] + 1) % 10)
        np.savez(tmp_path / "pixels.npz", input=pixels)
    return tmp_path


@pytest.mark.parametrize("calib", ["data.npz", "images", "reader.py:make", "labelled.npz"])
def test_data_of_every_kind(data: Path, calib: str) -> None:
    target = data / "lenet.int8.onnx"
    report = answer("quantize", LENET, "--calib", data / calib, "-o", target, "--json")
    assert report["layers"] == 5
    assert report["weight_bytes"]["after"] < 0.27 * report["weight_bytes"]["before"]
    assert "agrees" in done("verify", target)


def test_a_compiled_file(data: Path) -> None:
    target = data / "lenet.int8.cnnc"
    assert "5 layers on integers" in done("quantize", LENET, "--calib", data / "data.npz", "-o", target)
    assert answer("run", target, "--random", 0, "--json")["outputs"]["logits"]["shape"] == [2, 10]


@pytest.mark.parametrize(
    ("calib", "parts"),
    [
        ("absent.npz", ["there is no such file or folder", "reader.py:make"]),
        ("nothing", ["the folder is empty"]),
        ("empty.npz", ["0 samples", "at least one"]),
        ("shape.npz", ["input"]),
        ("name.npz", ["'picture'"]),
        ("reader.py:absent", ["defines no function 'absent'"]),
        ("reader.py:broken", ["reader.py:10", "NameError"]),
    ],
)
def test_data_that_does_not_fit_is_refused(data: Path, calib: str, parts: list[str]) -> None:
    result = cnnc("quantize", LENET, "--calib", data / calib, "-o", data / "out.onnx")
    assert result.exit_code == 2
    assert all(part in result.stderr for part in parts), result.stderr
    assert not (data / "out.onnx").exists()


def test_the_output_must_be_a_model(data: Path) -> None:
    result = cnnc("quantize", LENET, "--calib", data / "data.npz", "-o", data / "out.txt")
    assert result.exit_code == 2
    assert ".onnx nor .cnnc" in result.stderr


@pytest.mark.jit
@pytest.mark.parametrize("evaluation", ["labelled.npz", "pixels.npz", "reader.py:score"])
def test_a_budget(data: Path, evaluation: str) -> None:
    target = data / "lenet.int8.onnx"
    options = ["--calib", data / "data.npz", "--max-drop", 0.04, "--eval", data / evaluation, "--threads", 1]
    report = answer("quantize", LENET, *options, "-o", target, "--json")
    budget = report["budget"]
    assert budget["score"] >= budget["float_score"] - 0.04
    assert budget["chosen"] in budget["seconds"]
    assert all(layer["float_seconds"] > 0 and layer["why"] for layer in report["layer_reports"])
    assert target.exists()


@pytest.mark.jit
def test_the_report_is_shown(data: Path) -> None:
    options = ["--calib", data / "data.npz", "--max-drop", 0.1, "--eval", data / "labelled.npz", "--exclude", "c1/"]
    text = done("quantize", LENET, *options, "-o", data / "out.onnx")
    for part in ("SQNR dB", "excluded by 'c1/'", "whole programs", "float32", "taken", "scales and zero points"):
        assert part in text


def test_the_report_of_all_layers(data: Path) -> None:
    report = answer("quantize", LENET, "--calib", data / "data.npz", "-o", data / "out.onnx", "--json")
    assert report["budget"] is None
    ratios = [layer["sqnr_db"] for layer in report["layer_reports"]]
    assert len(ratios) == 5
    assert ratios == sorted(ratios)
    before, after = report["storage"]["before"], report["storage"]["after"]
    assert after["weights"] == after["integer_weights"] == before["weights"] // 4
    assert after["file"] == (data / "out.onnx").stat().st_size
    assert before["file"] == LENET.stat().st_size


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--max-drop", "0.01"], ["--max-drop and --eval go together"]),
        (["--eval", "labelled.npz"], ["--max-drop and --eval go together"]),
        (["--max-drop", "-1", "--eval", "labelled.npz"], ["no drop", "0.005"]),
        (["--max-drop", "0.01", "--eval", "absent.npz"], ["--eval", "there is no such file"]),
        (["--max-drop", "0.01", "--eval", "images/bag.png"], ["neither an .npz nor a function"]),
        (["--max-drop", "0.01", "--eval", "wrong.npz"], ["no better than guessing among 10 classes"]),
        (["--max-drop", "0.01", "--eval", "shape.npz"], ["input"]),
        (["--max-drop", "0.01", "--eval", "name.npz"], ["'picture'", "the inputs are 'input'"]),
        (["--max-drop", "0.01", "--eval", "reader.py:absent"], ["defines no function 'absent'"]),
        (["--max-drop", "0.01", "--eval", "reader.py:nothing"], ["None", "no finite number"]),
        (["--max-drop", "0.01", "--eval", "reader.py:failing"], ["picture"]),
        (["--max-drop", "1.5", "--eval", "reader.py:score"], ["any model is within a drop of 1.5"]),
    ],
)
def test_budgets_that_cannot_be_are_refused(data: Path, options: list[str], parts: list[str]) -> None:
    given = [str(data / option) if "." in option and option[-1].isalpha() else option for option in options]
    result = cnnc("quantize", LENET, "--calib", data / "data.npz", "-o", data / "out.onnx", *given)
    assert result.exit_code == 2
    assert all(part in result.stderr for part in parts), result.stderr
    assert not (data / "out.onnx").exists()


def test_external_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an option, and by itself where the model would be too large for one file."""
    inside, outside, large = data / "inside.onnx", data / "outside.onnx", data / "large.onnx"
    done("quantize", LENET, "--calib", data / "data.npz", "-o", inside)
    text = done("quantize", LENET, "--calib", data / "data.npz", "-o", outside, "--external-data")
    monkeypatch.setattr(export_file, "MAX_INLINE_BYTES", 60_000)
    done("quantize", LENET, "--calib", data / "data.npz", "-o", large)
    weights = outside.with_name("outside.onnx.data").read_bytes()
    assert len(weights) > 60_000
    assert large.with_name("large.onnx.data").read_bytes() == weights
    assert outside.stat().st_size < inside.stat().st_size - 60_000
    assert "file 242.6 KiB -> " in text
    assert "agrees" in done("verify", outside)
    outputs = [answer("run", model, "--random", 3, "--json")["outputs"] for model in (inside, outside, large)]
    assert outputs[0] == outputs[1] == outputs[2]


def test_external_data_is_for_onnx(data: Path) -> None:
    result = cnnc("quantize", LENET, "--calib", data / "data.npz", "-o", data / "out.cnnc", "--external-data")
    assert result.exit_code == 2
    assert "only an ONNX file has external data" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--per-tensor", "--no-equalise"],
        ["--rounding", "nearest", "--keep-range", "--keep-bias"],
        ["--equalise", "--reestimate-batch-norm"],
    ],
)
def test_steps_are_chosen_by_options(data: Path, options: list[str]) -> None:
    target = data / "out.onnx"
    assert answer("quantize", LENET, "--calib", data / "data.npz", "-o", target, "--json", *options)["layers"] == 5


def test_ends_stay_in_float(data: Path) -> None:
    target = data / "out.onnx"
    ends = ["--keep-first", "--keep-last"]
    assert answer("quantize", LENET, "--calib", data / "data.npz", "-o", target, "--json", *ends)["layers"] == 3
