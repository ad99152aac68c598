"""``cnnc passes``: every pass in a line, and the pipelines with the reason for each place."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

import click

from cnnc.cli.console import print_json, print_table, say
from cnnc.cli.pass_output import known_pass

if TYPE_CHECKING:
    from cnnc.passes import Pass

_HELP = """List the passes, and the pipelines that -O0 to -O3 stand for.

\b
  cnnc passes                    all passes, then the pipeline
  cnnc passes fold-batch-norm    what this pass does, when it does not, and its options
"""


@click.command("passes", help=_HELP, short_help="List passes and pipelines.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """See ``_HELP``."""
    from cnnc.passes import ALL_PASSES, pipeline_rows

    if name:
        known_pass(name, "NAME")
        _describe(ALL_PASSES[name])
        return
    rows = [(key, cls.requires, cls.ensures, cls.numerics, _first_line(cls)) for key, cls in ALL_PASSES.items()]
    if as_json:
        keys = ("name", "requires", "ensures", "numerics", "what")
        pipeline = [{"level": level, "pass": text, "why": why} for level, text, why in pipeline_rows()]
        print_json({"passes": [dict(zip(keys, row, strict=True)) for row in rows], "pipeline": pipeline})
        return
    print_table(["pass", "needs stage", "reaches", "numerics", "what"], rows, title="passes")
    print_table(
        ["#>", "from", "pass", "why here"],
        [(index, f"-O{level}", text, why) for index, (level, text, why) in enumerate(pipeline_rows(), 1)],
        title="pipeline: -O2 and -O3 run all rows, a lower level the rows from it; -O3 also measures kernels",
    )
    say("BLOCK is the number of float32 lanes of this CPU's vectors.")


def _describe(cls: type[Pass]) -> None:
    import dataclasses

    say(inspect.cleandoc(sys.modules[cls.__module__].__doc__ or ""))
    say(f"\nneeds stage {cls.requires}" + (f", reaches {cls.ensures}" if cls.ensures else ""))
    for field in dataclasses.fields(cls):
        say(f"option {field.name}={field.default}")


def _first_line(cls: type[Pass]) -> str:
    text = (sys.modules[cls.__module__].__doc__ or "").strip().splitlines()[0]
    return text.partition(": ")[2] or text
