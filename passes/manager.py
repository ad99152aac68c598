"""Runs a pipeline of passes and holds each one to its word: stages, the verifier, what it says of itself, numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cnnc.errors import CnncError, InternalError, OptionError
from cnnc.fact_table import FactTable, Tabled
from cnnc.ir import STAGES, Array, Graph, Notes, Refusal, verify
from cnnc.ir.clone import clone_graph
from cnnc.ir.text import constant_key, print_graph
from cnnc.ir.text_file import dump_graph
from cnnc.passes.base import Pass
from cnnc.passes.compare_results import difference, results


@dataclass(frozen=True, slots=True)
class PassReport(Tabled):
    """What became of one pass.

    Attributes:
        rolled_back: the reason for undoing it, or "".
        fired: (rule, origins of the nodes) of each rewrite that was not undone.
        refused: rewrites that nearly fit, and were not refused for the same reason before.
    """

    name: str
    seconds: float
    changed: bool
    nodes_before: int
    nodes_after: int
    rolled_back: str = ""
    fired: tuple[tuple[str, tuple[str, ...]], ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def rewrites(self) -> int:
        """How many."""
        return len(self.fired)

    def fact_table(self) -> FactTable:
        """One row."""
        return reports_table(f"pass {self.name}", (self,))


def reports_table(title: str, reports: Sequence[PassReport]) -> FactTable:
    """A row for each pass."""
    rows = tuple(
        (
            report.name,
            f"undone: {report.rolled_back}" if report.rolled_back else "changed" if report.changed else "",
            str(report.rewrites or ""),
            f"{report.nodes_before} -> {report.nodes_after}",
            f"{report.seconds * 1e3:.1f}",
        )
        for report in reports
    )
    return FactTable(title, ("pass", "", "rewrites", "nodes", "ms"), rows)


AfterPass = Callable[[Pass, Graph, PassReport], None]


def verify_level() -> int:
    """``CNNC_VERIFY``: 0 never, 1 (default) where a stage is reached, 2 after every pass with a check that a pass which
    reports no change made none.

    Raises:
        OptionError: the variable has another value.
    """
    text = os.environ.get("CNNC_VERIFY", "1")
    if text not in ("0", "1", "2"):
        raise OptionError(f"CNNC_VERIFY is {text!r}; it is 0, 1 or 2")
    return int(text)


@dataclass
class PassManager:
    """A pipeline and how strictly it is watched.

    Args:
        passes: in the order in which they run.
        verify_level: see ``verify_level``, which gives the default.
        check: run the graph on the interpreter before and after each pass, and compare.
        on_bad_pass: what to do with a pass that fails, breaks a rule or changes results beyond its kind: ``stop``
            raises, ``skip`` undoes it and goes on.
        after_pass: called after each pass (printing, timing, dumping).
        rewrite_limit: stop rewriting after so many rewrites in all (for bisecting). Passes that a stage depends on
            still run.
        stop_after: name of the last pass to run, or of the stage to stop at ("" for all passes).
        sizes: sizes of symbolic dims for ``check``, where the defaults of ``sample_inputs`` do not suit the model.
    """

    passes: Sequence[Pass]
    verify_level: int = field(default_factory=verify_level)
    check: bool = False
    on_bad_pass: str = "stop"
    after_pass: AfterPass | None = None
    rewrite_limit: int | None = None
    stop_after: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.on_bad_pass not in ("stop", "skip"):
            raise OptionError(f"on_bad_pass is {self.on_bad_pass!r}; it is stop or skip")

    def run(self, graph: Graph, notes: Notes) -> tuple[PassReport, ...]:
        """Run the pipeline on ``graph``, which is changed in place; returns what became of each pass that ran.

        Raises:
            InternalError: a pass failed or did what it must not; the message names it and the file with the graph.
            OptionError: a pass needs a stage that the graph has not reached.
        """
        if self.stop_after == graph.stage:
            return ()
        if self.stop_after and not any(map(self._is_last, self.passes)):
            raise OptionError(f"the pipeline has no pass {self.stop_after!r} to stop after, and reaches no such stage")
        run = _Run(self, graph, notes)
        for item in self.passes:
            run.step(item)
            if self._is_last(item):
                break
        return tuple(run.reports)

    def _is_last(self, item: Pass) -> bool:
        return bool(self.stop_after) and self.stop_after in (item.name, item.ensures)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Whether the graph changed, how long that took, and what the pass did wrong ("" for nothing)."""

    changed: bool
    seconds: float
    fault: str = ""
    cause: Exception | None = None


