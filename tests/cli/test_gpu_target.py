"""--target and --emulate on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc.ir.text_file import save_graph
from tests.cli.command_line import LENET, answer, cnnc, done
from tests.cuda.test_device_executor import network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "network.ir"
    save_graph(network(), path)
    return path


def test_explain_shows_what_host_steps_copy(model: Path) -> None:
    copies = {item["op"]: item for item in answer("explain", model, "--target", "cuda:sm_80", "--json")["host_copies"]}
    size = 4 * 5 * 9 * 7
    assert (copies["cum_sum"]["to_host"], copies["cum_sum"]["to_device"]) == (size, size)
    assert copies["non_zero"]["to_device"] is None
    shown = done("explain", model, "--target", "cuda:sm_80")
    assert "what they copy from the GPU and back" in shown
    assert "depends on values" in shown
    assert answer("explain", model, "--json")["host_copies"] == []


def test_run_on_the_emulator(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("numba_cuda")
    for name, more in (("gpu", ("--target", "cuda:sm_80", "--emulate")), ("cpu", ())):
        done("run", model, "--random", "0", "-o", tmp_path / f"{name}.npz", *more)
    gpu, cpu = (np.load(tmp_path / f"{name}.npz") for name in ("gpu", "cpu"))
    np.testing.assert_allclose(gpu["y"], cpu["y"], rtol=1e-6)
    np.testing.assert_array_equal(gpu["doubled"], cpu["doubled"])


def test_emulating_the_cpu_is_refused(model: Path) -> None:
    result = cnnc("run", model, "--random", "0", "--emulate")
    assert result.exit_code == 2
    assert "programs of the CPU are not emulated" in result.output
    assert "--target cuda:sm_80" in result.output


def test_a_target_that_does_not_exist(model: Path) -> None:
    result = cnnc("compile", model, "--target", "cuda:8.0")
    assert result.exit_code == 2
    assert "'8.0' is no GPU architecture" in result.output


def test_explain_predicts_times_of_a_gpu() -> None:
    nodes = answer("explain", LENET, "--target", "cuda:sm_80", "--json")["nodes"]
    seconds = [item["predicted_seconds"] for node in nodes for item in node["candidates"]]
    # A launch takes microseconds, and these layers hardly more.
    assert seconds and all(1e-6 < each < 1e-4 for each in seconds)
