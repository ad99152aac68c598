"""Engines take turns, may live in other interpreters, and get models in their own formats."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnc.cli.engines import ENGINES, PEERS, find_engine
from cnnc.cli.interleaved import Pace, run_rounds
from cnnc.cli.peer_models import model_for
from cnnc.errors import OptionError
from cnnc.runtime.cuda import driver
from tests.cli.command_line import LENET, cnnc

IMAGE = {"input": np.zeros((1, 1, 28, 28), np.float32)}


class Engine:
    """Runs in no time, and writes down that it ran."""

    def __init__(self, engine: str, turns: list[str]) -> None:
        self.engine = engine
        self._turns = turns

    def times(self, seconds: float) -> list[float]:
        self._turns.append(self.engine)
        return [seconds, 3 * seconds, 2 * seconds]


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnc.cli.interleaved.REST_SECONDS", 0.0)


def test_another_engine_begins_each_round() -> None:
    turns: list[str] = []
    rounds = run_rounds([Engine(name, turns) for name in "abc"], Pace(3, 0.5))
    assert "".join(turns) == "abcbcacab"
    assert rounds.medians("b") == [1.0, 1.0, 1.0]
    assert (rounds.dropped, rounds.is_free) == (0, True)


def test_rounds_on_busy_cores_are_repeated() -> None:
    turns: list[str] = []
    # Before the round and after each slice: the second round is busy after its first slice.
    answers = iter([True] * 3 + [True, False, True] + [True] * 3)
    rounds = run_rounds([Engine(name, turns) for name in "ab"], Pace(2, 0.5), cores_are_free=lambda: next(answers))
    assert len(turns) == 6
    assert len(rounds.times["a"]) == 2
    assert (rounds.dropped, rounds.is_free) == (1, True)


def test_rounds_that_cannot_be_had_otherwise_are_kept_and_named() -> None:
    rounds = run_rounds([Engine("a", [])], Pace(2, 0.5), cores_are_free=lambda: False)
    assert len(rounds.times["a"]) == 6
    assert (rounds.dropped, rounds.is_free) == (0, False)


def test_budget_ends_a_measurement_after_the_fewest_rounds() -> None:
    rounds = run_rounds([Engine("a", [])], Pace(50, 0.5, budget_seconds=0.0, fewest=4))
    assert len(rounds.times["a"]) == 4
    assert rounds.is_free


def test_interpreter_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PY_NCNN", raising=False)
    assert ENGINES["ncnn"].interpreter == sys.executable
    monkeypatch.setenv("PY_NCNN", str(tmp_path / "python"))
    assert ENGINES["ncnn"].is_elsewhere
    with pytest.raises(OptionError, match="is no program"):
        find_engine("ncnn")


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(OptionError, match="there is no engine 'tflite'"):
        find_engine("tflite")
    assert PEERS == ("onnxruntime", "onnxruntime-gpu", "openvino", "ncnn", "mnn")


def test_ncnn_takes_one_image(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="one image at a time"):
        model_for(ENGINES["ncnn"], LENET, {"input": np.zeros((8, 1, 28, 28), np.float32)}, tmp_path)


def converter(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_models_are_converted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PY_NCNN", str(tmp_path / "python"))
    converter(tmp_path, "pnnx", 'echo "$2 $3" >> asked; touch ${1%.onnx}.ncnn.bin ${1%.onnx}.ncnn.param')
    for _ in range(2):
        assert model_for(ENGINES["ncnn"], LENET, IMAGE, tmp_path) == tmp_path / f"{LENET.stem}.ncnn"
    assert (tmp_path / "asked").read_text() == "inputshape=[1,1,28,28] fp16=0\n"
    assert not (tmp_path / LENET.name).exists()


def test_failing_converter_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PY_MNN", str(tmp_path / "python"))
    converter(tmp_path, "mnnconvert", 'echo "no such op" >&2; exit 1')
    with pytest.raises(OptionError, match="the converter of mnn fails: no such op"):
        model_for(ENGINES["mnn"], LENET, IMAGE, tmp_path)


def test_interpreter_without_the_engine_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("PY_ORT", str(tmp_path / "python"))
    converter(tmp_path, "python", f'exec {sys.executable} -S "$@"')  # an interpreter without any packages
    result = cnnc("bench", LENET, "--against", "onnxruntime", "--rounds", 1)
    assert result.exit_code == 2
    assert "onnxruntime cannot run it" in result.output


@pytest.mark.parametrize("arguments", [("--target", "cuda:sm_80"), ("--against", "onnxruntime-gpu")])
def test_measuring_a_gpu_takes_one(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    pytest.importorskip("onnxruntime")

    def absent() -> None:
        raise OptionError("the NVIDIA driver finds no GPU on this machine", where="device", hint="use the CPU")

    monkeypatch.setattr(driver, "open_device", absent)
    result = cnnc("bench", LENET, *arguments)
    assert result.exit_code == 2
    assert "finds no GPU on this machine" in result.output


def test_an_onnxruntime_without_gpus_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime runs on GPUs")
    monkeypatch.setattr(driver, "open_device", lambda: None)
    result = cnnc("bench", LENET, "--against", "onnxruntime-gpu", "--rounds", 1)
    assert result.exit_code == 2
    assert "onnxruntime-gpu cannot run it" in result.output and "has no CUDAExecutionProvider" in result.output
