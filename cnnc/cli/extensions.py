"""``cnnc extensions``: what installed packages add to cnnc, and whether it can be used."""

from __future__ import annotations

import dataclasses

import click

from cnnc.cli.console import print_json, print_table, say

_HELP = """List what installed packages add to cnnc: ops, passes, kernels, backends and more, by entry points.

Each is loaded once, to see whether it can be used; the exit code is 1 if one cannot. With CNNC_EXTENSIONS=0 cnnc does
without all of them.

\b
  cnnc extensions           what there is
  cnnc extensions --json
"""


@click.command("extensions", help=_HELP, short_help="List what installed packages add.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """See ``_HELP``."""
    from cnnc.extending import POINTS, extensions
    from cnnc.extension_points import SWITCH, are_on

    found = extensions()
    broken = [item for item in found if item.problem]
    if as_json:
        print_json({"enabled": are_on(), "extensions": [dataclasses.asdict(item) for item in found]})
        return 1 if broken else 0
    if not are_on():
        say(f"extensions are switched off by {SWITCH}=0")
        return 0
    if not found:
        say(f"no installed package adds anything to the {len(POINTS)} extension points of cnnc")
        return 0
    rows = [
        (item.group, item.name, f"{item.package} {item.version}", item.place, item.problem or "ok") for item in found
    ]
    print_table(["group", "name", "package", "from", ""], rows, title="extensions")
    return 1 if broken else 0
