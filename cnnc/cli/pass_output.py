"""Printing the graph between passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnc.cli.console import say
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.ir import Graph
    from cnnc.passes import AfterPass, Pass, PassReport


def known_pass(name: str, option: str) -> None:
    """Refuse a name that no pass has.

    Raises:
        OptionError: with the closest name.
    """
    from cnnc.passes import ALL_PASSES

    try:
        ALL_PASSES[name]
    except OptionError as error:
        raise OptionError(error.what, where=option, hint=error.hint) from error


def check_stops(print_after: str | None, stop_after: str | None) -> None:
    """Refuse ``--print-after`` and ``--stop-after`` with a name that no pass has; the latter takes stages too.

    Raises:
        OptionError: with the closest name.
    """
    from cnnc.ir import STAGES

    if print_after and print_after != "all":
        known_pass(print_after, "--print-after")
    if stop_after and stop_after not in STAGES:
        known_pass(stop_after, "--stop-after")


def printer_after(name: str | None) -> AfterPass | None:
    """What prints the graph after the pass ``name``, after every pass that changed it for ``all``; None for None."""
    if name is None:
        return None

    def show(item: Pass, graph: Graph, report: PassReport) -> None:
        from cnnc.ir.text import print_graph

        if item.name != name and not (name == "all" and report.changed):
            return
        change = "" if report.changed else ", changed nothing"
        say(f"// after {item}: {report.nodes_before} -> {report.nodes_after} nodes{change}")
        say(print_graph(graph))

    return show
