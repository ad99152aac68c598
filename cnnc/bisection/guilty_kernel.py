"""Finds the node whose kernel makes a model bad while its graph is right: by NumPy functions in place of kernels.

Methods that an option switches off are tried first: if one of them is at fault, its layers are searched. Otherwise the
first nodes of the program keep their kernels and all others run on the host; the shortest such head that is bad ends
with the node at fault. Then the other kernels that could take its place are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from cnnc.bisection.finding import GuiltyKernel, Judgement
from cnnc.bisection.host_nodes import with_plain_nodes
from cnnc.bisection.judges import SlowJudge
from cnnc.bisection.search import Verdict, first_bad
from cnnc.bisection.trial import Trial
from cnnc.compiler import CompiledModel
from cnnc.ir import Node
from cnnc.ir.text import node_text
from cnnc.lower import Decision

JudgeModel = Callable[[CompiledModel], Judgement]

METHODS = (("winograd", "--winograd off"), ("strassen", "--strassen off"))
"""Methods that an option switches off, by a part of their rules' names."""


def find_guilty_kernel(trial: Trial, judge: JudgeModel, whole: CompiledModel) -> GuiltyKernel | None:
    """The node and kernel at fault, ``whole`` being known to be bad; None where it is bad without any kernel."""
    options = _curing_options(trial, judge, whole)
    for method, option in METHODS:
        if option in options:
            without = trial.lowered(whole.graph, changes={method: "off"})
            node, decision, _ = _layer_of_method(trial, judge, whole, without, method)
            return _described(node, decision, _others(trial, judge, whole, node, decision), options)
    rows = lowered_nodes(whole)

    def head(count: int) -> Judgement:
        what = f"kernels for {count} of {len(rows)} nodes, NumPy for the others"
        return trial.judged(what, lambda: judge(_on_host(trial, whole, [node for node, _ in rows[count:]])))

    if head(0).verdict is not Verdict.GOOD:
        return None
    _, bad = first_bad(0, len(rows), lambda count: head(count).verdict)
    node, decision = rows[bad - 1]
    return _described(node, decision, _others(trial, judge, whole, node, decision), options)


def find_slow_kernel(trial: Trial, judge: SlowJudge, whole: CompiledModel) -> GuiltyKernel | None:
    """The layer that loses most of what a method of ``METHODS`` costs; None where none of them costs anything."""
    for method, option in METHODS:
        if _uses(whole, method):
            found = _slow_layer(trial, judge, whole, method, option)
            if found is not None:
                return found
    return None


def _slow_layer(trial: Trial, judge: SlowJudge, whole: CompiledModel, method: str, option: str) -> GuiltyKernel | None:
    without = trial.lowered(whole.graph, changes={method: "off"})
    judgement = trial.judged(f"the default, against {option}", lambda: judge.is_slower(without, whole))
    if judgement.verdict is not Verdict.BAD:
        return None
    node, decision, rival = _layer_of_method(trial, judge.model, whole, without, method)
    return _described(node, decision, ((rival, Judgement(Verdict.GOOD, "the fast one of the two")),), (option,))


def _layer_of_method(
    trial: Trial, judge: JudgeModel, whole: CompiledModel, without: CompiledModel, method: str
) -> tuple[Node, Decision, str]:
    """The layer whose kernel of ``method`` makes the model bad, ``without`` it being good; and what it has there."""
    rows = [(node, decision) for node, decision in lowered_nodes(whole) if method in decision.chosen]
    rivals = {node.output.name: decision.chosen for node, decision in lowered_nodes(without)}

    def head(count: int) -> Judgement:
        pinned = {node.output.name: rivals[node.output.name] for node, _ in rows[count:]}
        what = f"{method} for {count} of {len(rows)} layers that take it"
        return trial.judged(what, lambda: judge(trial.lowered(whole.graph, pinned=pinned)))

    _, bad = first_bad(0, len(rows), lambda count: head(count).verdict)
    node, decision = rows[bad - 1]
    return node, decision, rivals[node.output.name]


def lowered_nodes(model: CompiledModel) -> list[tuple[Node, Decision]]:
    """The nodes of a program in order, with how each was lowered."""
    nodes = [node for node in model.graph.nodes if node.op != "dims"]
    return list(zip(nodes, model.lowered.decisions, strict=True))


def _curing_options(trial: Trial, judge: JudgeModel, whole: CompiledModel) -> tuple[str, ...]:
    """The options, one at a time, that choose other kernels so that the program is good."""
    ways: list[tuple[str, dict[str, str | int]]] = [
        (option, {method: "off"}) for method, option in METHODS if _uses(whole, method)
    ]
    if trial.options.level == 2:
        # Float64 sums, neither Winograd's nor Strassen's method, no other precision.
        ways.append(("-O1", {"level": 1, "winograd": "auto", "strassen": "auto", "precision": "f32"}))
    found = []
    for option, changes in ways:
        judgement = trial.judged(f"kernels of {option}", partial(_judged_with, trial, judge, whole, changes))
        if judgement.verdict is Verdict.GOOD:
            found.append(option)
    return tuple(found)


def _judged_with(trial: Trial, judge: JudgeModel, whole: CompiledModel, changes: Mapping[str, str | int]) -> Judgement:
    return judge(trial.lowered(whole.graph, changes=changes))


def _uses(model: CompiledModel, method: str) -> bool:
    return any(method in decision.chosen for decision in model.lowered.decisions)


def _others(
    trial: Trial, judge: JudgeModel, whole: CompiledModel, node: Node, decision: Decision
) -> tuple[tuple[str, Judgement], ...]:
    """What is found with each kernel that could take the node's place, and with its NumPy function."""
    rules = dict.fromkeys((*(candidate.rule for candidate in decision.candidates), "host"))
    return tuple((rule, _other(trial, judge, whole, node, rule)) for rule in rules if rule != decision.chosen)


def _other(trial: Trial, judge: JudgeModel, whole: CompiledModel, node: Node, rule: str) -> Judgement:
    what = f"{rule} for {node.op} {node.name!r} alone"
    if rule == "host":
        return trial.judged(what, lambda: judge(_on_host(trial, whole, [node])))
    return trial.judged(what, lambda: judge(trial.lowered(whole.graph, pinned={node.output.name: rule})))


def _on_host(trial: Trial, whole: CompiledModel, nodes: Sequence[Node]) -> CompiledModel:
    """The program with NumPy functions for ``nodes``; conversions among them fall away."""
    graph = with_plain_nodes(whole.graph, {node.output.name for node in nodes})
    return trial.lowered(graph, pinned={node.output.name: "host" for node in nodes if node.op != "convert_layout"})


def _described(
    node: Node, decision: Decision, others: tuple[tuple[str, Judgement], ...], options: tuple[str, ...]
) -> GuiltyKernel:
    return GuiltyKernel(node.name, node.op, node.loc, decision.chosen, others, options, node_text(node))
