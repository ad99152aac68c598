"""The command group: finds commands by name, loads them on use, and turns every failure into an exit code."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

import click

from cnnc import __version__
from cnnc.cli.failures import Evidence, guarded

COMMANDS = (
    *("compile", "run", "verify", "bench", "tune", "calibrate", "quantize", "prune", "sensitivity"),
    *("inspect", "draw", "view", "explain", "doctor", "bisect", "emulate", "export", "opt"),
    *("passes", "models", "extensions"),
)
"""Names of commands in the order of ``--help``; each is the object ``command`` of the module of its name."""

_HELP = """Compile convolutional networks and run them on this CPU.

\b
  cnnc compile model.onnx -o model.cnnc         compile once
  cnnc run model.cnnc --input photo.png --top 5 run it on an image
  cnnc verify model.onnx                        compare with onnxruntime
  cnnc bench model.onnx --against onnxruntime   measure it against another engine
  cnnc tune model.onnx -o tuning.json           measure kernels for -O3
  cnnc calibrate                                measure this machine for the cost model
  cnnc inspect model.onnx                       what is in the model
  cnnc draw model.onnx                          its graph as a picture
  cnnc view model.onnx --input photo.png        draw kernels and activations
  cnnc explain model.onnx                       what fused, which kernels run, and why
  cnnc doctor model.onnx                        what is wrong with it, what it costs, what to do
  cnnc bisect model.onnx                        which rewrite or kernel makes it wrong
  cnnc emulate model.onnx --node conv1          what its GPU kernel costs, without a GPU
  cnnc export model.onnx -O1 -o small.onnx      write it as ONNX again, optimised
  cnnc quantize model.onnx --calib data.npz -o int8.onnx   make it one of 8-bit integers
  cnnc prune model.onnx --sparsity 0.9 -o pruned.onnx   set its smallest weights to 0
  cnnc sensitivity model.onnx --eval labelled.npz   what pruning each layer costs
  cnnc models                                   classic networks that cnnc brings along
  cnnc extensions                               what installed packages add to cnnc

MODEL is an ONNX file, a .cnnc file, a model in a Python file (net.py:model), or one of the list (models:resnet18).

Exit codes: 0 done, 1 the answer is no (verify found a difference), 2 something in the command line, the model or the
inputs is wrong, 3 a bug of cnnc, 130 interrupted. `cnnc COMMAND --help` explains a command by examples.
"""


class CommandGroup(click.Group):
    """Loads a command's module when the command is asked for, and guards its run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"cnnc.cli.{cmd_name}").command
        return command

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command line and exit with its code; click's own entry, guarded."""
        names = ("args", "prog_name")
        options |= dict(zip(names, args, strict=False))
        given = list(sys.argv[1:] if options.get("args") is None else options["args"])
        evidence = Evidence(tuple(given))
        options |= {"args": given, "prog_name": options.get("prog_name") or "cnnc", "standalone_mode": False}
        run = functools.partial(super().main, obj=evidence, **options)
        sys.exit(guarded(run, evidence))


@click.command(
    cls=CommandGroup,
    help=_HELP,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="cnnc")
def main() -> None:
    """The command group; its help is ``_HELP``."""
