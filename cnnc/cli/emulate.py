"""``cnnc emulate``: what GPU kernels of a model are charged with, and how long a device would take for them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import counting, print_json
from cnnc.cli.emulate_output import show_calls, show_profile
from cnnc.cli.failures import Evidence
from cnnc.cli.model_options import LEVEL, PRECISION, SHAPES, WINOGRAD, CompileRequest, compile_model, compiles
from cnnc.errors import InputError, OptionError

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel
    from cnnc.emulation import CallProfile, Prediction, Profiler
    from cnnc.runtime.cuda.device_facts import DeviceFacts

_HELP = """Run GPU kernels of MODEL on the emulator, some blocks of each, and say what a device would be charged with:
instructions by class, the hottest loop, memory transactions against the least possible, conflicts in shared memory,
branches that part warps. From these counts it predicts a time for an NVIDIA A100, H100 or T4. Needs no GPU; a
prediction is no measurement.

\b
  cnnc emulate model.onnx --node conv1              one node, everything known of it
  cnnc emulate model.onnx --all --device h100       all kernel calls, one a line
  cnnc emulate model.onnx --node conv1 --json
"""


@click.command("emulate", help=_HELP, short_help="Count what GPU kernels cost, without a GPU; predict times.")
@compiles(LEVEL, WINOGRAD, PRECISION, SHAPES)
@click.option("--node", "wanted", metavar="TEXT", help="The node whose name contains this.")
@click.option("--all", "all_nodes", is_flag=True, help="All nodes, one kernel call a line.")
@click.option(
    "--target", default="cuda:sm_80", show_default=True, metavar="cuda:sm_80", help="The architecture to compile for."
)
@click.option("--device", metavar="a100|h100|t4", help="The device to predict for; one of the architecture by default.")
@click.option("--blocks", type=click.IntRange(min=1), default=6, show_default=True, help="Blocks of each call to run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    wanted: str | None,
    all_nodes: bool,
    device: str | None,
    blocks: int,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    from cnnc.emulation import Profiler
    from cnnc.explanation.open_sizes import open_sizes
    from cnnc.runtime.cuda.device_facts import device_named, facts_of
    from cnnc.runtime.cuda.target import is_cuda
    from cnnc.runtime.cuda.toolkit import require_compiler

    if (wanted is None) is not all_nodes:
        raise OptionError("what shall be emulated?", where="emulate", hint="give --node TEXT or --all")
    compiled = compile_model(request, evidence, kernels=False)
    if not is_cuda(compiled.target):
        raise OptionError("programs of the CPU are not emulated", where="--target", hint="write cuda:sm_80, for one")
    require_compiler()
    facts = facts_of(compiled.target) if device is None else device_named(device)
    profiler = Profiler(compiled.executable, compiled.target, open_sizes(compiled.graph), blocks=blocks)
    found = _profiles(compiled, profiler, facts, wanted)
    if as_json:
        print_json([_as_data(*each) for each in found])
    elif all_nodes:
        show_calls(found, facts)
    else:
        for each in found:
            show_profile(*each, facts)


def _profiles(
    compiled: CompiledModel, profiler: Profiler, facts: DeviceFacts, wanted: str | None
) -> list[tuple[str, CallProfile, Prediction]]:
    """Node, counts and prediction of every kernel call that is wanted."""
    from cnnc.emulation import predict

    steps = compiled.lowered.program.steps
    chosen = set(range(len(steps)) if wanted is None else _steps_named(compiled, wanted))
    instructions = [each for each in profiler.instructions() if each.step in chosen]
    if not instructions:
        raise InputError(
            f"no kernel call of {wanted or 'the model'!r} has a size that is known before it runs",
            where="emulate",
            hint="name another node; cnnc explain lists them",
        )
    found = []
    with counting("emulating") as advance:
        for number, instruction in enumerate(instructions):
            advance(number, len(instructions))
            profile = profiler.profile(instruction)
            prediction = predict(profile, facts, arena_bytes=profiler.arena_bytes)
            found.append((steps[instruction.step].label, profile, prediction))
    return found


def _steps_named(compiled: CompiledModel, wanted: str) -> Sequence[int]:
    """Numbers of the kernel steps of a node, by its name or a part of it.

    Raises:
        InputError: there is no such node, or it runs on the host.
    """
    from cnnc.runtime.program import HostStep

    steps = compiled.lowered.program.steps
    named = {
        number: [part.strip() for part in (*step.label.split(","), step.label)] for number, step in enumerate(steps)
    }
    exact = [number for number, names in named.items() if wanted in names]
    found = exact or [number for number, names in named.items() if any(wanted in name for name in names)]
    if not found:
        known = sorted({name for names in named.values() for name in names})
        close = difflib.get_close_matches(wanted, known, 3, 0.4)
        hint = f"did you mean {' or '.join(close)}?" if close else "cnnc explain lists the nodes"
        raise InputError(f"no step of the program is called {wanted!r}", where="--node", hint=hint)
    kernels = [number for number in found if not isinstance(steps[number], HostStep)]
    if not kernels:
        raise InputError(
            f"{steps[found[0]].op} {wanted!r} runs on the host: it has no GPU kernel",
            where="--node",
            hint="cnnc explain says why",
        )
    return kernels


def _as_data(node: str, profile: CallProfile, prediction: Prediction) -> dict[str, Any]:
    counters, loop = profile.counters, profile.loop
    counts = {
        field.name: getattr(counters, field.name)
        for field in dataclasses.fields(counters)
        if field.name not in ("issued", "by_index")
    }
    return {
        "node": node,
        "kernel": str(profile.variant),
        "blocks": profile.blocks,
        "threads": profile.threads,
        "sampled_blocks": profile.sampled,
        "issued": dict(counters.issued),
        **counts,
        "bank_conflicts": counters.conflicts,
        "loop": None if loop is None else {"multiplying_share": loop.multiplying_share, **dataclasses.asdict(loop)},
        "machine_loop": dataclasses.asdict(profile.machine_loop),
        "resources": dataclasses.asdict(profile.resources),
        "constant_bytes": profile.constant_bytes,
        "tensor_bytes": profile.tensor_bytes,
        "prediction": {"bound": prediction.bound, **dataclasses.asdict(prediction)},
    }
