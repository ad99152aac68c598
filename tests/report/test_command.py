"""``cnnc compile --report``: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import LENET, cnnc, done


def data_of(page: Path) -> Any:
    """The facts in a page."""
    found = re.search(
        r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page.read_text(encoding="utf-8"), re.S
    )
    assert found is not None
    return json.loads(found[1])


@pytest.mark.jit
def test_compile_with_a_report_writes_both_files(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, page = tmp_path / "lenet.cnnc", tmp_path / "report.html"
    text = done("compile", LENET, "-o", model, "--report", page)
    assert model.is_file()
    facts = data_of(page)
    assert f"{len(facts['layers'])} layers" in text
    assert facts["model"]["name"] == LENET.name
    assert facts["machine"]["origin"] == "measured"
    assert facts["summary"]["run_seconds"] > 0
    assert all(layer["seconds"] > 0 for layer in facts["layers"])
    assert facts["layers"][0]["origins"] == ["/c1/Conv", "/Relu"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lenet.cnnc", "report.html"]


def test_without_measuring_nothing_runs(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = cnnc(
        "compile",
        "models:lenet5",
        "-o",
        tmp_path / "a.cnnc",
        "--target",
        "cuda:sm_80",
        "--report",
        page,
        "--no-measure",
    )
    assert result.exit_code == 0, result.output
    facts = data_of(page)
    assert facts["summary"]["seconds_reason"] == "measuring was left out"
    assert facts["machine"]["name"] == "A100"
    predicted = [layer["predicted_seconds"] for layer in facts["layers"] if layer["op"] == "conv"]
    assert all(seconds > 0 for seconds in predicted)
    assert all(layer["read_bytes"] > 0 for layer in facts["layers"])


def test_gpu_programs_are_not_run(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = cnnc("compile", LENET, "-o", tmp_path / "a.cnnc", "--target", "cuda:sm_80", "--report", page)
    assert result.exit_code == 0, result.output
    assert "not run" in result.stderr
    assert "not run" in data_of(page)["summary"]["error_reason"]


@pytest.mark.parametrize(
    ("path", "fragments"),
    [("missing/report.html", ("does not exist", "mkdir")), (".", ("is a folder", "file name"))],
)
def test_unwritable_paths_are_refused_before_anything_is_compiled(
    tmp_path: Path, path: str, fragments: tuple[str, str]
) -> None:
    result = cnnc("compile", LENET, "-o", tmp_path / "a.cnnc", "--report", tmp_path / path)
    assert result.exit_code == 2
    assert all(fragment in result.output for fragment in ("--report", *fragments))
    assert list(tmp_path.iterdir()) == []


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    alone = cnnc("compile", LENET, "--no-measure")
    assert alone.exit_code == 2
    assert "--report" in alone.output
    stopped = cnnc("compile", LENET, "--report", tmp_path / "a.html", "--stop-after", "fold-shapes")
    assert stopped.exit_code == 2
    assert "--stop-after" in stopped.output
