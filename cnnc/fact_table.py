"""Facts about an object as a table: what a notebook, a terminal and a test see of it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

MOST_ROWS = 200
"""Of a table that shows itself unasked."""

MOST_OPEN_ROWS = 25
"""Rows up to which a notebook shows the table and not its title only."""

_CELL = "text-align:left;vertical-align:top;white-space:pre-wrap"


@dataclass(frozen=True, slots=True)
class FactTable:
    """A title, and rows under the names of columns. Cells may hold any text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def left_out(self) -> int:
        """Rows beyond ``MOST_ROWS``."""
        return max(0, len(self.rows) - MOST_ROWS)

    def html(self) -> str:
        """A table that folds away, without scripts or anything to load; text is escaped."""
        shown = self.rows[:MOST_ROWS]
        head = "".join(f'<th style="{_CELL}">{html.escape(column)}</th>' for column in self.columns)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in shown)
        more = f"<p>and {self.left_out} more</p>" if self.left_out else ""
        state = " open" if len(self.rows) <= MOST_OPEN_ROWS else ""
        return (
            f"<details{state}><summary>{html.escape(self.title)}</summary>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</details>"
        )

    def rich(self) -> Table:
        """The same for a terminal."""
        from rich.table import Table
        from rich.text import Text

        title = self.title + (f" (and {self.left_out} more)" if self.left_out else "")
        table = Table(title=Text(title), title_justify="left")
        for column in self.columns:
            table.add_column(Text(column), overflow="fold")
        for row in self.rows[:MOST_ROWS]:
            # Text cells: names may hold what rich would read as markup.
            table.add_row(*map(Text, row))
        return table


class Tabled:
    """An object that shows itself as a table in notebooks, and in terminals that rich prints to."""

    __slots__ = ()

    def fact_table(self) -> FactTable:
        """What there is to see of the object."""
        raise TypeError(f"{type(self).__name__} has no table")

    def _repr_html_(self) -> str:
        return self.fact_table().html()

    def __rich__(self) -> Table:
        return self.fact_table().rich()


def _cell(text: str) -> str:
    return f'<td style="{_CELL}">{html.escape(text)}</td>'
