"""Options that every command which compiles a model has, and compiling with progress."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cnnc.cli.console import counting, working
from cnnc.cli.failures import Evidence
from cnnc.cli.model_source import ModelSource, ModelType
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel
    from cnnc.ir import Graph
    from cnnc.options import Options
    from cnnc.passes import AfterPass, Pass, PassReport
    from cnnc.runtime.cuda.device import Device
    from cnnc.runtime.program import Port, Program

Command = TypeVar("Command", bound=Callable[..., Any])

MODEL = click.argument("model", type=ModelType())

LEVEL = click.option(
    "-O",
    "level",
    type=click.IntRange(0, 3),
    default=2,
    show_default=True,
    help="Optimisation level. 0: as imported; 1: rewrites that keep results to float rounding; 2: everything; "
    "3: adds measured kernel selection.",
)

TUNING = click.option(
    "--tuning",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="For -O3: the times that `cnnc tune` wrote, instead of measuring.",
)

WINOGRAD = click.option(
    "--winograd",
    type=click.Choice(["auto", "off", "f2", "f4"]),
    default="auto",
    show_default=True,
    help="From -O2 on, convolve by Winograd's method: where it is faster and accurate enough, nowhere, or wherever it "
    "can be used, with tiles of 2 or of 4 outputs along each axis.",
)

STRASSEN = click.option(
    "--strassen",
    type=click.Choice(["auto", "off", "on"]),
    default="auto",
    show_default=True,
    help="From -O2 on, compute 1x1 convolutions by Strassen's method: where it is faster and accurate enough, nowhere, "
    "or wherever it can be used.",
)

PRECISION = click.option(
    "--precision",
    type=click.Choice(["f32", "tf32", "f16", "bf16"]),
    default="f32",
    show_default=True,
    help="bf16, at -O2 on a CPU with AVX512-BF16: convolutions multiply bfloat16 where that is faster, matrix products "
    "read weights of bfloat16. On a GPU, tf32, f16 or bf16: both multiply this type on tensor cores. Sums and tensors "
    "stay float32.",
)

TARGET = click.option(
    "--target",
    default="cpu",
    show_default=True,
    metavar="cpu|cuda|cuda:sm_80|NAME",
    help="What to compile for: this CPU, this machine's GPU, a GPU architecture, which needs no GPU, or the backend of "
    "another package.",
)

EMULATE = click.option(
    "--emulate",
    is_flag=True,
    help="Run the program of a GPU on the emulator, which needs no GPU and checks every access; slow.",
)

SHAPES = click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=1,3,H,W",
    help="Shape of an input, instead of the model's own. A number fixes a size, a word leaves it open.",
)

CHECKS = (
    click.option(
        "--check-passes", is_flag=True, help="Compare the results before and after every pass on the interpreter; slow."
    ),
    click.option(
        "--on-bad-pass",
        type=click.Choice(["stop", "skip"]),
        default="stop",
        show_default=True,
        help="What to do with a pass that fails or changes results: stop with a report, or undo it and go on.",
    ),
    click.option(
        "--rewrite-limit",
        type=click.IntRange(min=0),
        help="Stop rewriting after so many rewrites: halve the number to find the rewrite that broke a model.",
    ),
)


def check_options(command: Command) -> Command:
    """Adds ``--check-passes``, ``--on-bad-pass`` and ``--rewrite-limit``."""
    for option in reversed(CHECKS):
        command = option(command)
    return command


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int | str, ...]]:
    """Shapes by input name from ``NAME=1,3,H,W`` texts.

    Raises:
        OptionError: a text is not of that form.
    """
    shapes: dict[str, tuple[int | str, ...]] = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        parts = [part.strip() for part in sizes.split(",")]
        if not equals or not name or not all(re.fullmatch(r"\d+|[A-Za-z_]\w*", part) for part in parts):
            raise OptionError(f"cannot read {text!r}", where="--shape", hint="write NAME=1,3,224,224 or NAME=N,3,H,W")
        if name in shapes:
            raise OptionError(f"input {name!r} is given twice", where="--shape", hint="give each input one shape")
        shapes[name] = tuple(int(part) if part.isdigit() else part for part in parts)
    return shapes


def load_graph(source: ModelSource, shapes: Sequence[str], evidence: Evidence) -> Graph:
    """The graph of a model.

    Raises:
        UserError: what is wrong with the model or ``--shape``.
    """
    source.check()
    wanted = parse_shapes(shapes)
    if source.suffix == ".ir" and wanted:
        raise OptionError("a text graph has its shapes written in it", where="--shape", hint="edit the .ir file")
    from cnnc.compiler import read_graph

    with working(f"reading {source.name}"):
        graph = read_graph(source.load(), wanted)
    evidence.graph = graph
    return graph


def input_ports(graph: Graph) -> list[Port]:
    """A graph's inputs as data for them is checked."""
    from cnnc.runtime.program import Port

    return [Port(value.name, index, value.type.shape, value.type.dtype) for index, value in enumerate(graph.inputs)]


