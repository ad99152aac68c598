"""``cnnc verify``: cnnc against onnxruntime on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import note, print_json, print_table, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import input_options
from cnnc.cli.model_options import (
    EMULATE,
    LEVEL,
    PRECISION,
    SHAPES,
    STRASSEN,
    TARGET,
    WINOGRAD,
    CompileRequest,
    compile_model,
    compiles,
    load_graph,
)
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.accuracy import OutputCheck
    from cnnc.cli.images import ImageSettings
    from cnnc.cli.inputs import Array
    from cnnc.compiler import CompiledModel

_HELP = """Run MODEL in cnnc and in onnxruntime on the same inputs and compare the outputs.

onnxruntime runs with its graph optimisations disabled. The error of an output is its largest absolute difference over
the standard deviation of the reference; it may be 1e-4 at -O0 and -O1, 1e-3 at -O2 and -O3. Integers must be equal.
If an output is further from onnxruntime, a float64 evaluation of the graph decides between the two, and the limit grows
with onnxruntime's own error; --exact asks it at once. With --precision bf16, tf32 or f16 it also grows with the error
that a float64 evaluation makes when it rounds the factors of all products to this type. The exit code is 1 if an output
is off.

\b
  cnnc verify model.onnx                            seeded random inputs
  cnnc verify model.onnx --input x=photo.png -O1
  cnnc verify model.onnx --layers                   finds the first layer that drifts
  cnnc verify model.onnx --exact                    float64 decides
