"""Where in the user's source a layer was called: what errors and the graph's ``loc`` name."""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import FrameType

from cnnc.errors import ModelError, UserError

_LANGUAGE = __name__.rpartition(".")[0]
_NETWORKS = "cnnc.models"
_MAX_EXPRESSION = 120


@dataclass(frozen=True, slots=True)
class CallSite:
    """A line of a model's source.

    Attributes:
        path: the file, as it was given to Python.
        line: line number, from 1.
        expression: the source text of the call, on one line; "" where the source cannot be read.
        outer: the line outside cnnc that asked for it, where the model is one of cnnc's own.
    """

    path: str
    line: int
    expression: str
    outer: CallSite | None = None

    @property
    def short(self) -> str:
        """File name and line: what the graph keeps, without folders of the machine it was written on."""
        return f"{Path(self.path).name}:{self.line}"

    def __str__(self) -> str:
        text = f"{_shown_path(self.path)}:{self.line}"
        if self.expression:
            text += f": {self.expression}"
        return f"{text} (called from {self.outer})" if self.outer is not None else text


def call_site() -> CallSite:
    """The innermost line under way that is not the language's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_language(frame):
        frame = frame.f_back
    if frame is None:
        return CallSite("<unknown>", 0, "")
    outer: FrameType | None = frame
    while outer is not None and _module(outer).partition(".")[0] == "cnnc":
        outer = outer.f_back
    has_file = outer is not None and Path(outer.f_code.co_filename).is_file()
    asked_from = _site(outer) if outer is not None and outer is not frame and has_file else None
    return _site(frame, asked_from)


def origin_site(made_at: CallSite | None) -> CallSite | None:
    """The line that a node came from: the one under way, unless that belongs to no network.

    Steps of a ``Sequential`` that is a whole network are called by nobody but what asked for the graph; then it is the
    line where the layer was written, and None for a plain function.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_language(frame):
        frame = frame.f_back
    asks = frame is not None and _module(frame).partition(".")[0] == "cnnc" and not _module(frame).startswith(_NETWORKS)
    return made_at if asks else call_site()


def refusal(what: str, *, hint: str = "") -> ModelError:
    """An error to raise that names the user's line."""
    return ModelError(what, where=str(call_site()), hint=hint)


def placed(error: UserError, node: str) -> UserError:
    """The same error, told of the user's line and of the layer called ``node``."""
    return type(error)(f"{node}: {error.what}" if node else error.what, where=str(call_site()), hint=error.hint)


def written_at(error: ModelError, site: CallSite) -> ModelError:
    """The same error, which also names the line where the layer was written, if it is another than that of its call."""
    place = f"{_shown_path(site.path)}:{site.line}:"
    if error.where.startswith(place):
        return error
    return ModelError(error.what, where=f"{error.where} (written at {place} {site.expression})", hint=error.hint)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_language(frame: FrameType) -> bool:
    name = _module(frame)
    return name == _LANGUAGE or name.startswith(f"{_LANGUAGE}.")


def _site(frame: FrameType, outer: CallSite | None = None) -> CallSite:
    path = frame.f_code.co_filename
    # One (line, end line, column, end column) for each pair of bytes of the code.
    positions = islice(frame.f_code.co_positions(), frame.f_lasti // 2, None)
    line, last, column, end = next(positions, (None, None, None, None))
    if line is None:
        line = frame.f_lineno
    return CallSite(path, line, _text(path, line, last or line, column, end), outer)


def _text(path: str, line: int, last: int, column: int | None, end: int | None) -> str:
    """The characters from one position to the other, on one line. Columns count bytes of UTF-8."""
    lines = [linecache.getline(path, number).encode() for number in range(line, last + 1)]
    if column is None or end is None or not all(lines):
        text = lines[0].decode() if lines else ""
    else:
        lines[-1] = lines[-1][:end]
        lines[0] = lines[0][column:]
        text = b" ".join(part.strip() for part in lines).decode(errors="replace")
    text = " ".join(text.split())
    return text if len(text) <= _MAX_EXPRESSION else f"{text[:_MAX_EXPRESSION]}..."


def _shown_path(path: str) -> str:
    """The path relative to the working directory, where it lies inside."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
