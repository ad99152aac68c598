"""What a bisection finds: the steps that it took, and the pass, rewrite or kernel at fault."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnnc.bisection.search import Verdict
from cnnc.ir import Graph


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and in a few words why."""

    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One state that was judged."""

    what: str
    judgement: Judgement

    def __str__(self) -> str:
        why = f" ({self.judgement.why})" if self.judgement.why else ""
        return f"{self.what}: {self.judgement.verdict.value}{why}"


@dataclass(frozen=True, slots=True)
class GuiltyPass:
    """The pass behind which results are bad.

    Attributes:
        name, index: of the pass, and its place in the pipeline.
        rewrite: which of the pass's rewrites, from 1; 0 where the pass makes no rewrites one by one.
        rewrites: how many it makes in all.
        limit: how many rewrites all passes have made with it: ``--rewrite-limit``; 0 where that option does not count
            it, because a stage depends on the pass.
        rule, origins: of the rewrite, and the source nodes that it matched.
        before, after: statements of the graph that only stand in it before and after the rewrite.
        is_exact: whether the state before it was found to be good; else what lies between could not be judged.
    """

    name: str
    index: int
    rewrite: int
    rewrites: int
    limit: int
    rule: str
    origins: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class GuiltyKernel:
    """The node whose kernel makes results bad.

    Attributes:
        node, op, origins: the node of the placed graph.
        kernel: the lowering rule that it has.
        others: the rules that could take its place, and what is found with each: ``host`` is the NumPy function.
        options: compiler options without which everything is good, such as ``--winograd off``.
        text: the node as a statement of the IR.
    """

    node: str
    op: str
    origins: tuple[str, ...]
    kernel: str
    others: tuple[tuple[str, Judgement], ...] = ()
    options: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The end of a bisection.

    Attributes:
        kind: ``nothing`` is wrong; ``import``: bad before any pass; ``pass``; ``kernel``; ``program``: bad even where
            no kernel runs, while the graph is right or cannot be judged by itself.
        what: one sentence.
        steps: what was judged, in order.
        compiles: how many programs were compiled for it.
        guilty_pass, guilty_kernel: see there.
        graph: a graph that shows the fault, as small as it was found; None where there is none.
        shows_fault: whether ``graph`` was seen to show it.
    """

    kind: str
    what: str
    steps: tuple[Step, ...] = ()
    compiles: int = 0
    guilty_pass: GuiltyPass | None = None
    guilty_kernel: GuiltyKernel | None = None
    graph: Graph | None = field(default=None, repr=False)
    shows_fault: bool = False

    @property
    def is_wrong(self) -> bool:
        """Whether anything was found to be wrong."""
        return self.kind != "nothing"
