"""The data of a report page: frozen facts, dumped as JSON into the page. Sizes in bytes, times in seconds, rates a
second.

Everything that occurs again and again is kept once: ``values``, ``nodes``, ``graphs`` and ``refused_kernels`` are
interned by content, and all else refers to them by index. A field that is not known is None, and a field
``..._reason`` says why.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any

from cnnc.explanation import KernelCandidate, RefusedKernel

FORMAT = 1
"""Version of the page's data."""


@dataclass(frozen=True, slots=True)
class ValueFact:
    """A tensor. ``type`` as the text form of the IR writes it, such as ``f32[N, 64, 56, 56]@c16``."""

    name: str
    type: str
    is_constant: bool


@dataclass(frozen=True, slots=True)
class NodeFact:
    """A node as it stands in one or more graphs.

    Attributes:
        key: name of its first output, which a rewritten node takes over: the same place in every graph.
        name: the first origin, or ``key`` where there is none.
        origins: names of the nodes of the source model that it computes.
        group: path of modules that it belongs to, such as ``layer1/0``, by the name of the first origin; "" for none.
        attributes: as the text form of the IR writes them, without defaults.
        inputs: indices into ``Report.values``; None for an operand that is left out.
        outputs: indices into ``Report.values``.
    """

    key: str
    op: str
    name: str
    origins: tuple[str, ...]
    group: str
    attributes: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GraphFact:
    """A graph: indices into ``Report.nodes`` in topological order, and into ``Report.values``."""

    nodes: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rewrites:
    """How often a rule fired in a pass, and the origins of the nodes that it rewrote, once for each time."""

    rule: str
    origins: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class StageFact:
    """A position of the slider: the graph as it was imported, or after a pass.

    Attributes:
        name: of the pass; "imported" for the first.
        options: of the pass, such as ``block=16``.
        why: why the pass stands at this place of the pipeline.
        seconds: the pass took.
        graph: index into ``Report.graphs``; the same as of the stage before where nothing changed.
        removed, added: indices into ``Report.nodes`` of keys that only the graph before, or only this one has.
        changed: pairs (before, after) of indices into ``Report.nodes`` with one key.
        rewrites: by rule.
        undone: why the pass was rolled back; "" if it was not.
    """

    name: str
    options: str
    why: str
    seconds: float
    graph: int
    removed: tuple[int, ...]
    added: tuple[int, ...]
    changed: tuple[tuple[int, int], ...]
    rewrites: tuple[Rewrites, ...]
    undone: str


@dataclass(frozen=True, slots=True)
class RefusedRewrite:
    """A rewrite that nearly fits and was not done: index of the stage, rule, name of the node and one sentence."""

    stage: int
    rule: str
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class NumericError:
    """How far a tensor of the program is from onnxruntime's.

    Attributes:
        tensor: name of the tensor in the ONNX model.
        max_error, mean_error: in standard deviations of the reference.
        max_difference: largest absolute difference.
        reason: why there are no numbers; "" where there are.
    """

    tensor: str
    max_error: float | None
    mean_error: float | None
    max_difference: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class IntegerFact:
    """Quantization of a layer that computes on integers, or converts to or from them.

    Attributes:
        input_scale, output_scale: of the first operand and of the result; None where these are floats.
        input_zero_point, output_zero_point: the integers that stand for 0.
        weight_scales: smallest and largest scale of the output channels; None without constant weights.
        weight_bits: of a weight; None without.
        sqnr_db: the power of the result over that of its rounding to steps of ``output_scale``, in decibels.
    """

    input_scale: float | None
    input_zero_point: int | None
    output_scale: float | None
    output_zero_point: int | None
    weight_scales: tuple[float, float] | None
    weight_bits: int | None
    sqnr_db: float | None


@dataclass(frozen=True, slots=True)
class SparsityFact:
    """The zeros of a layer's weight.

    Attributes:
        density: share of non-zeros, 0 to 1.
        pattern: dense, channel, block4, N:M such as 2:4, or unstructured.
        break_even: the largest density at which a kernel that leaves zeros out would be taken; 0 where it never is,
            None of a dense weight.
        dense_kernel: what a dense weight would get; "" of a dense weight.
    """

    density: float
    pattern: str
    break_even: float | None
    dense_kernel: str


