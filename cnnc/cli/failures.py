"""Failures become exit codes and messages: 2 for what the user can mend, 3 for bugs of cnnc, 130 for Ctrl-C."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc import __version__
from cnnc.errors import UserError

if TYPE_CHECKING:
    from cnnc.ir import Graph

USER_ERROR = UserError.exit_code
BUG = 3
INTERRUPTED = 130
BROKEN_PIPE = 141

_ENVIRONMENT = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.ENOSPC,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EROFS,
        errno.ENAMETOOLONG,
    }
)
"""Errors of the operating system that the user can mend, where they name a file."""


@dataclass
class Evidence:
    """What a bug report should hold; commands fill it in as they go.

    Attributes:
        arguments: the command line.
        graph: the graph that is being worked on.
    """

    arguments: tuple[str, ...]
    graph: Graph | None = None


def guarded(action: Callable[[], Any], evidence: Evidence) -> int:
    """The exit code of ``action``, which returns one (or None for 0); failures are told on stderr."""
    try:
        code = action()
        sys.stdout.flush()
    except click.Abort:
        return _told("interrupted", INTERRUPTED)
    except KeyboardInterrupt:
        return _told("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UserError as error:
        return _told(f"error: {error}", USER_ERROR)
    except BrokenPipeError:
        # The reader of our output went away; nothing more can be written, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except MemoryError:
        return _told("error: there is not enough memory\n  next step: use a smaller batch or model", USER_ERROR)
    except OSError as error:
        if error.errno not in _ENVIRONMENT or not error.filename:
            return _bug(error, evidence)
        return _told(f"error: {error.filename}: {error.strerror}\n  next step: check the path", USER_ERROR)
    except Exception as error:
        return _bug(error, evidence)
    return code if isinstance(code, int) else 0


def printable(text: str) -> str:
    """``text`` without control characters: names come from files, and could otherwise steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def _told(message: str, code: int) -> int:
    click.echo(printable(message), err=True)
    return code


def _bug(error: Exception, evidence: Evidence) -> int:
    what = printable(f"{type(error).__name__}: {error}".strip())
    try:
        report = f"a report for the bug tracker is saved in {save_report(error, evidence)}"
    except OSError as failure:
        report = f"a report could not be saved ({failure})\n{traceback.format_exc()}"
    click.echo(f"internal error: {what}\n  this is a bug of cnnc, not of your model; {report}", err=True)
    return BUG


def save_report(error: BaseException, evidence: Evidence) -> Path:
    """Write the traceback, the versions and the graph to a new folder; returns the report's path."""
    if evidence.graph is None:
        folder = Path(tempfile.mkdtemp(prefix="cnnc-"))
    else:
        from cnnc.ir.text_file import dump_graph

        folder = dump_graph(evidence.graph, "graph").parent
    lines = [
        f"cnnc {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: cnnc {' '.join(evidence.arguments)}",
        *(f"{name} {getattr(sys.modules[name], '__version__', '')}" for name in _PACKAGES if name in sys.modules),
        "",
        "".join(traceback.format_exception(error)),
    ]
    path = folder / "report.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


_PACKAGES = ("numpy", "numba", "llvmlite", "onnx", "onnxruntime")