"""


@click.command("verify", help=_HELP, short_help="Compare with onnxruntime, layer by layer on request.")
@input_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random inputs.")
@click.option("--layers", is_flag=True, help="Compare intermediate tensors too, in the order of the model.")
@click.option("--exact", is_flag=True, help="Judge all outputs against a float64 evaluation of the graph.")
@click.option("--no-onnxruntime", is_flag=True, help="With --exact: compare with float64 alone.")
@click.option("--limit", type=click.FloatRange(min=0, min_open=True), help="Allow this error instead of the level's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@compiles(LEVEL, WINOGRAD, STRASSEN, PRECISION, TARGET, EMULATE, SHAPES)
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    inputs: tuple[str, ...],
    images: ImageSettings,
    seed: int,
    layers: bool,
    exact: bool,
    no_onnxruntime: bool,
    limit: float | None,
    as_json: bool,
) -> int:
    """See ``_HELP``."""
    from cnnc.cli.inputs import fill_randomly, read_feeds

    model = request.source
    if no_onnxruntime and not exact:
        raise OptionError("there is nothing to compare with", where="--no-onnxruntime", hint="add --exact")
    if no_onnxruntime and layers:
        raise OptionError("layers are compared with onnxruntime's", where="--layers", hint="leave one of both out")
    model.check_onnx()
    if not no_onnxruntime:
        from cnnc.cli.onnxruntime_reference import import_onnxruntime

        import_onnxruntime()
    compiled = compile_model(request, evidence)
    ports = compiled.inputs
    feeds = fill_randomly(read_feeds(inputs, ports, images), ports, seed)
    with nullcontext(Path()) if no_onnxruntime else model.onnx_file() as onnx:
        comparison = _Comparison(request, onnx, compiled, feeds, limit)
        rows = comparison.layers(evidence, exact) if layers else comparison.outputs(evidence, exact, not no_onnxruntime)
    bad = [row for row in rows if row.problem]
    if as_json:
        print_json({"ok": not bad, "seed": seed, "level": request.level, "checks": [_as_json(row) for row in rows]})
        return 1 if bad else 0
    table = [_cells(row) for row in rows]
    first = "tensor" if layers else "output"
    print_table([first, "max error>", "mean error>", "max difference>", "limit>", ""], table)
    given = "given inputs" if inputs else f"random inputs, seed {seed}"
    if not bad:
        say(f"{model.name} agrees at -O{request.level} on {given}")
        return 0
    what = f"the first to drift is {bad[0].name!r}" if layers else f"{len(bad)} of {len(rows)} outputs are off"
    say(f"{model.name} does not agree at -O{request.level} on {given}: {what}")
    if not layers:
        note("next step: --layers finds the first layer that drifts")
    return 1


class _Comparison:
    """One model on one set of inputs."""

    def __init__(
        self,
        request: CompileRequest,
        onnx: Path,
        compiled: CompiledModel,
        feeds: Mapping[str, Array],
        limit: float | None,
    ) -> None:
        from cnnc.cli.accuracy import QUANTIZED_OPS

        self.request = request
        self.onnx = onnx
        self.compiled = compiled
        self.feeds = feeds
        self.limit = limit
        self.is_quantized = any(node.op in QUANTIZED_OPS for node in compiled.graph.nodes)

    def outputs(self, evidence: Evidence, exact: bool, with_onnxruntime: bool) -> list[OutputCheck]:
        """One check an output."""
        from cnnc.cli.onnxruntime_reference import reference_results

        with working("running cnnc"):
            got = self.compiled.run(self.feeds)
        reference: Mapping[str, Array] = {}
        if with_onnxruntime:
            with working("running onnxruntime"):
                reference = reference_results(self.onnx, self.feeds)
        return self._judged(got, reference, evidence, exact)

    def layers(self, evidence: Evidence, exact: bool) -> list[OutputCheck]:
        """One check for every tensor that exists in both, in the model's order."""
        from cnnc.cli.onnxruntime_reference import node_outputs, reference_results

        source = load_graph(self.request.source, self.request.shapes, evidence)
        kept = {value.name for node in self.compiled.graph.nodes for value in node.outputs}
        names = [name for name in node_outputs(self.onnx) if name in kept and source.has_value(name)]
        hidden = tuple(name for name in names if name not in source.output_names)
        evidence.graph = self.compiled.graph
        with working("compiling with all tensors as outputs"):
            compiled = self.compiled.with_outputs(hidden)
        with working("running cnnc"):
            got = compiled.run(self.feeds)
        with working("running onnxruntime"):
            reference = reference_results(self.onnx, self.feeds, hidden)
        order = [*names, *(name for name in got if name not in names)]
        return self._judged({name: got[name] for name in order}, reference, evidence, exact, hidden)

    def _judged(
        self,
        got: Mapping[str, Array],
        reference: Mapping[str, Array],
        evidence: Evidence,
        exact: bool,
        hidden: tuple[str, ...] = (),
    ) -> list[OutputCheck]:
        """Checks against onnxruntime; where one fails, or ``exact`` asks for it, against float64."""
        from cnnc.cli.accuracy import errors_of

        own = dict.fromkeys(got, 0.0)
        if not exact:
            checks = self._checks(got, reference, own)
            # Integer arithmetic has no float64 truth, and a limit of the user's own is for this comparison.
            if self.is_quantized or self.limit or not any(check.problem for check in checks):
                return checks
        truth = self._float64(evidence, hidden)
        for name, array in reference.items():
            if name in truth and array.shape == truth[name].shape:
                own[name] = errors_of(array, truth[name])[0]
        if self.request.precision != "f32":
            for name, array in self._float64(evidence, hidden, self.request.precision).items():
                if array.shape == truth[name].shape:
                    own[name] = max(own[name], errors_of(array, truth[name])[0])
        return self._checks(got, truth, own)

    def _float64(self, evidence: Evidence, hidden: tuple[str, ...], precision: str = "f32") -> dict[str, Array]:
        """The truth, or what of it is left when factors are rounded to ``precision``."""
        from cnnc import interp

        graph = load_graph(self.request.source, self.request.shapes, evidence)
        with working("evaluating in float64" if precision == "f32" else f"evaluating with factors of {precision}"):
            return interp.run(graph, self.feeds, float64=True, precision=precision, capture=hidden)

    def _checks(
        self, got: Mapping[str, Array], reference: Mapping[str, Array], own: Mapping[str, float]
    ) -> list[OutputCheck]:
        from cnnc.cli.accuracy import check_output, limits_by_output

        limits = limits_by_output(self.request.level, own)
        return [
            check_output(name, array, reference[name], self.limit or limits[name], quantized=self.is_quantized)
            for name, array in got.items()
        ]


def _cells(row: OutputCheck) -> tuple[str, ...]:
    numbers = map(_number, (row.max_error, row.mean_error, row.max_difference))
    return row.name, *numbers, f"{row.limit:.1e}", row.problem or "ok"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2e}"


def _as_json(row: OutputCheck) -> dict[str, Any]:
    import math

    def finite(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    return {
        "name": row.name,
        "ok": not row.problem,
        "problem": row.problem,
        "max_error": finite(row.max_error),
        "mean_error": finite(row.mean_error),
        "max_difference": finite(row.max_difference),
        "limit": row.limit,
    }
