"""Bugs of ours, interrupts and broken pipes have exit codes of their own; bugs leave a report."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cnnc.cli.failures import Evidence, guarded, printable
from cnnc.errors import InternalError
from cnnc.ir.text_file import load_graph
from cnnc.ops import OPS
from tests.cli.command_line import LENET, ROOT, cnnc


def test_bug_saves_traceback_and_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("a bug on purpose")

    monkeypatch.setattr("cnnc.compiler.lower", broken)
    result = cnnc("explain", LENET)
    assert result.exit_code == 3
    assert "this is a bug of cnnc" in result.output
    assert "Traceback" not in result.output
    found = re.search(r"saved in (\S+)", result.output)
    assert found is not None
    report = Path(found[1])
    text = report.read_text()
    assert "a bug on purpose" in text
    assert "Traceback" in text
    assert f"explain {LENET}" in text
    graph = load_graph(report.with_name("graph.ir"), OPS)
    assert graph.output_names == ("logits",)


def test_internal_error_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise InternalError("an invariant broke")

    assert guarded(broken, Evidence(("x",))) == 3
    assert "an invariant broke" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interrupt(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> None:
        raise error

    assert guarded(stop, Evidence(())) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_missing_memory_and_full_disks_are_not_bugs(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (MemoryError(), OSError(28, "No space left on device", "/somewhere/out.npz")):

        def fail(error: BaseException = error) -> None:
            raise error

        assert guarded(fail, Evidence(())) == 2
        assert "next step" in capsys.readouterr().err


def test_names_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\x07\nc") == "a\ufffd[31mb\ufffd\nc"


def test_closed_pipe() -> None:
    command = f"{sys.executable} -m cnnc opt {LENET} | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.stdout.startswith("graph")
    assert "Traceback" not in ended.stderr
    assert ended.returncode in (0, 141)