@dataclass(frozen=True, slots=True)
class LayerFact:
    """A step of the program.

    Attributes:
        step: its number.
        node: index into ``Report.nodes``; None for a copy to an output.
        kernel: the lowering rule that made it; "host" for NumPy.
        variants: the compiled kernels that it calls, with their options.
        seconds: the median of the profiled runs.
        predicted_seconds: by the cost model; None for kernels without tilings.
        macs: multiply-accumulates of the op, however the kernel computes it.
        read_bytes, written_bytes: that its kernels must move at least, weights left out; None for host steps.
        weight_bytes: of constants that it reads.
        roof_seconds: what the machine's rates allow at best: the longer of computing and moving.
        bound: which one is longer, ``compute`` or ``memory``; "" without a roof.
        rivals: kernels with tilings that take the node, the one that is used among them.
        refused: indices into ``Report.refused_kernels``.
        numeric, integer, sparsity: None where they do not apply.
    """

    step: int
    node: int | None
    name: str
    op: str
    origins: tuple[str, ...]
    group: str
    output_type: str
    kernel: str
    variants: tuple[str, ...]
    seconds: float | None
    predicted_seconds: float | None
    macs: int | None
    read_bytes: int | None
    written_bytes: int | None
    weight_bytes: int | None
    roof_seconds: float | None
    bound: str
    rivals: tuple[KernelCandidate, ...]
    refused: tuple[int, ...]
    numeric: NumericError | None
    integer: IntegerFact | None
    sparsity: SparsityFact | None


@dataclass(frozen=True, slots=True)
class ArenaBuffer:
    """``bytes`` of the arena from ``offset`` on, held during steps ``first .. last``."""

    name: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MemoryFact:
    """The memory plan at the report's sizes.

    Attributes:
        arena_bytes: of all activations, with reuse.
        unshared_bytes: of all buffers, one after another.
        live_bytes: most bytes that are live during one step: no plan needs less.
        constant_bytes: of packed weights and tables.
        scratch_bytes: of one worker.
        buffers: of the arena.
        reason: why there is no plan, or what it leaves out; "" for nothing.
    """

    arena_bytes: int | None
    unshared_bytes: int | None
    live_bytes: int | None
    constant_bytes: int
    scratch_bytes: int | None
    buffers: tuple[ArenaBuffer, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class MachineFact:
    """What the rates are of.

    Attributes:
        name: of the CPU or GPU.
        origin: ``measured`` for this report, ``calibrated`` by ``cnnc calibrate``, or ``usual``: rates of a usual
            machine, or of the device that stands for a GPU architecture.
        threads: of the profiled runs and of the rates.
        flops: float32 operations, two a multiply-add.
        bandwidths: by level of the memory (``L2``, ``L3``, ``DRAM``), the fastest first.
        cache_bytes: by level.
    """

    name: str
    origin: str
    threads: int
    flops: float
    bandwidths: tuple[tuple[str, float], ...]
    cache_bytes: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PortFact:
    """An input or output of the model."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class ModelFact:
    """What was compiled, and how.

    Attributes:
        sizes: what was taken for open sizes, by symbol.
        options: names and values that differ from the compiler's defaults.
    """

    name: str
    inputs: tuple[PortFact, ...]
    outputs: tuple[PortFact, ...]
    sizes: tuple[tuple[str, int], ...]
    target: str
    level: int
    options: tuple[tuple[str, str], ...]
    version: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals over the layers.

    Attributes:
        run_seconds: of a run of the program; None if nothing was measured.
        seconds: of all steps, each run on its own.
        seconds_reason: why nothing was measured; "" if it was.
        predicted_seconds: of the layers that have a prediction.
        error_reason: why no tensor was compared with onnxruntime; "" if some were.
        stages_reason: why the passes are not shown; "" if they are.
    """

    nodes_before: int
    nodes_after: int
    steps: int
    host_steps: int
    run_seconds: float | None
    seconds: float | None
    seconds_reason: str
    predicted_seconds: float | None
    macs: int
    bytes: int
    weight_bytes: int
    max_error: float | None
    error_reason: str
    stages_reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that a page shows. ``format`` is ``FORMAT``."""

    format: int
    model: ModelFact
    machine: MachineFact
    summary: Summary
    values: tuple[ValueFact, ...]
    nodes: tuple[NodeFact, ...]
    graphs: tuple[GraphFact, ...]
    stages: tuple[StageFact, ...]
    refused_rewrites: tuple[RefusedRewrite, ...]
    refused_kernels: tuple[RefusedKernel, ...]
    layers: tuple[LayerFact, ...]
    memory: MemoryFact

    def to_json(self) -> str:
        """One line of JSON. Numbers that are not finite become null."""
        return json.dumps(_plain(self), allow_nan=False, separators=(",", ":"))


def _plain(item: Any) -> Any:
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    if isinstance(item, tuple):
        return [_plain(each) for each in item]
    if hasattr(item, "__dataclass_fields__"):
        return {field.name: _plain(getattr(item, field.name)) for field in fields(item)}
    return item
