"""The examples that are no lessons run, as a reader would run them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnc.quantization import METHODS
from tests.cli.command_line import answer

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = {
    "ct_volume": "probability",
    "lenet5": "44 of 50 images",
    "mobilenet_v2": "3,504,872 parameters",
    "multitask": "mask",
    "unet": "scores",
}
"""What a run of each prints, among other things."""
QUICK = ("lenet5", "multitask", "ct_volume")


@pytest.mark.jit
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in EXAMPLES])
def test_an_example_runs(name: str) -> None:
    assert EXAMPLES[name] in _printed(name)


@pytest.mark.slow
@pytest.mark.jit
def test_methods_of_quantization(tmp_path: Path) -> None:
    """Every method keeps the accuracy within two points or so; the plot is made where there is matplotlib."""
    plot = [str(tmp_path / "plot.svg")] if importlib.util.find_spec("matplotlib") else []
    text = _printed("quantization", *plot)
    assert "float32 0.920" in text
    rows = [line for line in text.splitlines() if line.endswith(" dB")]
    assert len(rows) == 3 * len(METHODS) + 1
    assert all(float(row.split()[-3]) > 0.885 for row in rows)
    assert float(rows[-1].split()[-3]) >= 0.915
    assert all(Path(file).stat().st_size > 1000 for file in plot)


def test_the_bisection_of_a_planted_fault() -> None:
    text = _printed("bisect_fault")
    assert "of pass drop-tiny-weights is at fault at" in text and "0 programs were compiled" in text


@pytest.mark.parametrize("name", EXAMPLES)
def test_commands_take_an_example(name: str) -> None:
    assert answer("inspect", f"{ROOT / 'examples' / name}.py:model", "--json")["totals"]["parameters"] > 1000


def _printed(name: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
