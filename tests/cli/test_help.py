"""Help is fast, complete, and teaches by examples."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnnc.cli.group import COMMANDS
from tests.cli.command_line import ROOT, cnnc, done

HEAVY = ("numba", "llvmlite", "onnx", "onnxruntime", "networkx", "numpy", "PIL", "rich", "cnnc.compiler", "cnnc.ir")


def test_help_names_every_command() -> None:
    text = done("--help")
    assert [name for name in COMMANDS if f"  {name}" not in text] == []
    assert "Exit codes" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_shows_examples(name: str) -> None:
    assert f"cnnc {name} " in done(name, "--help")


@pytest.mark.parametrize("arguments", [["--help"], ["compile", "--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom cnnc.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout.splitlines()[-1] == "loaded []"


def test_module_entry() -> None:
    command = [sys.executable, "-m", "cnnc", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout.startswith("cnnc, version")


def test_unknown_command() -> None:
    result = cnnc("compule", "model.onnx")
    assert result.exit_code == 2
    assert "compule" in result.output
