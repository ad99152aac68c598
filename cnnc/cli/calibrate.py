"""``cnnc calibrate``: measures this machine for the cost model that selects kernels."""

from __future__ import annotations

import dataclasses

import click

from cnnc.cli.console import byte_count, print_json, print_table, say

_HELP = """Measure this machine, in about a second: multiply-adds in registers, bytes from each level of the memory.

The cost model that chooses between kernels goes by these rates from then on, for this user. Where nothing is
calibrated, all builds go by the rates of a usual machine, so that they can be repeated anywhere.

\b
  cnnc calibrate
  cnnc calibrate --forget      go by the usual machine again
"""


@click.command("calibrate", help=_HELP, short_help="Measure this machine for the cost model.")
@click.option("--forget", is_flag=True, help="Go by the usual machine again; nothing is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(forget: bool, as_json: bool) -> None:
    """See ``_HELP``."""
    from cnnc.runtime.cpu.machine import USUAL_MACHINE
    from cnnc.tuning import calibration

    if forget:
        calibration.forget()
        say("builds go by the usual machine")
        return
    machine = dataclasses.asdict(calibration.calibrate())
    usual = dataclasses.asdict(USUAL_MACHINE)
    if as_json:
        print_json({"machine": machine, "usual": usual})
        return
    rows = [(name, _text(name, machine[name]), _text(name, usual[name])) for name in machine]
    print_table(["one core", "here>", "usual machine>"], rows, title="what the cost model goes by")


def _text(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return byte_count(value)
    unit = "GFLOP/s" if name.endswith("flops") else "GB/s"
    return f"{value / 1e9:.1f} {unit}"
