"""``cnnc bisect``: the pass, the rewrite or the layer's kernel that makes a model wrong or slow."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import note, print_json, say
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import input_options
from cnnc.cli.model_options import (
    LEVEL,
    PRECISION,
    SHAPES,
    STRASSEN,
    WINOGRAD,
    CompileRequest,
    compiles,
    input_ports,
    load_graph,
)
from cnnc.cli.model_source import ModelSource
from cnnc.cli.outputs import check_writable
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.bisection import Finding, GuiltyKernel, GuiltyPass, Step
    from cnnc.cli.images import ImageSettings
    from cnnc.cli.inputs import Array
    from cnnc.ir import Graph

_HELP = """Find what makes MODEL wrong, slow, or a command fail: the pass, its single rewrite, or the kernel of a layer.

Results are judged against the interpreter of the imported graph in float64. Passes are searched first, on the
interpreter, then kernels, with NumPy functions in place of the others'. Each search halves what is left. The exit code
is 1 if something is at fault.

\b
  cnnc bisect model.onnx                                on seeded random inputs
  cnnc bisect model.onnx --input photo.png --limit 1e-2
  cnnc bisect model.onnx --reference onnxruntime        the importer is a suspect too
  cnnc bisect model.onnx --slow                         measured in turns with a fast and a slow state
  cnnc bisect model.onnx --command 'python check.py {model}'   as git bisect run: 0 good, 125 skip, 1 to 127 bad
  cnnc bisect model.onnx -o small.ir                    writes the smallest graph that shows the fault