def compiles(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """MODEL and options of compiling, which the command gets as one ``request``, a ``CompileRequest``.

    @compiles(LEVEL, TARGET, SHAPES)
    @click.pass_obj
    def command(evidence: Evidence, request: CompileRequest) -> None: ...
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def collected(*args: Any, **given: Any) -> Any:
            names = [field.name for field in dataclasses.fields(CompileRequest) if field.name in given]
            request = CompileRequest(given.pop("model"), **{name: given.pop(name) for name in names})
            return command(*args, request=request, **given)

        decorated: Any = collected
        for option in reversed((MODEL, *options)):
            decorated = option(decorated)
        return cast(Command, decorated)

    return decorate


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What the command line asks of the compiler."""

    source: ModelSource
    level: int = 2
    shapes: Sequence[str] = ()
    check_passes: bool = False
    on_bad_pass: str = "stop"
    rewrite_limit: int | None = None
    tuning: Path | None = None
    winograd: str = "auto"
    strassen: str = "auto"
    precision: str = "f32"
    target: str = "cpu"
    emulate: bool = False

    def options(self) -> Options:
        """The compiler's own form."""
        from cnnc.options import Options
        from cnnc.tuning import read_tuning

        shapes, tuning = parse_shapes(self.shapes), None if self.tuning is None else read_tuning(self.tuning)
        checks = self.check_passes, self.on_bad_pass, self.rewrite_limit
        methods = self.winograd, self.strassen, self.precision
        return Options(self.level, shapes, *checks, tuning, *methods, self.target)

    def device(self) -> Device | None:
        """The emulated device, if it is asked for.

        Raises:
            OptionError: the target is no architecture of a GPU.
        """
        if not self.emulate:
            return None
        from cnnc.emulation import EmulatedDevice
        from cnnc.runtime.cuda.target import DEFAULT_ARCHITECTURE

        kind, _, architecture = self.target.partition(":")
        if kind != "cuda":
            raise OptionError("programs of the CPU are not emulated", where="--emulate", hint="add --target cuda:sm_80")
        return EmulatedDevice(architecture or DEFAULT_ARCHITECTURE)


def compile_model(
    request: CompileRequest, evidence: Evidence, after_pass: AfterPass | None = None, *, kernels: bool = True
) -> CompiledModel:
    """Import and compile with progress, machine code of the kernels included unless told otherwise.

    Raises:
        UserError: see ``cnnc.compile``.
    """
    device = request.device()
    graph = load_graph(request.source, request.shapes, evidence)
    from cnnc.compiler import compile_graph
    from cnnc.runtime.cuda.target import is_cuda

    with working(f"optimising {request.source.name}") as tell:

        def report(item: Pass, changed: Graph, outcome: PassReport) -> None:
            tell(f"optimising {request.source.name}: {item.name} done")
            if after_pass is not None:
                after_pass(item, changed, outcome)

        def measuring(what: str, done: int, total: int) -> None:
            tell(f"measuring {request.source.name}: {done} of {total} {what}")

        origin = graph if request.source.suffix == ".ir" else request.source.load()
        model = compile_graph(graph, request.options(), model=origin, after_pass=report, measuring=measuring)
    evidence.graph = model.graph
    model.device = device
    if kernels and model.has_program and not is_cuda(model.target):
        build_kernels(model.lowered.program)
    return model


def build_kernels(program: Program) -> None:
    """Compile the kernels that the cache lacks, in as many processes as ``compile_jobs`` says."""
    from cnnc.runtime.cpu_limits import compile_jobs
    from cnnc.runtime.jit.parallel_compile import compile_many

    with counting("compiling kernels") as count:
        compile_many(program.variants(), compile_jobs(), progress=count)
