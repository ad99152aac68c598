"""``cnnc models``: the networks that cnnc brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import print_json, print_table, say

if TYPE_CHECKING:
    from cnnc.models import Entry

_HELP = """List the classic networks that cnnc brings along, with standard input, parameters, and MACs for one input.
--json also tells the sources of these figures.

Every command takes them as models:NAME, with seeded random numbers. TEXT keeps the names that contain it.

\b
  cnnc models resnet
  cnnc inspect models:resnet18
  cnnc export models:mobilenet_v2 -o mobilenet_v2.onnx
"""


@click.command("models", help=_HELP, short_help="List the classic networks that cnnc brings along.")
@click.argument("text", default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(text: str, as_json: bool) -> None:
    """See ``_HELP``."""
    from cnnc import models

    chosen = [entry for entry in models.entries() if text.lower() in entry.name]
    if as_json:
        print_json([_facts(entry) for entry in chosen])
        return
    rows = [(entry.name, entry.title, _inputs(entry), f"{entry.parameters:,}", f"{entry.macs:,}") for entry in chosen]
    print_table(["name", "network", "input", "parameters>", "MACs>"], rows)
    if not chosen:
        say(f"no name contains {text!r}")


def _facts(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "inputs": {name: list(item.shape) for name, item in entry.inputs.items()},
        "parameters": entry.parameters,
        "macs": entry.macs,
        "source": entry.source,
    }


def _inputs(entry: Entry) -> str:
    return ", ".join("x".join(map(str, item.shape)) for item in entry.inputs.values())
