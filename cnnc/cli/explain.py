"""``cnnc explain``: what the compiler did with each node, and what it refused to do, with reasons."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import byte_count, print_json, print_table, say
from cnnc.cli.conversions import remaining_conversions
from cnnc.cli.failures import Evidence
from cnnc.cli.model_options import (
    LEVEL,
    MODEL,
    PRECISION,
    SHAPES,
    STRASSEN,
    TARGET,
    TUNING,
    WINOGRAD,
    CompileRequest,
    check_options,
    compile_model,
)
from cnnc.cli.model_source import ModelSource
from cnnc.errors import InputError

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel
    from cnnc.ir import Node
    from cnnc.lower import ProgramBuilder
    from cnnc.lower.builder import Decision

_HELP = """Compile MODEL and say what became of it: which nodes were fused, which kernel runs each, which better kernels
and rewrites were refused and why, below which density pruned weights pay, where integers and floats still meet, and
what runs on the host in NumPy.

\b
  cnnc explain model.onnx
  cnnc explain model.onnx --node conv1      one node, everything known of it
  cnnc explain model.onnx --json
"""


@click.command("explain", help=_HELP, short_help="Say what fused, which kernels run, and why.")
@MODEL
@LEVEL
@WINOGRAD
@STRASSEN
@PRECISION
@TARGET
@TUNING
@SHAPES
@check_options
@click.option("--node", "wanted", metavar="TEXT", help="Only nodes whose name, op or origins contain this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    level: int,
    winograd: str,
    strassen: str,
    precision: str,
    target: str,
    tuning: Path | None,
    shapes: tuple[str, ...],
    check_passes: bool,
    on_bad_pass: str,
    rewrite_limit: int | None,
    wanted: str | None,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    request = CompileRequest(
        model, level, shapes, check_passes, on_bad_pass, rewrite_limit, tuning, winograd, strassen, precision, target
    )
    report = _report(compile_model(request, evidence, kernels=False), wanted or "")
    if as_json:
        print_json(report)
        return
    _show(report)


def _report(compiled: CompiledModel, wanted: str) -> dict[str, Any]:
    from cnnc.cli.pruned_layers import pruned_layers
    from cnnc.lower import ProgramBuilder

    numerics, machine = compiled.lowered.numerics, compiled.lowered.machine
    builder = ProgramBuilder(compiled.graph, compiled.target, numerics, machine)
    nodes_by_name = {node.name: node for node in compiled.graph.nodes}
    decisions = [
        decision
        for decision in compiled.lowered.decisions
        if wanted in decision.node or wanted in decision.op or any(wanted in origin for origin in decision.loc)
    ]
    pruned = pruned_layers(compiled, decisions)
    nodes = [
        {
            "node": decision.node,
            "op": decision.op,
            "origins": list(decision.loc),
            "kernel": decision.chosen,
            "refused": [{"kernel": rule, "reason": reason} for rule, reason in decision.refused],
            "candidates": _candidates(decision, nodes_by_name.get(decision.node), builder),
            "pruned": dataclasses.asdict(pruned[decision]) if decision in pruned else None,
        }
        for decision in decisions
    ]
    notes = compiled.notes
    # A rule may try several operands of a node: what it did in the end outweighs what it refused on the way.
    succeeded = {(rule, origin) for rule, loc in notes.fired for origin in loc}
    refusals = [
        {"pass": refusal.rule, "node": refusal.node, "reason": refusal.reason}
        for refusal in notes.refusals.values()
        if wanted in refusal.node and (refusal.rule, refusal.node) not in succeeded
    ]
    fired: dict[str, int] = {}
    for rule, _ in notes.fired:
        fired[rule] = fired.get(rule, 0) + 1
    return {
        "level": compiled.options.level,
        "plan": _plan(compiled),
        "nodes": nodes,
        "rewrites": fired,
        "refused_rewrites": refusals,
        "conversions": [
            dataclasses.asdict(conversion)
            for conversion in remaining_conversions(compiled.graph, notes)
            if wanted in conversion.node or wanted in conversion.op
        ],
        "host_copies": _host_copies(compiled),
        "undone_passes": [{"pass": name, "reason": reason} for name, reason in notes.undone],
    }


def _host_copies(compiled: CompiledModel) -> list[dict[str, Any]]:
    """What the host steps of a program of a GPU copy, at typical sizes."""
    from cnnc.cli.host_copies import host_copies
    from cnnc.cli.layer_facts import open_sizes
    from cnnc.runtime.cuda.target import is_cuda

    if not is_cuda(compiled.target):
        return []
    copies = host_copies(compiled.lowered.program, open_sizes(compiled.graph))
    return [dataclasses.asdict(item) for item in copies]


def _plan(compiled: CompiledModel) -> dict[str, Any]:
    """What the program costs at typical sizes; or why those are no sizes for it."""
    from cnnc.cli.layer_facts import open_sizes
    from cnnc.cli.plan_facts import plan_facts

    sizes = open_sizes(compiled.graph)
    try:
        facts = plan_facts(compiled.lowered.program, sizes)
    except InputError as error:
        return {"sizes": sizes, "refused": error.what}
    return {"sizes": sizes, **dataclasses.asdict(facts)}


def _show_plan(plan: dict[str, Any]) -> None:
    sizes = ", ".join(f"{name}={size}" for name, size in plan["sizes"].items())
    where = f" with {sizes}" if sizes else ""
    if "refused" in plan:
        say(f"no plan{where}: {plan['refused']}")
        return
    say(
        f"plan{where}: {plan['instructions']} kernel calls, {plan['layout_conversions']} of them layout conversions, "
        f"{plan['copies']} copies; {plan['host_steps']} steps on the host; arena {byte_count(plan['arena_bytes'])}"
    )


def _bytes_or_open(size: int | None) -> str:
    return "depends on values" if size is None else byte_count(size)


def _candidates(decision: Decision, node: Node | None, builder: ProgramBuilder) -> list[dict[str, Any]]:
    """The ways to lower a node that has tilings: seconds as predicted for one core, and as measured.

    Those that were measured, where any were; else the first tiling of each kernel that takes the node.
    """
    from cnnc.lower.candidates import tiled_rules
    from cnnc.lower.cost import predicted_seconds

    if node is None:
        return []
    rules = tiled_rules(builder.target)
    timing = decision.timing
    found = decision.candidates if timing is None else timing.candidates
    chosen = 0 if timing is None else timing.chosen
    return [
        {
            "candidate": str(candidate),
            "kernel": candidate.rule,
            "predicted_seconds": predicted_seconds(node, candidate.cost, builder, rules[candidate.rule].reads_weights),
            "seconds": None if timing is None else timing.seconds[index],
            "chosen": index == chosen,
        }
        for index, candidate in enumerate(found)
    ]


def _show_candidates(nodes: Sequence[dict[str, Any]]) -> None:
    """Nodes that have several candidates; times on one core."""
    rows = [
        (
            node["node"] if index == 0 else "",
            item["candidate"],
            f"{item['predicted_seconds'] * 1e6:.1f}",
            "" if item["seconds"] is None else f"{item['seconds'] * 1e6:.1f}",
            "taken" if item["chosen"] else "",
        )
        for node in nodes
        for index, item in enumerate(node["candidates"])
        if len(node["candidates"]) > 1
    ]
    if rows:
        columns = ["node", "candidate", "predicted us>", "measured us>", ""]
        print_table(columns, rows, title="candidates; the first is what the cost model takes")


def _show(report: dict[str, Any]) -> None:
    from cnnc.cli.pruned_layers import show_pruned_layers

    rows = [
        (
            node["node"],
            node["op"],
            " + ".join(node["origins"][1:]),
            node["kernel"],
            "\n".join(f"{item['kernel']}: {item['reason']}" for item in node["refused"]),
        )
        for node in report["nodes"]
    ]
    title = f"nodes of the program at -O{report['level']}"
    print_table(["node", "op", "fused into it", "kernel", "refused kernels"], rows, title=title)
    show_pruned_layers(report["nodes"])
    _show_candidates(report["nodes"])
    if report["rewrites"]:
        print_table(["pass", "rewrites>"], sorted(report["rewrites"].items()), title="rewrites that were done")
    if report["refused_rewrites"]:
        refused = [(item["pass"], item["node"], item["reason"]) for item in report["refused_rewrites"]]
        print_table(["pass", "node", "reason"], refused, title="rewrites that were refused")
    if report["conversions"]:
        met = [(item["node"], item["op"], item["reason"]) for item in report["conversions"]]
        print_table(["node", "op", "reason"], met, title="conversions between integers and floats that stayed")
    for item in report["undone_passes"]:
        say(f"pass {item['pass']} was undone: {item['reason']}")
    _show_plan(report["plan"])
    if report["conversions"]:
        counts = Counter(item["op"] for item in report["conversions"])
        total = sum(counts.values())
        say(f"integers and floats meet {total} times: " + ", ".join(f"{counts[op]} {op}" for op in sorted(counts)))
    if report["host_copies"]:
        moved = [
            (item["node"], item["op"], *(_bytes_or_open(item[way]) for way in ("to_host", "to_device")))
            for item in report["host_copies"]
        ]
        title = "steps on the host, and what they copy from the GPU and back"
        print_table(["node", "op", "to the host>", "to the GPU>"], moved, title=title)
    hosts = [f"{node['op']} {node['node']!r}" for node in report["nodes"] if node["kernel"] == "host"]
    if hosts:
        say("on the host, in NumPy: " + ", ".join(hosts))
    else:
        say("nothing runs on the host: every node has a compiled kernel")
