"""``cnnc bisect``: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnnc import passes
from cnnc.bisection.judges import SlowJudge
from cnnc.ir import save_graph
from cnnc.lower import cpu_rules
from tests.bisection.faults import (
    ScaleConvolutions,
    ToldTimes,
    dense_layers,
    pipeline_with,
    rules_that_forget_activations,
)
from tests.cli.command_line import LENET, cnnc, done


@pytest.fixture
def wrong_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = pipeline_with(ScaleConvolutions(2))
    monkeypatch.setattr("cnnc.bisection.trial.pipeline", lambda level, block: chosen)
    assert len(chosen) == len(passes.pipeline(2)) + 1


def test_a_wrong_rewrite_with_commands_and_the_reduced_graph(wrong_pass: None, tmp_path: Path) -> None:
    small = tmp_path / "small.ir"
    result = cnnc("bisect", LENET, "-o", small)
    assert result.exit_code == 1
    assert "rewrite 2 of 2 of pass scale-convolutions is at fault at /c2/Conv" in result.stdout
    assert "before:\n" in result.stdout and "%scaled_2" in result.stdout
    assert "--rewrite-limit" in result.stdout and "-o bad.cnnc" in result.stdout
    # Alone, the second convolution would be the first: then the pass does nothing to it.
    assert "12 nodes; it was not seen to show the fault by itself" in result.stdout
    assert "1  all passes, on the interpreter: bad" in result.stderr
    assert done("opt", small).count("conv(") == 2


def test_a_fault_that_one_node_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cnnc.bisection.trial.pipeline", lambda level, block: pipeline_with(ScaleConvolutions(1)))
    told = cnnc("bisect", LENET, "-o", tmp_path / "small.ir").stdout
    assert "1 nodes; it shows the fault by itself" in told and "--check-passes" in told


def test_json(wrong_pass: None) -> None:
    result = cnnc("bisect", LENET, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1 and report["kind"] == "pass"
    assert report["pass"]["name"] == "scale-convolutions" and report["pass"]["rewrite"] == 2
    assert report["steps"][0]["verdict"] == "bad"
    assert len(report["commands"]) == 2 and report["kernel"] is None


@pytest.mark.jit
def test_a_wrong_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cpu_rules, "RULES", rules_that_forget_activations("gemm", "dense1"))
    model = tmp_path / "dense.ir"
    save_graph(dense_layers(3), model)
    result = cnnc("bisect", model, "-o", tmp_path / "layer.ir")
    assert result.exit_code == 1
    assert "kernel gemm.f32 is at fault for gemm 'dense1'" in result.stdout
    assert "with host in its place: good" in result.stdout
    assert "--node dense1" in result.stdout
    assert cnnc("verify", tmp_path / "layer.ir", "--exact", "--no-onnxruntime").exit_code == 1
    report = json.loads(cnnc("bisect", model, "--json").stdout)
    last = report["kernel"]["others"][-1]
    assert (last["kernel"], last["verdict"]) == ("host", "good")


@pytest.mark.jit
def test_nothing_is_wrong_by_any_reference(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert "nothing is wrong" in done("bisect", LENET, "--reference", "onnxruntime", "--seed", 3)
    shifted = tmp_path / "right.npz"
    np.savez(shifted, logits=np.zeros((2, 10), np.float32))
    result = cnnc("bisect", LENET, "--reference", shifted)
    assert result.exit_code == 1 and "the imported graph itself" in result.stdout


def test_time_is_measured_with_the_threads_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ToldTimes(lambda program: 1.0)
    monkeypatch.setattr("cnnc.tuning.KernelStopwatch", lambda target, threads: told)
    assert "nothing is slower" in done("bisect", LENET, "--slow", "--threads", 1)
    assert told.measured and SlowJudge(told).margin == 0.03


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--slow", "--command", "x {model}"], ["--slow and --command", "leave one out"]),
        (["--slow", "--limit", "1"], ["--slow", "--limit"]),
        (["--command", "x {model}", "--reference", "onnxruntime"], ["--command", "--reference"]),
        (["--every-pass"], ["--every-pass", "add --slow"]),
        (["--threads", "1"], ["--threads", "add --slow"]),
        (["--slow", "--threads", "100000"], ["--threads", "CPUs"]),
        (["--reference", "nobody"], ["--reference", ".npz"]),
        (["-o", "small.onnx"], ["--output", ".ir"]),
        (["-O3"], ["level 3"]),
        (["-p", "no-such-pass"], ["no-such-pass"]),
        (["--command", "true"], ["{model}"]),
    ],
)
def test_what_makes_no_sense(options: list[str], parts: list[str]) -> None:
    result = cnnc("bisect", LENET, *options)
    assert result.exit_code == 2, result.output
    for part in parts:
        assert part in result.output
