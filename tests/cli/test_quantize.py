"""``cnnc quantize``: data in all its forms, what is written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.command_line import IMAGE, LENET, answer, cnnc, done

READER = """
import numpy as np

def make():
    generator = np.random.default_rng(0)
    for _ in range(3):
        yield {"input": generator.standard_normal((2, 1, 28, 28), np.float32)}

def broken():
    yield {"input": undefined}
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
    return tmp_path


@pytest.mark.parametrize("calib", ["data.npz", "images", "reader.py:make"])
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
