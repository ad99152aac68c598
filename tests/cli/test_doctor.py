"""``cnnc doctor``: what it prints, its JSON, its exit code, and what it refuses; networks that cnnc brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc.doctor import CHECKS, diagnose
from cnnc.errors import OptionError
from tests.cli.command_line import LENET, answer, cnnc, done


def test_findings_are_printed_with_cost_and_next_step() -> None:
    text = done("doctor", LENET)
    assert "part-filled-blocks: channel counts that leave vector lanes idle\n  WARNING /c1/Conv\n" in text
    assert "its 6 output channels are stored as 16" in text
    assert "    cost  " in text and "    next  use a multiple of 16" in text
    assert "predicted on one core" in text and "with N=1" in text
    assert "nothing to say: non-finite-weights" in text and "not done without --calib: integer-saturation" in text


def test_json_has_every_check() -> None:
    report = answer("doctor", LENET, "--json")
    assert [row["check"] for row in report["checks"]] == [check.name for check in CHECKS]
    blocks = next(row for row in report["checks"] if row["check"] == "part-filled-blocks")
    assert blocks["findings"][0]["severity"] == "warning" and blocks["findings"][0]["seconds"] > 0
    assert report["predicted_seconds"] > 0


def test_the_exit_code_follows_the_worst_finding() -> None:
    assert cnnc("doctor", LENET, "--fail-on", "warning").exit_code == 1
    assert cnnc("doctor", LENET, "--fail-on", "error").exit_code == 0
    assert cnnc("doctor", LENET, "--check", "host-ops", "--fail-on", "info").exit_code == 0


def test_sample_data_lets_activations_be_examined(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", input=np.zeros((4, 1, 28, 28), np.float32))
    text = done("doctor", LENET, "--calib", tmp_path / "data.npz", "--check", "dead-activations")
    assert "channels are 0 on all samples" in text and "not done" not in text


def test_many_findings_are_cut_unless_all_are_asked_for() -> None:
    model = LENET.with_name("resnet14_fashion-bn-pruned90.onnx")
    text = done("doctor", model, "--check", "unused-sparsity")
    assert "more: --check unused-sparsity --all" in text and text.count("WARNING") == 5
    assert done("doctor", model, "--check", "unused-sparsity", "--all").count("WARNING") > 5


@pytest.mark.parametrize(
    ("network", "check", "fact"),
    [
        ("resnet18_preact", "unfolded-batch-norm", "which has no weights"),
        ("espcn", "part-filled-blocks", "its 9 output channels"),
        ("lenet_300_100", "bandwidth-bound", "of weights for"),
        ("radar1d", "layout-conversions", "becomes plain"),
    ],
)
def test_networks_that_cnnc_brings_along(network: str, check: str, fact: str) -> None:
    assert fact in done("doctor", f"models:{network}", "--check", check)


def test_what_makes_no_sense() -> None:
    result = cnnc("doctor", LENET, "--check", "host-op")
    assert result.exit_code == 2 and "did you mean host-ops?" in result.output
    result = cnnc("doctor", LENET, "--calib", "no/such.npz")
    assert result.exit_code == 2 and "--calib" in result.output
    from cnnc.options import Options

    with pytest.raises(OptionError, match="GPUs"):
        diagnose(LENET, options=Options(target="cuda:sm_80"))
