"""What a pass is: a frozen dataclass whose fields are its options, and a truthful ``run``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar

from cnnc.ir import Graph, Notes


@dataclass(frozen=True)
class Pass:
    """Base of all passes.

    Args:
        max: most rewrites that a run of the pass may do, -1 for all: an option of every pass that no stage depends on.

    Class attributes:
        name: ``verb-object``, the name on the command line; the module is the same with underscores.
        requires: the earliest stage it works on.
        ensures: the stage that the graph has reached afterwards ("" keeps the stage).
        numerics: what it may do to results: ``exact`` (same bits), ``rounding`` (float rounding of a reordered or
            refactored computation).
    """

    name: ClassVar[str] = ""
    requires: ClassVar[str] = "imported"
    ensures: ClassVar[str] = ""
    numerics: ClassVar[str] = "exact"

    max: int = field(default=-1, kw_only=True)

    def run(self, graph: Graph, notes: Notes) -> bool:
        """Change the graph; return whether anything changed. The graph verifies before and after, not in between."""
        raise TypeError(f"{type(self).__name__} does not say what it does")

    def __str__(self) -> str:
        told = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "max" or self.max >= 0}
        options = ",".join(f"{key}={value}" for key, value in sorted(told.items()))
        return f"{self.name}{{{options}}}" if options else self.name
