"""The examples run, as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import answer

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = {
    "ct_volume": "probability",
    "lenet5": "44 of 50 images",
    "mobilenet_v2": "3,504,872 parameters",
    "multitask": "mask",
    "unet": "scores",
}
"""What a run of each prints, among other things."""


@pytest.mark.jit
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str) -> None:
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert EXAMPLES[name] in done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_commands_take_an_example(name: str) -> None:
    assert answer("inspect", f"{ROOT / 'examples' / name}.py:model", "--json")["totals"]["parameters"] > 1000


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
