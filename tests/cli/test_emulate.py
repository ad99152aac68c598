"""``cnnc emulate``: profiles and predictions on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnc.ir.text_file import save_graph
from tests.cli.command_line import answer, cnnc, done
from tests.cuda.test_device_executor import network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "network.ir"
    save_graph(network(), path)
    return path


@pytest.fixture
def assembler() -> None:
    pytest.importorskip("numba_cuda")
    toolkit = pytest.importorskip("cnnc.runtime.cuda.toolkit")
    if any(toolkit.find_program(name) is None for name in ("ptxas", "nvdisasm")):
        pytest.skip("NVIDIA's assembler is not installed")


@pytest.mark.usefixtures("assembler")
def test_one_node(model: Path) -> None:
    shown = done("emulate", model, "--node", "pooled")
    for text in ("sectors of global memory", "share in the hottest loop", "registers of a thread"):
        assert text in shown
    assert "prediction for A100, not a measurement" in shown
    assert "the roofline allows" in shown


@pytest.mark.usefixtures("assembler")
def test_all_nodes(model: Path) -> None:
    shown = done("emulate", model, "--all", "--device", "h100")
    assert "prediction for H100, not a measurement" in shown
    assert "pool.plain" in shown
    assert "softmax" in shown


@pytest.mark.usefixtures("assembler")
def test_json(model: Path) -> None:
    (call,) = answer("emulate", model, "--node", "y", "--json", "--blocks", "2")
    assert call["bank_conflicts"] == 0
    assert call["sectors"] >= call["least_sectors"] > 0
    assert call["sampled_blocks"] <= call["blocks"]
    prediction = call["prediction"]
    assert prediction["bound"] in prediction["parts"]
    assert prediction["seconds"] > max(part for name, part in prediction["parts"].items() if name != "launch")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--node", "pooledd"], ["no step of the program is called 'pooledd'", "did you mean pooled"]),
        (["--node", "sums"], ["cum_sum 'sums' runs on the host", "no GPU kernel"]),
        ([], ["give --node TEXT or --all"]),
        (["--node", "y", "--all"], ["give --node TEXT or --all"]),
        (["--all", "--target", "cpu"], ["programs of the CPU are not emulated", "cuda:sm_80"]),
        (["--all", "--target", "cuda:sm_60"], ["sm_60 is too old"]),
        (["--all", "--device", "a1000"], ["nothing is known of the GPU 'a1000'", "A100"]),
    ],
)
@pytest.mark.usefixtures("assembler")
def test_refusals(model: Path, arguments: list[str], parts: list[str]) -> None:
    result = cnnc("emulate", model, *arguments)
    assert result.exit_code == 2
    assert all(part in result.output for part in parts), result.output


def test_missing_extra(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnc.runtime.cuda import toolkit

    monkeypatch.setattr(toolkit.importlib.util, "find_spec", lambda name: None)
    result = cnnc("emulate", model, "--all")
    assert result.exit_code == 2
    assert "numba-cuda, which is not installed" in result.output
    assert "cnnc[cuda13]" in result.output
