"""What commands show: tables and JSON on stdout, progress on stderr where it is a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.failures import printable

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 200
"""Columns of a table that goes to a file or a pipe."""


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", total: Sequence[object] = ()
) -> None:
    """A table on stdout. Columns whose name ends in ``>`` are aligned to the right.

    Args:
        total: a last row under a line.
    """
    from rich.table import Table
    from rich.text import Text

    # Text cells: names from models may hold what rich would read as markup.
    table = Table(title=title or None, title_justify="left", show_footer=bool(total))
    for index, column in enumerate(columns):
        is_right = column.endswith(">")
        footer = Text(printable(str(total[index]))) if total else ""
        table.add_column(
            column.rstrip(">"),
            justify="right" if is_right else "left",
            no_wrap=is_right,
            overflow="fold",
            footer=footer,
        )
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    _stdout().print(table)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def say(text: str = "") -> None:
    """Lines on stdout."""
    click.echo(printable(text))


def note(text: str) -> None:
    """Lines on stderr, for what is not the answer itself."""
    click.echo(printable(text), err=True)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner with ``what`` on a terminal; yields a function that changes the text."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    with _stderr().status(what, spinner="line") as status:
        yield lambda text: status.update(text)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal; yields a function of (done, total)."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import Progress

    with Progress(console=_stderr(), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def number(value: float) -> str:
    """A count in short form: 1.23 M."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.2f} {unit}"
    return f"{value:g}"


def byte_count(value: float) -> str:
    """A number of bytes in short form: 1.2 MiB."""
    for limit, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(value) >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:g} B"


def _stdout() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)
