"""How ``cnnc explain`` shows its facts: tables of a whole model, or everything about a few nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cnnc.cli.console import byte_count, print_table, say

if TYPE_CHECKING:
    from cnnc.explanation import Explanation, NodeExplanation, RefusedKernel
    from cnnc.passes import PassReport


def show_explanation(explanation: Explanation) -> None:
    """A whole model."""
    title = f"nodes of the program at -O{explanation.level}"
    rows = [
        (
            node.node,
            node.op,
            " + ".join(origin.name for origin in node.origins[1:]),
            node.kernel,
            "\n".join(_refusals(node.refused)),
        )
        for node in explanation.nodes
    ]
    print_table(["node", "op", "fused into it", "kernel", "refused kernels"], rows, title=title)
    _show_pruned(explanation.nodes)
    _show_candidates(explanation.nodes)
    _show_passes(explanation)
    _show_refused_rewrites(explanation)
    _show_conversions(explanation)
    for report in explanation.passes:
        if report.rolled_back:
            say(f"pass {report.name} was undone: {report.rolled_back}")
    _show_plan(explanation)
    _show_host(explanation)


def show_nodes(explanation: Explanation) -> None:
    """Everything about each node, one after the other, and nothing about the rest."""
    for node in explanation.nodes:
        say(f"{node.node}: {node.op} -> {node.type}")
        say("  from      " + " + ".join(_origin_text(origin.name, origin.op) for origin in node.origins))
        for rewrite in node.rewrites:
            say(f"  rewrite   {rewrite.rule}: {', '.join(rewrite.origins)}")
        for refusal in node.refused_rewrites:
            say(f"  refused   {refusal.rule}: {refusal.reason}")
        for miss in node.misses:
            say(f"  no match  {miss.rule}: {miss.reason}")
        steps = ", ".join(map(str, node.steps))
        say(
            f"  kernel    {node.kernel}"
            + (f", step {steps} of the program" if steps else ", no step: the result lies in place")
        )
        for candidate in node.candidates:
            say(f"  {'takes    ' if candidate.is_chosen else 'rival    '} {candidate}")
        for text in _refusals(node.refused):
            say(f"  not       {text}")
        if node.pruned is not None:
            say(f"  pruned    {node.pruned.density:.1%} not zero ({node.pruned.pattern}); {_pays(node)}")
        say()
    _show_conversions(explanation)


def _origin_text(name: str, op: str) -> str:
    return f"{op} {name}" if op else name


def _refusals(refused: Iterable[RefusedKernel]) -> list[str]:
    """Kernels by the reason that they have in common."""
    kernels: dict[str, list[str]] = {}
    for refusal in refused:
        kernels.setdefault(refusal.reason, []).append(refusal.kernel)
    return [f"{', '.join(names)}: {reason}" for reason, names in kernels.items()]


def _show_candidates(nodes: Sequence[NodeExplanation]) -> None:
    """Nodes that have several candidates; times on one core."""
    rows = [
        (
            node.node if index == 0 else "",
            f"{item.kernel} {item.tiling}",
            f"{item.predicted_seconds * 1e6:.1f}",
            "" if item.measured_seconds is None else f"{item.measured_seconds * 1e6:.1f}",
            "taken" if item.is_chosen else "",
        )
        for node in nodes
        for index, item in enumerate(node.candidates)
        if len(node.candidates) > 1
    ]
    if rows:
        columns = ["node", "candidate", "predicted us>", "measured us>", ""]
        print_table(columns, rows, title="candidates; the first is what the cost model takes")


def _show_pruned(nodes: Sequence[NodeExplanation]) -> None:
    rows = [
        (
            node.node,
            f"{node.pruned.density:.1%}",
            node.pruned.pattern,
            f"{node.pruned.break_even:.0%}" if node.pruned.break_even else "none",
            node.kernel,
            node.pruned.dense_kernel if node.pruned.dense_kernel != node.kernel else "",
            _share_of_dense(node),
        )
        for node in nodes
        if node.pruned is not None
    ]
    if rows:
        columns = ["node", "density>", "pattern", "pays below>", "kernel", "in place of", "of its time>"]
        print_table(columns, rows, title="layers with pruned weights; times as the cost model predicts them")


def _pays(node: NodeExplanation) -> str:
    assert node.pruned is not None
    if not node.pruned.break_even:
        return "zeros never pay here"
    share = _share_of_dense(node)
    taken = f", which takes {share} of the time of {node.pruned.dense_kernel}" if share else ""
    return f"zeros pay below {node.pruned.break_even:.0%}{taken}"


def _share_of_dense(node: NodeExplanation) -> str:
    """The predicted time of the kernel that was taken as a share of the dense one's."""
    seconds = {item.kernel: item.predicted_seconds for item in reversed(node.candidates)}
    dense = "" if node.pruned is None else node.pruned.dense_kernel
    if dense == node.kernel or dense not in seconds or node.kernel not in seconds:
        return ""
    return f"{seconds[node.kernel] / seconds[dense]:.2f}"


