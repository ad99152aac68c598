"""``cnnc prune --pattern channel``: a smaller model is written, and options that make no sense are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.command_line import LENET, answer, cnnc, done


def sizes(path: Path) -> dict[str, tuple[int, ...]]:
    tensors = onnx.load(path).graph.initializer
    return {tensor.name: tuple(tensor.dims) for tensor in tensors if tensor.name.endswith("weight")}


def test_a_smaller_file(tmp_path: Path) -> None:
    target = tmp_path / "small.onnx"
    command = ("prune", LENET, "--pattern", "channel", "--sparsity", 0.5, "-o", target)
    report = answer(*command, "--json")
    before, after = sizes(LENET), sizes(target)
    assert [(group["layers"], group["kept"]) for group in report["groups"]] == [
        (["/c1/Conv"], 3),
        (["/c2/Conv"], 8),
        (["/f1/Gemm"], 64),
        (["/f2/Gemm"], 40),
        (["/f3/Gemm"], 10),
    ]
    assert after["c1.weight"][0] == before["c1.weight"][0] // 2
    assert after["c2.weight"] == (before["c2.weight"][0] // 2, before["c2.weight"][1] // 2, 5, 5)
    assert report["channel_sparsity"] == pytest.approx(0.5, abs=0.02)
    assert report["parameters"]["after"] < 0.4 * report["parameters"]["before"]
    assert report["groups"][-1]["whole_because"] == "it is graph output 'logits'"
    assert report["file"]["after"] == target.stat().st_size
    onnx.checker.check_model(onnx.load(target), full_check=True)
    assert "agrees" in done("verify", target)
    assert "of the channels went" in done(*command)


def test_what_it_costs(tmp_path: Path) -> None:
    np.savez(tmp_path / "labelled.npz", input=np.zeros((20, 1, 28, 28), np.float32))
    command = (
        "prune",
        LENET,
        "--pattern",
        "channel",
        "--sparsity",
        0.3,
        "--round-to",
        4,
        "-o",
        tmp_path / "small.onnx",
    )
    report = answer(*command, "--eval", tmp_path / "labelled.npz", "--json")
    assert report["scores"]["metric"].startswith("agreement")
    kept = {group["layers"][0]: group["kept"] for group in report["groups"]}
    assert kept.pop("/f3/Gemm") == 10
    assert all(count % 4 == 0 for count in kept.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--pattern", "channel", "--sparsity", "0.5", "--scope", "lamp"], ["no scope 'lamp' for channels"]),
        (["--pattern", "channel"], ["not said how many channels"]),
        (["--sparsity", "0.5", "--round-to", "8"], ["--round-to", "channels stay", "add --pattern channel"]),
        (["--sparsity", "0.5", "--target-latency", "5ms"], ["--target-latency", "channels stay"]),
        (["--pattern", "channel", "--sparsity", "0.5", "--prune-first"], ["--prune-first", "leave the model"]),
        (["--pattern", "channel", "--sparsity", "0.5", "--keep-last"], ["--keep-last", "leave the model"]),
        (["--pattern", "channel", "--target-latency", "soon"], ["'soon' is no latency", "write 5ms"]),
        (["--pattern", "channel", "--sparsity", "0.5", "--target-latency", "5ms"], ["a sparsity is given, too"]),
    ],
)
def test_options_are_checked(tmp_path: Path, options: list[str], words: list[str]) -> None:
    result = cnnc("prune", LENET, *options, "-o", tmp_path / "small.onnx")
    assert result.exit_code == 2
    assert all(word in result.output for word in words), result.output
