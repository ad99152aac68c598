"""``cnnc prune`` and ``cnnc sensitivity``: what is written and told, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.command_line import LENET, ROOT, answer, cnnc, done

FASHION = ROOT / "examples" / "images" / "fashion50.npz"

READER = """
import numpy as np

def score(run):
    return float(run({"input": np.ones((1, 1, 28, 28), np.float32)})["logits"].max())
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with np.load(FASHION) as fashion:
        pixels = ((fashion["images"][:, None] / 255 - 0.2860) / 0.3530).astype(np.float32)
        np.savez(tmp_path / "labelled.npz", input=pixels, labels=fashion["labels"])
        np.savez(tmp_path / "pixels.npz", input=pixels)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(LENET).graph.initializer}
    np.savez(tmp_path / "gradients.npz", **weights)
    np.savez(tmp_path / "few.npz", **{"f1.weight": weights["f1.weight"]})
    (tmp_path / "reader.py").write_text(READER)
    return tmp_path


def zeros(path: Path) -> dict[str, float]:
    """Share of zeros of each weight in a file."""
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    return {name: float(np.mean(array == 0)) for name, array in tensors.items() if name.endswith("weight")}


def test_a_pruned_file(data: Path) -> None:
    target = data / "pruned.onnx"
    report = answer("prune", LENET, "--sparsity", 0.9, "--scope", "layer", "-o", target, "--json")
    found = zeros(target)
    assert found.pop("c1.weight") == 0
    assert all(share == pytest.approx(0.9, abs=1e-2) for share in found.values())
    assert report["pruned_sparsity"] == pytest.approx(0.9, abs=1e-3)
    assert [layer["dense_because"] for layer in report["layers"]] == ["it reads the model's input", "", "", "", ""]
    assert sum(layer["nonzero"] for layer in report["layers"]) == report["nonzero"]
    assert report["file"]["after"] == target.stat().st_size
    onnx.checker.check_model(onnx.load(target), full_check=True)
    assert "agrees" in done("verify", target)


@pytest.mark.jit
def test_a_compiled_file(data: Path) -> None:
    target = data / "pruned.cnnc"
    assert "90.00% of" in done("prune", LENET, "--sparsity", 0.9, "-o", target)
    assert answer("run", target, "--random", 0, "--json")["outputs"]["logits"]["shape"] == [2, 10]


@pytest.mark.jit
def test_accuracy_is_recovered_on_samples(data: Path) -> None:
    target = data / "pruned.onnx"
    options = ["--sparsity", 0.9, "--calib", data / "pixels.npz", "--eval", data / "labelled.npz", "-o", target]
    report = answer("prune", LENET, *options, "--json")
    scores, recovery = report["scores"], report["recovery"]
    assert scores["pruned"] < scores["recovered"] <= 1
    assert recovery["decibels_after"] > recovery["decibels_before"] + 3
    assert [layer["layer"] for layer in recovery["layers"]] == ["/c2/Conv", "/f1/Gemm", "/f2/Gemm", "/f3/Gemm"]
    assert all(layer["error_after"] <= layer["error_before"] for layer in recovery["layers"])
    found = zeros(target)
    assert found["f1.weight"] > 0.9
    text = done("prune", LENET, *options, "--recover", "statistics", "--scope", "lamp")
    assert "dB" in text and text.count("->") >= 3


def test_options_say_what_goes(data: Path) -> None:
    target = data / "pruned.onnx"
    options = ["--ratio", "f?.weight=0.25", "--ratio", "/f2/*=0.75", "--exclude", "f3.weight", "--prune-first"]
    done("prune", LENET, "--sparsity", 0.5, "--scope", "layer", *options, "-o", target)
    wanted = {"c1.weight": 0.5, "c2.weight": 0.5, "f1.weight": 0.25, "f2.weight": 0.75, "f3.weight": 0.0}
    assert zeros(target) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        ["--pattern", "2:4"],
        ["--sparsity", 0.5, "--pattern", "block4", "--criterion", "lp", "--p", "inf"],
        ["--sparsity", 0.5, "--criterion", "taylor", "--gradients", "gradients.npz"],
        ["--sparsity", 0.5, "--max-layer-sparsity", 0.6, "--keep-last", "--prune-depthwise"],
    ],
)
def test_patterns_and_criteria(data: Path, options: list[object]) -> None:
    given = [data / option if str(option).endswith(".npz") else option for option in options]
    report = answer("prune", LENET, *given, "-o", data / "pruned.onnx", "--json")
    assert report["pruned_sparsity"] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.jit
@pytest.mark.parametrize(
    ("evaluation", "metric"), [("labelled.npz", "top-1"), ("pixels.npz", "agreement"), ("reader.py:score", "score")]
)
def test_what_it_costs(data: Path, evaluation: str, metric: str) -> None:
    options = ["--sparsity", 0.5, "--eval", data / evaluation, "-o", data / "pruned.onnx"]
    scores = answer("prune", LENET, *options, "--json")["scores"]
    assert scores["metric"] == metric
    assert scores["dense"] > 0.85
    assert f"{metric} {scores['dense']:.4f} -> {scores['pruned']:.4f}" in done("prune", LENET, *options)


