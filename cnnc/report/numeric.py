"""How far each layer is from onnxruntime: the very program runs step by step, and results are compared where they lie.

A result of the program is a tensor of the ONNX model where a value of its name stands in the graph after every pass: a
rewritten node takes over the name of what it replaces, with the same elements. So fused layers are compared at the end
of what was fused. onnxruntime runs with its graph optimisations disabled, but for models with quantized layers: with
them it computes these on integers, as this compiler does, and results can be equal.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cnnc.cli.accuracy import QUANTIZED_OPS, errors_of
from cnnc.cli.onnxruntime_reference import import_onnxruntime, node_outputs, reference_results
from cnnc.compiled_model import CompiledModel
from cnnc.dims import evaluate, symbols
from cnnc.exporting import export_onnx
from cnnc.ir import Array, Node
from cnnc.model_reading import Model
from cnnc.report.facts import NumericError
from cnnc.report.program_tensors import WatchedProgram

MOST_BYTES = 256 << 20
"""Of onnxruntime's tensors that are kept at a time; what is beyond takes further runs of both."""

_SAME = "only the memory layout changes here"
_MADE = "no tensor of the ONNX model: a pass made this node"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A result to compare: after which step, its name in the graph and in the ONNX model, and its size."""

    step: int
    value: str
    tensor: str
    bytes: int


def numeric_errors(
    compiled: CompiledModel, kept: frozenset[str], sizes: Mapping[str, int], feeds: Mapping[str, Array]
) -> dict[int, NumericError]:
    """By the number of the step that completes a node's result.

    Models that are no ONNX files are exported first.

    Args:
        kept: names of values that stand in every graph from the import on.
        sizes: of the symbols of input shapes, which ``feeds`` have.

    Raises:
        OptionError: onnxruntime is not installed, or refuses the model or the inputs.
        UserError: the source model is not known, or cannot be exported.
    """
    import_onnxruntime()
    with _onnx_file(compiled.source("onnxruntime")) as path:
        known = kept & set(node_outputs(path))
        found, wanted = _sorted_out(compiled, known, sizes)
        program = WatchedProgram(compiled, feeds)
        is_quantized = any(node.op in QUANTIZED_OPS for node in compiled.graph.nodes)
        for group in _groups(wanted):
            names = [each.tensor for each in group]
            reference = reference_results(path, feeds, names, threads=1, optimised=is_quantized)
            found |= _compared(program, group, reference)
    return found


def _sorted_out(
    compiled: CompiledModel, known: frozenset[str], sizes: Mapping[str, int]
) -> tuple[dict[int, NumericError], list[_Wanted]]:
    """What cannot be compared, with the reason; and what can."""
    graph = compiled.graph
    nodes = {node.output.name: node for node in graph.nodes if node.outputs}
    outputs = {value.name: name for name, value in zip(graph.output_names, graph.outputs, strict=True)}
    refused: dict[int, NumericError] = {}
    wanted: list[_Wanted] = []
    for decision in compiled.lowered.decisions:
        if not decision.steps:
            continue
        step, node = decision.steps[-1], nodes[decision.value]
        tensor = node.output.name if node.output.name in known else outputs.get(node.output.name, "")
        reason = _refusal(node, tensor, sizes)
        if reason:
            refused[step] = NumericError(tensor, None, None, None, reason)
        else:
            wanted.append(_Wanted(step, node.output.name, tensor, evaluate(node.output.type.bytes, sizes)))
    return refused, wanted


def _refusal(node: Node, tensor: str, sizes: Mapping[str, int]) -> str:
    if not tensor:
        return _SAME if node.op == "convert_layout" else _MADE
    if any(not symbols(dim) <= sizes.keys() for dim in node.output.type.shape):
        return "its size depends on values"
    return ""


def _groups(wanted: Sequence[_Wanted]) -> Iterator[list[_Wanted]]:
    """Runs of results of at most ``MOST_BYTES``, one result at least."""
    group: list[_Wanted] = []
    for each in wanted:
        if group and sum(item.bytes for item in group) + each.bytes > MOST_BYTES:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _compared(
    program: WatchedProgram, group: Sequence[_Wanted], reference: Mapping[str, Array]
) -> dict[int, NumericError]:
    """Run the program and compare each result of the group as soon as it is complete."""
    tensors = {each.step: each.tensor for each in group}
    found: dict[int, NumericError] = {}

    def see(step: int, got: Array) -> None:
        found[step] = _error(tensors[step], got, reference[tensors[step]])

    program.run({each.step: each.value for each in group}, see)
    return found


def _error(name: str, got: Array, reference: Array) -> NumericError:
    if got.shape != reference.shape:
        reason = f"it has shape {list(got.shape)}, in the ONNX model {list(reference.shape)}"
        return NumericError(name, None, None, None, reason)
    errors = errors_of(got, reference)
    if not math.isfinite(errors[0]):
        return NumericError(name, None, None, None, "elements are NaN or infinite in one and not in the other")
    return NumericError(name, *errors, "")


@contextmanager
def _onnx_file(source: Model) -> Iterator[Path]:
    """The model's own ONNX file, or one that lasts as long as the context."""
    if isinstance(source, (str, Path)) and Path(source).suffix == ".onnx":
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="cnnc-report-") as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(source, path)
        yield path
