"""Runs the command in this process, and models for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cnnc.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent
LENET = ROOT / "examples" / "models" / "lenet5_fashion.onnx"
IMAGE = ROOT / "examples" / "images" / "bag.png"
LABELS = ROOT / "examples" / "images" / "labels.txt"


def cnnc(*arguments: object) -> Result:
    """The result of ``cnnc ARGUMENTS``; ``output`` holds stdout and stderr."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> str:
    """The standard output of a command that must succeed."""
    result = cnnc(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def answer(*arguments: object) -> Any:
    """The JSON that a command prints on standard output."""
    return json.loads(done(*arguments))
