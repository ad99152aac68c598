"""``cnnc inspect``: what is in a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import byte_count, number, print_json, print_table, say
from cnnc.cli.failures import Evidence
from cnnc.cli.model_options import MODEL, SHAPES, load_graph
from cnnc.cli.model_source import ModelSource

if TYPE_CHECKING:
    from cnnc.cli.weight_facts import LayerZeros
    from cnnc.ir import Graph
    from cnnc.runtime.artifact import Artifact

_HELP = """Show every layer of MODEL: op, shapes, parameters, MACs, activation memory and
receptive field; then the totals, and the zeros of pruned weights.

The layers are those of the model as it was written; of a .cnnc file, those of the optimised graph in it. An open batch
size is taken as 1 and other open sizes as 224 unless --shape fixes them.

\b
  cnnc inspect model.onnx --shape input=1,3,224,224
  cnnc inspect model.onnx --json | jq .totals.macs
"""


@click.command("inspect", help=_HELP, short_help="Show layers, shapes, parameters, MACs, memory and zeros.")
@MODEL
@SHAPES
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(evidence: Evidence, model: ModelSource, shapes: tuple[str, ...], as_json: bool) -> None:
    """See ``_HELP``."""
    model.check()
    artifact = _artifact(model)
    if artifact is not None and artifact.portable() is None:
        facts = _artifact_facts(artifact)
        if as_json:
            print_json({"file": facts})
            return
        _show_artifact(facts)
        say("the file holds no graph: compile it without --no-portable to see layers")
        return
    graph = load_graph(model, shapes, evidence)
    report = _report(graph)
    if artifact is not None:
        report["file"] = _artifact_facts(artifact)
    if as_json:
        print_json(report)
        return
    if artifact is not None:
        _show_artifact(report["file"])
    _show(graph, report)


def _report(graph: Graph) -> dict[str, Any]:
    from cnnc.cli.layer_facts import model_facts
    from cnnc.cli.weight_facts import weight_facts

    facts, weights = model_facts(graph), weight_facts(graph)
    totals = {field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)}
    del totals["layers"]
    return {
        "graph": graph.name,
        "inputs": {value.name: str(value.type) for value in graph.inputs},
        "outputs": {name: str(value.type) for name, value in zip(graph.output_names, graph.outputs, strict=True)},
        "layers": [dataclasses.asdict(layer) for layer in facts.layers],
        "totals": totals,
        "weights": {
            "elements": weights.elements,
            "non_zeros": weights.non_zeros,
            "density": weights.density,
            "bytes": weights.bytes,
            "compressed_bytes": weights.compressed_bytes,
            "layers": [_zeros(layer) for layer in weights.layers],
        },
    }


def _zeros(layer: LayerZeros) -> dict[str, Any]:
    facts = dataclasses.asdict(layer)
    return {**facts, **facts.pop("zeros"), "density": layer.zeros.density}


def _show(graph: Graph, report: dict[str, Any]) -> None:
    rows = [
        (
            layer["name"],
            layer["op"],
            " ".join(layer["outputs"]),
            number(layer["parameters"]) if layer["parameters"] else "",
            _optional(number, layer["macs"]),
            _optional(byte_count, layer["bytes"]),
            layer["field"],
        )
        for layer in report["layers"]
    ]
    totals = report["totals"]
    columns = ["layer", "op", "output", "parameters>", "MACs>", "activations>", "field>"]
    total = ("total", f"{len(rows)} layers", "", number(totals["parameters"]), number(totals["macs"]))
    print_table(columns, rows, title=graph.name, total=(*total, byte_count(totals["activation_bytes"]), ""))
    for kind in ("inputs", "outputs"):
        say(f"{kind}: " + ", ".join(f"{name} {type}" for name, type in report[kind].items()))
    say(
        f"parameters {byte_count(totals['parameter_bytes'])}; most activations alive at once "
        f"{byte_count(totals['peak_bytes'])}, before fusion and reuse in place"
    )
    _show_weights(report["weights"])
    if totals["sizes"]:
        taken = ", ".join(f"{name}={size}" for name, size in totals["sizes"].items())
        say(f"open sizes are taken as {taken}; --shape fixes them")


def _show_weights(weights: dict[str, Any]) -> None:
    """The zeros of layers that were pruned, and of all weights together."""
    pruned = [layer for layer in weights["layers"] if layer["pattern"] != "dense"]
    total = f"weights {number(weights['elements'])}, {weights['density']:.1%} not zero"
    if not pruned:
        say(f"{total}: none of them is pruned")
        return
    columns = ["layer", "weight", "density>", "pattern", "empty filters>", "dead inputs>", "dense>", "compressed>"]
    sizes = byte_count(weights["bytes"]), byte_count(weights["compressed_bytes"])
    all_of_them = ("all weights", f"{len(weights['layers'])} layers", f"{weights['density']:.1%}", "", "", "", *sizes)
    print_table(columns, map(_zeros_row, pruned), title="pruned weights", total=all_of_them)
    say(f"{total}: {sizes[0]} dense, {sizes[1]} without zeros")


def _zeros_row(layer: dict[str, Any]) -> Sequence[str]:
    return (
        layer["layer"],
        "x".join(map(str, layer["shape"])),
        f"{layer['density']:.1%}",
        layer["pattern"],
        str(layer["empty_filters"] or ""),
        str(layer["dead_inputs"] or ""),
        byte_count(layer["bytes"]),
        byte_count(layer["compressed_bytes"]),
    )


def _optional(show: Any, value: int | None) -> str:
    return "?" if value is None else show(value) if value else ""


def _artifact(model: ModelSource) -> Artifact | None:
    from cnnc.runtime.artifact import open_artifact

    path = model.artifact()
    return None if path is None else open_artifact(path)


def _artifact_facts(artifact: Artifact) -> dict[str, Any]:
    sizes: dict[str, int] = {}
    contents: dict[str, int] = {}
    for section in artifact.sections:
        sizes[section.kind] = sizes.get(section.kind, 0) + section.bytes
        contents[section.kind] = contents.get(section.kind, 0) + section.content_bytes
    target = artifact.target
    return {
        "target": None if target is None else {"cpu": target[0], "features": target[1], "vector_bytes": target[2]},
        "metadata": dict(artifact.metadata),
        "section_bytes": sizes,
        "content_bytes": contents,
        "steps": len(artifact.program.steps),
        "kernels": sorted({variant.kernel for variant in artifact.program.variants()}),
    }


def _show_artifact(facts: dict[str, Any]) -> None:
    target = facts["target"]
    say("target: " + ("any CPU" if target is None else f"{target['cpu']} {target['features']}".rstrip()))
    say("sections: " + ", ".join(_section_text(facts, kind) for kind in facts["section_bytes"]))
    say(f"program: {facts['steps']} steps; kernels {', '.join(facts['kernels'])}")
    say("metadata: " + ", ".join(f"{key} {value}" for key, value in facts["metadata"].items()))


def _section_text(facts: dict[str, Any], kind: str) -> str:
    stored, content = facts["section_bytes"][kind], facts["content_bytes"][kind]
    return f"{kind} {byte_count(stored)}" + (f" ({byte_count(content)} with zeros)" if content != stored else "")
