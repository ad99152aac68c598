"""The slider: what every pass did to the graph, found by running the passes again on the model as it was imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from cnnc.ir import Graph, Notes
from cnnc.optimisation import optimise_graph
from cnnc.options import Options
from cnnc.passes import Pass, PassReport, pipeline_rows
from cnnc.report.facts import RefusedRewrite, Rewrites, StageFact
from cnnc.report.interning import GraphTable
from cnnc.runtime.kernel import Target

FIRST = "imported"
"""Name of the stage before all passes."""


class PassTrace:
    """Stages of one graph, recorded while passes run on it.

    Args:
        table: where graphs go.
        graph: before the first pass.
    """

    def __init__(self, table: GraphTable, graph: Graph) -> None:
        self._table = table
        self._seen: Counter[str] = Counter()
        first = table.add(graph)
        self.stages = [StageFact(FIRST, "", "the model as it was read", 0.0, first, (), (), (), (), "")]
        self.refused: list[RefusedRewrite] = []

    def after_pass(self, item: Pass, graph: Graph, report: PassReport) -> None:
        """Record what a pass did; the form of ``cnnc.passes.AfterPass``."""
        before = self.stages[-1].graph
        after = self._table.add(graph) if report.changed else before
        removed, added, changed = self._difference(before, after)
        _, brace, options = str(item).partition("{")
        self.refused += [RefusedRewrite(len(self.stages), each.rule, each.node, each.reason) for each in report.refused]
        self.stages.append(
            StageFact(
                name=item.name,
                options=options.removesuffix("}") if brace else "",
                why=self._why(item.name),
                seconds=report.seconds,
                graph=after,
                removed=removed,
                added=added,
                changed=changed,
                rewrites=_by_rule(report),
                undone=report.rolled_back,
            )
        )

    def _why(self, name: str) -> str:
        """The pipeline's reason for the pass, which may stand in it several times; "" for a pass that is in none."""
        reasons = [why for _, row, why in pipeline_rows() if row.partition("{")[0] == name]
        place = self._seen[name]
        self._seen[name] += 1
        return reasons[min(place, len(reasons) - 1)] if reasons else ""

    def _difference(
        self, before: int, after: int
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
        """Nodes that went, that came, and pairs of those that changed under one key."""
        if before == after:
            return (), (), ()
        old, new = self._by_key(before), self._by_key(after)
        removed = tuple(node for key, node in old.items() if key not in new)
        added = tuple(node for key, node in new.items() if key not in old)
        changed = tuple((old[key], node) for key, node in new.items() if key in old and old[key] != node)
        return removed, added, changed

    def _by_key(self, graph: int) -> Mapping[str, int]:
        nodes = self._table.nodes.items
        return {nodes[index].key: index for index in self._table.graphs[graph].nodes}


def trace_passes(table: GraphTable, graph: Graph, options: Options, target: Target) -> PassTrace:
    """Run the passes of ``options`` on an imported graph, which is rewritten in place, and record every one."""
    trace = PassTrace(table, graph)
    optimise_graph(graph, options, Notes(), target=target, after_pass=trace.after_pass)
    return trace


def _by_rule(report: PassReport) -> tuple[Rewrites, ...]:
    origins: dict[str, list[tuple[str, ...]]] = {}
    for rule, loc in report.fired:
        origins.setdefault(rule, []).append(loc)
    return tuple(Rewrites(rule, tuple(found)) for rule, found in origins.items())


def placed_stage(table: GraphTable, graph: Graph) -> StageFact:
    """The only stage of a model whose source is not known."""
    return StageFact(
        "compiled", "", "the graph that the program was made from", 0.0, table.add(graph), (), (), (), (), ""
    )


def kept_names(table: GraphTable, stages: Sequence[StageFact]) -> frozenset[str]:
    """Names of results that stand in the graph at every stage: in all of them it is the same tensor."""
    nodes, values = table.nodes.items, table.values.items
    names = (
        {values[output].name for node in table.graphs[graph].nodes for output in nodes[node].outputs}
        for graph in {stage.graph for stage in stages}
    )
    return frozenset(set.intersection(*names))