"""


@click.command("bisect", help=_HELP, short_help="Find the pass, rewrite or kernel that is at fault.")
@input_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random inputs.")
@click.option(
    "--reference",
    default="interpreter",
    show_default=True,
    metavar="interpreter|onnxruntime|FILE.npz",
    help="Who gives the right results: an archive holds an array for each output.",
)
@click.option("--limit", type=click.FloatRange(min=0, min_open=True), help="Allow this error instead of the level's.")
@click.option("--slow", is_flag=True, help="Find what costs time: more than 3 % with a confidence of 99 %.")
@click.option(
    "--every-pass", is_flag=True, help="With --slow: measure behind every pass; finds what others' gains hide."
)
@click.option("--threads", type=click.IntRange(min=1), help="With --slow: most threads of a run.")
@click.option(
    "--command", "command_line", metavar="WORDS", help="A command that fails on a bad model, with {model} in it."
)
@click.option("-p", "--passes", "pipeline", metavar="PASS,...", help="Passes to run instead of the level's.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the smallest graph that shows the fault here."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@compiles(LEVEL, WINOGRAD, STRASSEN, PRECISION, SHAPES)
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    inputs: tuple[str, ...],
    images: ImageSettings,
    seed: int,
    reference: str,
    limit: float | None,
    slow: bool,
    every_pass: bool,
    threads: int | None,
    command_line: str | None,
    pipeline: str | None,
    output: Path | None,
    as_json: bool,
) -> int:
    """See ``_HELP``."""
    from cnnc import bisection
    from cnnc.ir import clone_graph
    from cnnc.passes import parse_pipeline

    model = request.source
    _check(slow, every_pass, threads, command_line, bool(inputs) or limit is not None, reference, output)
    passes = None if pipeline is None else parse_pipeline(pipeline)
    graph = load_graph(model, request.shapes, evidence)
    evidence.graph = clone_graph(graph)
    count = 0

    def tell(step: Step) -> None:
        nonlocal count
        count += 1
        note(f"{count:3}  {step}")

    options = request.options()
    if slow:
        stopwatch = _stopwatch(threads)
        finding = bisection.bisect_time(
            graph, every_pass=every_pass, stopwatch=stopwatch, options=options, passes=passes, on_step=tell
        )
    elif command_line is not None:
        finding = bisection.bisect_command(graph, command_line, options=options, passes=passes, on_step=tell)
    else:
        feeds = _feeds(graph, inputs, images, seed)
        known = _reference(reference, model, feeds)
        finding = bisection.bisect_results(
            graph, feeds, reference=known, limit=limit, options=options, passes=passes, on_step=tell
        )
    if output is not None and finding.graph is not None:
        from cnnc.ir import save_graph

        save_graph(finding.graph, output)
    if as_json:
        print_json(_as_json(finding, request))
    else:
        _show(finding, request, output)
    return 1 if finding.is_wrong else 0


def _check(
    slow: bool,
    every_pass: bool,
    threads: int | None,
    command_line: str | None,
    has_results: bool,
    reference: str,
    output: Path | None,
) -> None:
    """Refuse combinations that make no sense before a model is read.

    Raises:
        OptionError: which ones.
    """
    if slow and command_line is not None:
        raise OptionError("both say what is bad", where="--slow and --command", hint="leave one out")
    if (slow or command_line is not None) and (has_results or reference != "interpreter"):
        hint = "leave out --input, --limit and --reference"
        raise OptionError("results are not looked at", where="--slow" if slow else "--command", hint=hint)
    if not slow and (every_pass or threads is not None):
        where = "--every-pass" if every_pass else "--threads"
        raise OptionError("it is for measurements", where=where, hint="add --slow")
    if output is not None:
        if output.suffix != ".ir":
            raise OptionError(f"{output} does not end in .ir", where="--output", hint="the text form ends in .ir")
        check_writable(output, "--output")


def _stopwatch(threads: int | None) -> Any:
    from cnnc.runtime.cpu_limits import available_threads
    from cnnc.runtime.jit.target import host_target
    from cnnc.tuning import KernelStopwatch

    most = available_threads()
    if threads is not None and threads > most:
        raise OptionError(f"{threads} is more than {most}, the CPUs of this process", where="--threads")
    return KernelStopwatch(host_target(), threads=threads)


def _feeds(graph: Graph, inputs: tuple[str, ...], images: ImageSettings, seed: int) -> dict[str, Array]:
    from cnnc.cli.inputs import fill_randomly, read_feeds

    ports = input_ports(graph)
    return fill_randomly(read_feeds(inputs, ports, images), ports, seed)


def _reference(reference: str, model: ModelSource, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
    """Right results by output name; None for those of the interpreter.

    Raises:
        OptionError: there is no such reference.
    """
    if reference == "interpreter":
        return None
    if reference == "onnxruntime":
        from cnnc.cli.onnxruntime_reference import reference_results

        with model.onnx_file() as path:
            return reference_results(path, feeds)
    path = Path(reference)
    if path.suffix != ".npz" or not path.is_file():
        hint = "write interpreter, onnxruntime, or the path of an .npz file"
        raise OptionError(f"there is no reference {reference!r}", where="--reference", hint=hint)
    from cnnc.cli.inputs import read_archive

    return read_archive(path)


def _show(finding: Finding, request: CompileRequest, output: Path | None) -> None:
    say(f"{request.source.name}: {finding.what}")
    if finding.guilty_pass is not None:
        _show_pass(finding.guilty_pass)
    if finding.guilty_kernel is not None:
        _show_kernel(finding.guilty_kernel)
    for text in commands(finding, request, output):
        say(f"  {text}")
    if output is not None and finding.graph is not None:
        shown = "shows the fault by itself" if finding.shows_fault else "was not seen to show the fault by itself"
        say(f"wrote {output}: {len(finding.graph)} nodes; it {shown}")
    say(f"{len(finding.steps)} states judged, {finding.compiles} programs compiled")


def _show_pass(guilty: GuiltyPass) -> None:
    if not guilty.is_exact:
        say("states before it could not be judged: the fault may lie a little earlier")
    if guilty.rule != guilty.name:
        say(f"rule {guilty.rule}")
    for title, lines in (("before", guilty.before), ("after", guilty.after)):
        say(f"{title}:")
        for line in lines:
            say(f"  {line}")


def _show_kernel(guilty: GuiltyKernel) -> None:
    say(f"  {guilty.text}")
    for rule, judgement in guilty.others:
        why = f" ({judgement.why})" if judgement.why else ""
        say(f"with {rule} in its place: {judgement.verdict.value}{why}")
    if guilty.options:
        say(f"good with: {', '.join(guilty.options)}")


def commands(finding: Finding, request: CompileRequest, output: Path | None) -> list[str]:
    """Command lines that reproduce what was found."""
    name = request.source.argument
    methods = (("--winograd", request.winograd, "auto"), ("--strassen", request.strassen, "auto"))
    given = [*methods, ("--precision", request.precision, "f32")]
    options = "".join(f" {option} {value}" for option, value, default in given if value != default)
    options += "".join(f" --shape {shape}" for shape in request.shapes)
    compile_it = f"cnnc compile {name} -O{request.level}{options}"
    found = []
    guilty = finding.guilty_pass
    if guilty is not None and guilty.limit:
        found.append(f"{compile_it} --rewrite-limit {guilty.limit - 1} -o good.cnnc")
        found.append(f"{compile_it} --rewrite-limit {guilty.limit} -o bad.cnnc")
    elif guilty is not None:
        found.append(f"{compile_it} --print-after {guilty.name} --stop-after {guilty.name}")
    if guilty is not None and output is not None and finding.shows_fault:
        found.append(f"cnnc opt {output} -p {guilty.name} --check-passes")
    kernel = finding.guilty_kernel
    if kernel is not None:
        found.append(f"cnnc explain {name} -O{request.level}{options} --node {shlex.quote(kernel.node)}")
        found += [f"cnnc verify {name} --exact {option}" for option in kernel.options]
        if output is not None and finding.shows_fault:
            found.append(f"cnnc verify {output} --exact --no-onnxruntime")
    return found


def _as_json(finding: Finding, request: CompileRequest) -> dict[str, Any]:
    import dataclasses

    kernel = None
    if finding.guilty_kernel is not None:
        kernel = {
            **dataclasses.asdict(finding.guilty_kernel),
            "others": [
                {"kernel": rule, "verdict": judgement.verdict.value, "why": judgement.why}
                for rule, judgement in finding.guilty_kernel.others
            ],
        }
    return {
        "kind": finding.kind,
        "what": finding.what,
        "compiles": finding.compiles,
        "steps": [
            {"what": step.what, "verdict": step.judgement.verdict.value, "why": step.judgement.why}
            for step in finding.steps
        ],
        "pass": None if finding.guilty_pass is None else dataclasses.asdict(finding.guilty_pass),
        "kernel": kernel,
        "commands": commands(finding, request, None),
    }