def _show_passes(explanation: Explanation) -> None:
    """Every pass that ran; those that did nothing in one line."""
    rows = [
        (report.name, report.rewrites or "", f"{report.nodes_before} -> {report.nodes_after}", _milliseconds(report))
        for report in explanation.passes
        if report.changed
    ]
    if rows:
        print_table(["pass", "rewrites>", "nodes>", "ms>"], rows, title="passes that changed the graph")
    refused = {refusal.rule for refusal in explanation.refused_rewrites}
    changed = {report.name for report in explanation.passes if report.changed or report.rolled_back}
    idle = dict.fromkeys(report.name for report in explanation.passes if report.name not in changed | refused)
    if idle:
        say("passes that had nothing to do: " + ", ".join(idle))


def _milliseconds(report: PassReport) -> str:
    return f"{report.seconds * 1e3:.1f}"


def _show_refused_rewrites(explanation: Explanation) -> None:
    refused = [(item.rule, item.node, item.op, item.reason) for item in explanation.refused_rewrites]
    if refused:
        print_table(["rewrite", "node", "op", "reason"], refused, title="rewrites that were refused")


def _show_conversions(explanation: Explanation) -> None:
    if not explanation.conversions:
        return
    met = [(item.node, item.op, item.reason) for item in explanation.conversions]
    print_table(["node", "op", "reason"], met, title="conversions between integers and floats that stayed")
    counts = Counter(item.op for item in explanation.conversions)
    total = sum(counts.values())
    say(f"integers and floats meet {total} times: " + ", ".join(f"{counts[op]} {op}" for op in sorted(counts)))


def _show_plan(explanation: Explanation) -> None:
    sizes = ", ".join(f"{name}={size}" for name, size in explanation.sizes.items())
    where = f" with {sizes}" if sizes else ""
    plan = explanation.plan
    if plan is None:
        say(f"no plan{where}: {explanation.plan_refused}")
        return
    say(
        f"plan{where}: {plan.instructions} kernel calls, {plan.layout_conversions} of them layout conversions, "
        f"{plan.copies} copies; {plan.host_steps} steps on the host; arena {byte_count(plan.arena_bytes)}"
    )


def _show_host(explanation: Explanation) -> None:
    if explanation.host_copies:
        moved = [(item.node, item.op, _bytes(item.to_host), _bytes(item.to_device)) for item in explanation.host_copies]
        title = "steps on the host, and what they copy from the GPU and back"
        print_table(["node", "op", "to the host>", "to the GPU>"], moved, title=title)
    hosts = [f"{node.op} {node.node!r}" for node in explanation.nodes if node.kernel == "host"]
    if hosts:
        say("on the host, in NumPy: " + ", ".join(hosts))
    else:
        say("nothing runs on the host: every node has a compiled kernel")


def _bytes(size: int | None) -> str:
    return "depends on values" if size is None else byte_count(size)
