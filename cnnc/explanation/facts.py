"""What the compiler did with a model, as data that the command line, reports and notebooks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cnnc.explanation.conversions import Conversion
from cnnc.explanation.host_copies import HostCopies
from cnnc.explanation.plan_facts import PlanFacts
from cnnc.fact_table import FactTable, Tabled
from cnnc.passes import PassReport


@dataclass(frozen=True, slots=True)
class Origin:
    """A node of the source model. ``op`` is "" where compilation began with a graph that had this node in another."""

    name: str
    op: str


@dataclass(frozen=True, slots=True)
class RefusedKernel:
    """A kernel that a node did not get, and one sentence why."""

    kernel: str
    reason: str


@dataclass(frozen=True, slots=True)
class KernelCandidate:
    """A kernel that can compute a node.

    Attributes:
        tiling: its sizes, such as rows=2 columns=14.
        predicted_seconds: by the cost model, on one core or on the GPU.
        measured_seconds: at -O3, where the layer was measured; else None.
        is_chosen: whether the program uses it.
    """

    kernel: str
    tiling: str
    predicted_seconds: float
    measured_seconds: float | None
    is_chosen: bool

    def __str__(self) -> str:
        times = f"{self.predicted_seconds * 1e6:.1f} us predicted"
        if self.measured_seconds is not None:
            times += f", {self.measured_seconds * 1e6:.1f} us measured"
        return f"{self.kernel} {self.tiling}: {times}"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A rewrite that was done: its rule and the names of the nodes that it was done to, as the model has them."""

    rule: str
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RefusedRewrite:
    """A rewrite that nearly fitted a node: its rule, name and op of the node at that time, and one sentence why not."""

    rule: str
    node: str
    op: str
    reason: str


@dataclass(frozen=True, slots=True)
class PrunedLayer:
    """A layer with a pruned weight.

    Attributes:
        density: share of non-zeros.
        pattern: as in ``WeightDensity``.
        break_even: the largest density at which a kernel that leaves zeros out is taken by the cost model; 0 where it
            never is.
        dense_kernel: what a dense weight would get.
    """

    density: float
    pattern: str
    break_even: float
    dense_kernel: str


@dataclass(frozen=True, slots=True)
class NodeExplanation(Tabled):
    """One node of the compiled graph.

    Attributes:
        value: name of its first output, which no other node has.
        node: its name, that of its first origin; a conversion of a layer's result has the layer's.
        op: of the IR.
        type: of the first output, such as f32[N, 64, 56, 56]@c16.
        origins: what it came from; all but the first were fused into it.
        kernel: the lowering rule that took it: a kernel's name, ``host``, or ``view`` where nothing is computed.
        refused: what else there is for the op, and why it was not taken.
        candidates: kernels with tilings that take the node, the cost model's choice first. Of a measured layer all that
            were measured, else the first tiling of each kernel; none where a kernel without tilings is preferred.
        rewrites: what was done to its origins, in order.
        refused_rewrites: what nearly was.
        misses: patterns of rewrites that begin at one of its origins, and where the model goes on in another way.
        pruned: of a layer with a pruned weight.
        steps: numbers of the program's steps that compute it.
    """

    value: str
    node: str
    op: str
    type: str
    origins: tuple[Origin, ...]
    kernel: str
    refused: tuple[RefusedKernel, ...]
    candidates: tuple[KernelCandidate, ...]
    rewrites: tuple[Rewrite, ...]
    refused_rewrites: tuple[RefusedRewrite, ...]
    misses: tuple[RefusedRewrite, ...]
    pruned: PrunedLayer | None
    steps: tuple[int, ...]

    def fact_table(self) -> FactTable:
        """What is known of it, a line each."""
        rows = [("from", f"{origin.op} {origin.name}".strip()) for origin in self.origins]
        rows += [("rewrite", f"{rewrite.rule}: {', '.join(rewrite.origins)}") for rewrite in self.rewrites]
        rows += [("refused rewrite", f"{refusal.rule}: {refusal.reason}") for refusal in self.refused_rewrites]
        rows += [("no match", f"{miss.rule}: {miss.reason}") for miss in self.misses]
        rows.append(("kernel", self.kernel))
        for candidate in self.candidates:
            rows.append(("takes" if candidate.is_chosen else "rival", str(candidate)))
        rows += [("refused kernel", f"{refusal.kernel}: {refusal.reason}") for refusal in self.refused]
        return FactTable(f"{self.node}: {self.op} -> {self.type}", ("", ""), tuple(rows))

    @property
    def chosen(self) -> KernelCandidate | None:
        """The candidate that the program uses."""
        return next((candidate for candidate in self.candidates if candidate.is_chosen), None)


@dataclass(frozen=True, slots=True, repr=False)
class Explanation(Tabled):
    """What became of a model.

    Attributes:
        name: of the graph.
        level: of optimisation.
        target: ``cpu`` or an architecture such as ``cuda:sm_80``.
        sizes: what was taken for open sizes in ``plan``.
        plan: what the program costs at these sizes; None where they do not fit the model.
        plan_refused: why they do not fit; else "".
        nodes: in the order of the program.
        passes: in the order in which they ran.
        rewrites: all that were done, in order.
        refused_rewrites: those that nearly fitted and were not done in the end. A rule that tried several operands of a
            node and took one is not among them.
        conversions: where integers and floats still meet.
        host_copies: of a program for a GPU, what steps on the host copy.
    """

    name: str
    level: int
    target: str
    sizes: Mapping[str, int]
    plan: PlanFacts | None
    plan_refused: str
    nodes: tuple[NodeExplanation, ...]
    passes: tuple[PassReport, ...]
    rewrites: tuple[Rewrite, ...]
    refused_rewrites: tuple[RefusedRewrite, ...]
    conversions: tuple[Conversion, ...]
    host_copies: tuple[HostCopies, ...]

    def fact_table(self) -> FactTable:
        """A row for each node."""
        rows = tuple(
            (
                node.node,
                node.op,
                ", ".join(origin.name for origin in node.origins[1:]),
                node.kernel,
                "" if node.chosen is None else f"{node.chosen.predicted_seconds * 1e6:.1f}",
                ", ".join(candidate.kernel for candidate in node.candidates if not candidate.is_chosen),
            )
            for node in self.nodes
        )
        return FactTable(repr(self), ("node", "op", "fused into it", "kernel", "us predicted", "rivals"), rows)

    def __repr__(self) -> str:
        return f"Explanation({self.name!r}, -O{self.level}, {self.target}, {len(self.nodes)} nodes)"

    def rewrite_counts(self) -> dict[str, int]:
        """How many rewrites each rule did, by its name, in the order in which they began."""
        return dict(Counter(rewrite.rule for rewrite in self.rewrites))
