"""``cnnc compile``: a model becomes a ``.cnnc`` file, or is shown at a point on the way there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnc.cli.console import byte_count, note, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.kernel_code import CODE_FORMS, CodeRequest, emit_code
from cnnc.cli.model_options import (
    LEVEL,
    PRECISION,
    SHAPES,
    STRASSEN,
    TARGET,
    TUNING,
    WINOGRAD,
    CompileRequest,
    check_options,
    compile_model,
    compiles,
    load_graph,
)
from cnnc.cli.model_source import FileSource, ModelSource
from cnnc.cli.outputs import check_writable, replacing
from cnnc.cli.pass_output import check_stops, printer_after
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel

_HELP = """Compile MODEL for this CPU, or for a GPU.

The result is one file of plain data: packed weights, the program, and the optimised graph with its weights, from which
the file can be compiled for another CPU. `cnnc run` and `cnnc.runtime.InferenceSession` load it without the compiler.

\b
  cnnc compile model.onnx                              writes model.cnnc
  cnnc compile model.onnx -o small.cnnc --no-portable  about half as large, for CPUs of this kind only
  cnnc compile model.onnx --shape input=1,3,224,224    fixes an open size
  cnnc compile model.onnx --report report.html         also writes a page about passes, layers, memory and errors
  cnnc compile model.onnx --print-after fold-batch-norm --stop-after fold-batch-norm
  cnnc compile model.onnx --emit program               shows the kernels, compiles none
  cnnc compile model.onnx --emit asm --node conv1      assembly of the kernels that run a layer
  cnnc compile model.onnx --emit obj -o code           objects for objdump and nm, a file a kernel
  cnnc compile model.onnx --target cuda:sm_80          for GPUs of NVIDIA's architecture sm_80 and newer
  cnnc compile model.onnx --target cuda:sm_80 --emit sass-stats   registers, occupancy, loops of its kernels
"""


@click.command("compile", help=_HELP, short_help="Compile a model to a .cnnc file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The .cnnc file; beside the model if left out.")
@compiles(LEVEL, WINOGRAD, STRASSEN, PRECISION, TARGET, TUNING, SHAPES, check_options)
@click.option("--print-after", metavar="PASS|all", help="Print the graph after this pass, or after all that change it.")
@click.option(
    "--stop-after",
    metavar="PASS|STAGE",
    help="Stop after this pass, or at this stage, and print the graph; nothing is written.",
)
@click.option(
    "--emit",
    type=click.Choice(["ir", "program", *CODE_FORMS]),
    help="Print the final graph or the program instead of writing a file; or the code of its kernels: for a CPU llvm, "
    "asm or obj, for a GPU ptx, cubin, or what its machine code takes. With -o it goes into a folder, a file a kernel.",
)
@click.option(
    "--node", default="", metavar="TEXT", help="With --emit of code: of nodes whose name or op contains this."
)
@click.option("--kernel", default="", metavar="TEXT", help="With --emit of code: of kernels whose name contains this.")
@click.option("--no-portable", is_flag=True, help="Leave the graph and plain weights out of the file.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Also write an HTML page: what each pass did, kernels, times, bytes, memory, errors against onnxruntime. "
    "With the suffix .json, its facts alone.",
)
@click.option("--no-measure", is_flag=True, help="With --report: run nothing; times are predictions, errors left out.")
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    output: Path | None,
    print_after: str | None,
    stop_after: str | None,
    emit: str | None,
    node: str,
    kernel: str,
    no_portable: bool,
    report: Path | None,
    no_measure: bool,
) -> None:
    """See ``_HELP``."""
    model = request.source
    check_stops(print_after, stop_after)
    if report is None and no_measure:
        raise OptionError("it says what a report leaves out", where="--no-measure", hint="add --report report.html")
    if report is not None and (emit or stop_after):
        raise OptionError(
            "a report is of a whole compilation", where="--report", hint="leave out --emit and --stop-after"
        )
    if emit in CODE_FORMS and not stop_after:
        code = CodeRequest(emit, output, node, kernel)
        code.check(request.target)
        compiled = compile_model(request, evidence, printer_after(print_after), kernels=False)
        emit_code(compiled.lowered.program, compiled.target, code)
        return
    if node or kernel:
        option = "--node" if node else "--kernel"
        raise OptionError("it chooses kernels to show", where=option, hint=f"add --emit {'|'.join(CODE_FORMS)}")
    if output is not None and (emit or stop_after):
        raise OptionError("there is nothing to write", where="--output", hint="leave out --emit and --stop-after")
    if stop_after:
        _show_stopped(request, evidence, stop_after, print_after)
        return
    if emit:
        _show(request, evidence, emit, print_after)
        return
    path = output or model.output(".cnnc")
    model.check()
    check_writable(path, "--output")
    if report is not None:
        check_writable(report, "--report")
    if isinstance(model, FileSource) and path.exists() and path.samefile(model.path):
        raise OptionError(f"{path} is the model itself", where="--output", hint="give another name with -o")
    start = time.perf_counter()
    compiled = compile_model(request, evidence, printer_after(print_after))
    for name, reason in compiled.notes.undone:
        note(f"pass {name} was undone: {reason}")
    with working(f"writing {path.name}"), replacing(path) as temporary:
        compiled.save(temporary, portable=not no_portable)
    hosts = [decision for decision in compiled.lowered.decisions if decision.chosen == "host"]
    say(
        f"{path}: {len(compiled.lowered.program.steps)} steps, {len(hosts)} on the host, "
        f"{byte_count(path.stat().st_size)}, -O{request.level}, {time.perf_counter() - start:.1f} s"
    )
    if hosts:
        note("host ops (NumPy): " + ", ".join(sorted({decision.op for decision in hosts})) + "; see cnnc explain")
    if report is not None:
        _write_report(compiled, model, report, measure=not no_measure)


def _write_report(compiled: CompiledModel, model: ModelSource, path: Path, *, measure: bool) -> None:
    from cnnc.report import Settings, write_report

    with working(f"gathering {path.name}"):
        written = write_report(compiled, path, Settings(model.name, measure))
    summary = written.summary
    say(f"{path}: {byte_count(path.stat().st_size)}, {len(written.stages)} stages, {len(written.layers)} layers")
    for what, reason in (
        ("passes", summary.stages_reason),
        ("times", summary.seconds_reason),
        ("errors", summary.error_reason),
        ("memory plan", written.memory.reason),
    ):
        if reason and measure:
            note(f"{what} in the report: {reason}")


def _show_stopped(request: CompileRequest, evidence: Evidence, stop_after: str, print_after: str | None) -> None:
    graph = load_graph(request.source, request.shapes, evidence)
    from cnnc.compiler import optimise_graph
    from cnnc.ir import Notes
    from cnnc.ir.text import print_graph
    from cnnc.targets import parse_target

    optimise_graph(
        graph,
        request.options(),
        Notes(),
        target=parse_target(request.target),
        after_pass=printer_after(print_after),
        stop_after=stop_after,
    )
    if print_after not in ("all", stop_after):
        say(print_graph(graph).rstrip())


def _show(request: CompileRequest, evidence: Evidence, emit: str, print_after: str | None) -> None:
    compiled = compile_model(request, evidence, printer_after(print_after), kernels=False)
    if emit == "ir":
        from cnnc.ir.text import print_graph

        say(print_graph(compiled.graph).rstrip())
        return
    from cnnc.cli.program_text import program_lines

    for line in program_lines(compiled.lowered.program):
        say(line)