class _Run:
    def __init__(self, manager: PassManager, graph: Graph, notes: Notes) -> None:
        self.manager = manager
        self.graph = graph
        self.notes = notes
        self.reports: list[PassReport] = []
        self._keys: dict[int, tuple[Array, str]] = {}
        self._results: dict[str, dict[str, Array]] = {}

    def step(self, item: Pass) -> None:
        self._check_stage(item)
        limit = None if item.ensures else self.manager.rewrite_limit
        self.notes.budget = limit
        if self.notes.is_spent:
            return
        if item.max >= 0:
            own = len(self.notes.fired) + item.max
            self.notes.budget = own if limit is None else min(limit, own)
        keep = self.manager.check or self.manager.on_bad_pass == "skip"
        snapshot = clone_graph(self.graph) if keep else None
        nodes_before, fired_before, refused_before = len(self.graph), len(self.notes.fired), dict(self.notes.refusals)
        outcome = self._attempt(item)
        if outcome.changed and not outcome.fault and self.manager.check and snapshot is not None:
            outcome = replace(outcome, fault=self._compare(item, snapshot))
        if outcome.fault:
            self._bad_pass(item, outcome, snapshot)
        changed = outcome.changed and not outcome.fault
        refusals = self.notes.refusals.items()
        report = PassReport(
            *(item.name, outcome.seconds, changed, nodes_before, len(self.graph), outcome.fault),
            fired=tuple(self.notes.fired[fired_before:]) if changed else (),
            refused=tuple(refusal for key, refusal in refusals if refused_before.get(key) != refusal),
        )
        self.reports.append(report)
        if self.manager.after_pass is not None:
            self.manager.after_pass(item, self.graph, report)

    def _check_stage(self, item: Pass) -> None:
        reached, needed = STAGES.index(self.graph.stage), STAGES.index(item.requires)
        if reached < needed:
            what = f"pass {item.name} needs a graph of stage {item.requires}, this one is {self.graph.stage}"
            raise OptionError(what, hint="run the passes before it in the pipeline first")
        if self.graph.stage == "placed" and item.requires != "placed":
            raise OptionError(f"pass {item.name} works on graphs without layouts", hint="run it before assign-layouts")

    def _attempt(self, item: Pass) -> _Outcome:
        level = self.manager.verify_level
        text = self._text() if level >= 2 else ""
        start = time.perf_counter()
        seconds = 0.0
        try:
            changed = item.run(self.graph, self.notes)
            seconds = time.perf_counter() - start
            if level >= 2 and not changed and self._text() != text:
                return _Outcome(True, seconds, "it changed the graph and reported that it did not")
            if item.ensures and STAGES.index(item.ensures) > STAGES.index(self.graph.stage):
                self.graph.stage = item.ensures
            if level >= 2 or (level == 1 and item.ensures):
                verify(self.graph)
        except Exception as error:  # A pass is code of ours or of a plug-in: whatever it raises is its fault.
            return _Outcome(True, seconds, f"{type(error).__name__}: {error}", error)
        return _Outcome(changed, seconds)

    def _compare(self, item: Pass, snapshot: Graph) -> str:
        """How the results differ from those before the pass, or ""."""
        if item.numerics not in self._results:
            self._results[item.numerics] = results(snapshot, item.numerics, self.manager.sizes)
        before = self._results[item.numerics]
        try:
            after = results(self.graph, item.numerics, self.manager.sizes)
        except CnncError as error:
            return f"{type(error).__name__}: {error}"
        fault = difference(before, after, item.numerics) or ""
        if fault and item.numerics != "exact":
            float32 = results(snapshot, "exact", self.manager.sizes)
            fault = difference(before, after, item.numerics, float32) or ""
        if not fault:
            # What the next pass is compared with; the other kind of results is computed anew when it is asked for.
            self._results = {item.numerics: after}
        return fault

    def _bad_pass(self, item: Pass, outcome: _Outcome, snapshot: Graph | None) -> None:
        if self.manager.on_bad_pass == "skip" and snapshot is not None:
            self.notes.undo(item.name, outcome.fault)
            self.graph.become(snapshot)
            return
        path = dump_graph(snapshot or self.graph, f"{'before' if snapshot else 'after'}-{item.name}")
        raise InternalError(
            f"pass {item.name} is wrong: {outcome.fault}\n  this is a bug of cnnc; the graph is saved in {path}"
        ) from outcome.cause

    def _text(self) -> str:
        return print_graph(self.graph, self._constant_key)

    def _constant_key(self, array: Array) -> str:
        """The content's hash, computed once for each array (kept, so that its id stays its own)."""
        if id(array) not in self._keys:
            self._keys[id(array)] = (array, constant_key(array))
        return self._keys[id(array)][1]
