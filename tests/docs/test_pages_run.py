"""Some pages are run: their commands and Python, in order, in a folder with the examples, print what the page says.

A block of ``console`` holds commands behind ``$`` and what each prints; a block of ``text`` right behind one of
``python`` holds what that prints. Numbers are not compared (they are times, or depend on the CPU), nor is the drawing
of tables; a line of three dots stands for any lines.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from cnnc.cli import main
from tests.docs.pages import ROOT, Block, blocks

RUN = tuple(
    f"docs/{name}.md"
    for name in (
        "getting-started",
        "tour",
        "doctor",
        "file-formats",
        "troubleshooting",
        "kernels/winograd",
        "kernels/strassen",
    )
)


@pytest.mark.jit
@pytest.mark.parametrize("page", RUN)
def test_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    printed: str | None = None
    for block in blocks(Path(page)):
        where = f"{page}:{block.line}"
        if block.language == "console":
            _run_commands(block)
        elif block.language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), names)
            printed = output.getvalue()
            continue
        elif block.language == "text" and printed is not None:
            assert_prints(where, block.text, printed)
        printed = None


def test_what_is_compared() -> None:
    assert_prints("", "a 1.5 ms\n...\nb", "\na  22 ms\nx\ny\nb\n")
    assert_prints("", "| a | 1 |", "│ a │ 20 │\n└───┴───┘")
    for expected in ("a", "b\n...", "...\na", "a\nb", "a\n...\nc\n...\nb"):
        with pytest.raises(AssertionError):
            assert_prints("", expected, "a\nx\nb")


def assert_prints(where: str, expected: str, printed: str) -> None:
    """Compare what was printed with what a page shows."""
    lines = _lines(printed)
    at = 0
    chunks = [_lines(chunk) for chunk in re.split(r"^\.\.\.$", expected, flags=re.MULTILINE)]
    for index, chunk in enumerate(chunks):
        starts = range(at, len(lines) - len(chunk) + 1) if index else range(1)
        if index and index == len(chunks) - 1:
            starts = range(max(at, len(lines) - len(chunk)), len(lines) - len(chunk) + 1)
        found = next((start for start in starts if lines[start : start + len(chunk)] == chunk), None)
        assert found is not None, "\n".join([f"{where}: it does not print", *chunk, "but", printed])
        at = found + len(chunk)
    assert at == len(lines), "\n".join([f"{where}: it also prints", *lines[at:]])


def _run_commands(block: Block) -> None:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.replace("\\\n", " ").partition("\n")
        program, *arguments = shlex.split(command, comments=True)
        assert program == "cnnc", f"{block.page}:{block.line}: only commands of cnnc are run"
        result = CliRunner().invoke(main, arguments)
        wanted = 2 if expected.startswith("error: ") else 0
        assert result.exit_code == wanted, f"{block.page}:{block.line}: {command}\n{result.output}"
        assert_prints(f"{block.page}:{block.line}: {command}", expected, result.output)


def _lines(text: str) -> list[str]:
    """Lines that hold words, with numbers and the lines of tables taken out."""
    text = re.sub(r"[─-╿|]", " ", text)
    text = re.sub(r"@c\d+", "@c0", text)  # blocks have as many channels as vectors have lanes
    text = re.sub(r"(?<![\w-])[-+]?\d[\d.,]*(?:e[-+]?\d+)?", "0", text)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line]
