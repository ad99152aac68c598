"""The project's Markdown pages: blocks of code, code spans, and the commands in both."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<fenced>.*?)^(?P=indent)```$"
    r"|(?P<indented>(?:^ {4}[^\n]*\n|^[ \t]*\n)+)",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_PROGRAM = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(cnnc|python) (.*)$")


class Block(NamedTuple):
    """A block of code.

    Attributes:
        page: the file that it stands in, relative to the repository.
        line: the first line of its text.
        language: of a fenced block, as it is written; empty for an indented one.
        text: its lines.
    """

    page: Path
    line: int
    language: str
    text: str


class Command(NamedTuple):
    """A command line of ``cnnc`` or of a Python script.

    Attributes:
        place: page and line.
        program: ``cnnc`` or ``python``.
        arguments: what follows, as a shell would split it.
    """

    place: str
    program: str
    arguments: tuple[str, ...]


def pages() -> list[Path]:
    """All pages, relative to the repository's root."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    return sorted(path.relative_to(ROOT) for path in found)


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of code of a page, in order."""
    text = (ROOT / page).read_text()
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["indented"] is None:
            indent = match["indent"]
            lines = [row.removeprefix(indent) for row in match["fenced"].splitlines()]
            yield Block(page, line + 1, match["language"], "\n".join(lines))
        elif match["indented"].strip():
            lines = [row[4:] for row in match["indented"].splitlines()]
            yield Block(page, line, "", "\n".join(lines))


def spans(page: Path) -> Iterator[str]:
    """The code spans of a page's prose."""
    prose = _BLOCK.sub("\n", (ROOT / page).read_text())
    for match in _SPAN.finditer(prose):
        yield " ".join(match[1].split())


def commands(page: Path) -> Iterator[Command]:
    """The commands that a page shows, in blocks and in code spans."""
    for block in blocks(page):
        if block.language in ("python", "text"):
            continue
        for number, line in enumerate(block.text.replace("\\\n", " ").splitlines(), block.line):
            if line.startswith(("cnnc ", "$ ", "python ")) or " cnnc " in line.split("#")[0]:
                yield from _command(f"{page}:{number}", line)
    for span in spans(page):
        yield from _command(str(page), span)


def _command(place: str, line: str) -> Iterator[Command]:
    # What stands behind two spaces or a # explains the command; what follows | or > is another program's.
    match = _PROGRAM.match(re.split(r"\s{2,}|\s#\s|\s[|>]|\s&&\s|;", line)[0].strip())
    if match is None:
        return
    words = shlex.split(match[2])
    if words and words[0] == "-m" and words[1:2] == ["cnnc"]:
        yield Command(place, "cnnc", tuple(words[2:]))
    elif words:
        yield Command(place, match[1], tuple(words))