def test_the_report_is_shown(data: Path) -> None:
    result = cnnc("prune", LENET, "--sparsity", 0.995, "--exclude", "f3.*", "-o", data / "pruned.onnx")
    assert result.exit_code == 0
    for part in ("dense: excluded by 'f3.*'", "unstructured", "16x6x5x5", "all layers", "99.50% of", "density"):
        assert part in result.stdout
    done("prune", LENET, "--ratio", "f2.weight=0.9999", "-o", data / "pruned.onnx")
    result = cnnc("prune", data / "pruned.onnx", "--ratio", "f2.weight=0.99999", "-o", data / "again.onnx")
    assert "nothing is left of /f2/Gemm" in result.stderr


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ([], ["how many weights go", "0.9"]),
        (["--sparsity", "90"], ["90", "from 0 to below 1"]),
        (["--sparsity", "0.5", "--ratio", "f1.weight"], ["--ratio", "'f1.weight'", "NAME=0.7"]),
        (["--sparsity", "0.5", "--ratio", "f9*=0.5"], ["'f9*'", "/c1/Conv"]),
        (["--sparsity", "0.5", "--exclude", "conv1"], ["'conv1'"]),
        (["--sparsity", "0.5", "--pattern", "block"], ["no pattern 'block'"]),
        (["--sparsity", "0.5", "--criterion", "bn-scale"], ["no batch normalization", "folded"]),
        (["--sparsity", "0.5", "--criterion", "gradient"], ["criterion gradient needs gradients"]),
        (["--sparsity", "0.5", "--gradients", "gradients.npz"], ["criterion magnitude uses no gradients"]),
        (["--sparsity", "0.5", "--criterion", "taylor", "--gradients", "few.npz"], ["'c2.weight'", "'f1.weight'"]),
        (["--sparsity", "0.5", "--criterion", "taylor", "--gradients", "reader.py"], ["reader.py", "cannot be read"]),
        (["--sparsity", "0.5", "--pattern", "channel", "--recover", "both"], ["--recover", "whole channels"]),
        (["--sparsity", "0.5", "--recover", "both"], ["--recover", "without samples", "--calib"]),
        (["--sparsity", "0.5", "--eval", "absent.npz"], ["--eval", "there is no such file"]),
    ],
)
def test_what_makes_no_sense_is_refused(data: Path, options: list[str], parts: list[str]) -> None:
    given = [str(data / option) if option.endswith((".npz", ".py")) else option for option in options]
    result = cnnc("prune", LENET, *given, "-o", data / "out.onnx")
    assert result.exit_code == 2
    assert all(part in result.stderr for part in parts), result.stderr
    assert not (data / "out.onnx").exists()


def test_outputs_that_cannot_be_are_refused(data: Path) -> None:
    for target, part in (("out.txt", "model.pruned.onnx"), ("absent/out.onnx", "does not exist")):
        result = cnnc("prune", LENET, "--sparsity", 0.5, "-o", data / target)
        assert result.exit_code == 2
        assert part in result.stderr


@pytest.mark.jit
def test_a_scan(data: Path) -> None:
    options = ["--ratios", "0.5,0.95", "--exclude", "/f1/*"]
    report = answer("sensitivity", LENET, "--eval", data / "labelled.npz", *options, "--json")
    assert (report["metric"], report["ratios"]) == ("top-1", [0.5, 0.95])
    assert [layer["weight"] for layer in report["layers"]] == ["c2.weight", "f2.weight", "f3.weight"]
    assert all(0 <= score <= 1 for layer in report["layers"] for score in layer["scores"])
    text = done("sensitivity", LENET, "--calib", data / "pixels.npz", *options, "--pattern", "block4")
    assert "SQNR dB" in text
    assert "/f3/Gemm" in text


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ([], ["--eval or --calib"]),
        (["--eval", "labelled.npz", "--calib", "pixels.npz"], ["--eval or --calib"]),
        (["--eval", "labelled.npz", "--ratios", "half"], ["--ratios", "'half'"]),
        (["--eval", "labelled.npz", "--ratios", "1.5"], ["from 0 to below 1"]),
        (["--eval", "labelled.npz", "--pattern", "2:4"], ["2:4", "block4"]),
        (["--calib", "absent.npz"], ["no such file"]),
        (["--eval", "labelled.npz", "--plot", "absent/plot.png"], ["--plot", "does not exist"]),
    ],
)
def test_scans_that_cannot_be_are_refused(data: Path, options: list[str], parts: list[str]) -> None:
    given = [str(data / option) if option.endswith((".npz", ".png")) else option for option in options]
    result = cnnc("sensitivity", LENET, *given)
    assert result.exit_code == 2
    assert all(part in result.stderr for part in parts), result.stderr
