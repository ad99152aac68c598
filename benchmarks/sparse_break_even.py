"""Time against sparsity of layers alone: from which share of zeros on a sparse kernel is faster than the dense ones.

    python benchmarks/sparse_break_even.py --kinds gemm --threads 1
    python benchmarks/sparse_break_even.py --only 4096x1000 --rows build/break_even.json
    python benchmarks/sparse_break_even.py --rows build/break_even.json --none --table table.md --plot break-even.png

Random weights of each sparsity, zeros anywhere or in blocks of four neighbouring output channels (block4) or input
channels (block4-in) that are zero together. For every one the dense kernel that the cost model takes and all sparse
kernels take turns; times are medians, divided by the dense one's. With ``--rows`` what was measured is kept in a file,
and later runs add to it or replace it.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from cnnc.cli.outputs import write_text
from cnnc.compiler import optimise_graph
from cnnc.ir import Graph, Node, Notes
from cnnc.lower import Lowered, ProgramBuilder, lower
from cnnc.lower.cpu_rules import RULES
from cnnc.lower.layer import layer_key, single_layer
from cnnc.lower.rules import Offer, Offers, offers_for
from cnnc.lower.selection import Candidate, LayerTiming, Selection
from cnnc.ops import OPS
from cnnc.ops.conv import ConvAttrs
from cnnc.ops.linear import GemmAttrs
from cnnc.ops.quantized import QLinearGemmAttrs, QuantizedConvAttrs
from cnnc.options import Options
from cnnc.runtime.jit.target import host_target
from cnnc.tuning.stopwatch import KernelStopwatch
from cnnc.types import DType, TensorType

SPARSITIES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
PATTERNS = {"unstructured": (1, 1), "block4": (4, 1), "block4-in": (1, 4)}
"""Neighbouring output and input channels that are zero together, by pattern."""

Weights = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer to measure: ``graph(weights)`` has it as its last node of op ``op``; weights are [OC, IC, ...]."""

    name: str
    op: str
    weights: tuple[int, ...]
    graph: Callable[[Weights], Graph]


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of a layer at one sparsity: seconds of the dense kernel, and of each sparse one."""

    kind: str
    layer: str
    pattern: str
    threads: int
    sparsity: float
    dense: str
    dense_seconds: float
    sparse_seconds: Mapping[str, float]
    taken: str

    @property
    def key(self) -> tuple[str, str, str, int, float]:
        """What another measurement of the same replaces."""
        return self.kind, self.layer, self.pattern, self.threads, self.sparsity


def gemm_layer(inner: int, columns: int, rows: int) -> Layer:
    """A fully connected layer of floats."""

    def graph(weights: Weights) -> Graph:
        made = Graph(OPS, "gemm")
        x = made.add_input("x", TensorType((rows, inner), DType.F32))
        w = made.add_constant(weights.astype(np.float32), "w")
        made.set_outputs([made.add_node("gemm", [x, w], GemmAttrs(transB=1), names=["y"]).output], ["y"])
        return made

    return Layer(f"{inner}x{columns} batch {rows}", "gemm", (columns, inner), graph)


def signed_bytes(weights: Weights) -> Weights:
    """Normal weights as int8, of which the same are zero."""
    return np.where(weights == 0, 0, np.where(weights > 0, 1, -1) * np.minimum(1 + np.abs(weights) * 30, 127)).astype(
        np.int8
    )


def byte_conv_layer(channels: int, filters: int, size: int, window: int, stride: int = 1) -> Layer:
    """A square convolution of uint8 with int8 weights, padded to keep the size at stride 1."""

    def graph(weights: Weights) -> Graph:
        made = Graph(OPS, "conv")
        x = made.add_input("x", TensorType((1, channels, size, size), DType.U8))
        constants = {
            "x_scale": np.float32(0.01), "x_zero": np.uint8(0), "w": signed_bytes(weights),
            "w_scale": np.full(filters, 0.01, np.float32), "w_zero": np.zeros(filters, np.int8),
            "y_scale": np.float32(0.5), "y_zero": np.uint8(0), "bias": np.zeros(filters, np.int32),
        }  # fmt: skip
        operands = [x, *(made.add_constant(np.asarray(array), name) for name, array in constants.items())]
        attrs = QuantizedConvAttrs(pads=(window // 2,) * 4, strides=(stride, stride))
        made.set_outputs([made.add_node("q_linear_conv", operands, attrs, names=["y"]).output], ["y"])
        return made

    name = f"{window}x{window}/{stride} {channels} to {filters} at {size}x{size}"
    return Layer(name, "q_linear_conv", (filters, channels, window, window), graph)


def byte_gemm_layer(inner: int, columns: int, rows: int) -> Layer:
    """The same of uint8 with int8 weights."""

    def graph(weights: Weights) -> Graph:
        made = Graph(OPS, "gemm")
        x = made.add_input("x", TensorType((rows, inner), DType.U8))
        constants = {
            "x_scale": np.float32(0.01), "x_zero": np.uint8(0), "w": np.ascontiguousarray(signed_bytes(weights).T),
            "w_scale": np.full(columns, 0.01, np.float32), "w_zero": np.zeros(columns, np.int8),
            "bias": np.zeros(columns, np.int32), "y_scale": np.float32(0.5), "y_zero": np.uint8(128),
        }  # fmt: skip
        operands = [x, *(made.add_constant(np.asarray(array), name) for name, array in constants.items())]
        made.set_outputs([made.add_node("q_linear_gemm", operands, QLinearGemmAttrs(), names=["y"]).output], ["y"])
        return made

    return Layer(f"{inner}x{columns} batch {rows}", "q_linear_gemm", (columns, inner), graph)


def conv_layer(channels: int, filters: int, size: int, window: int = 1, stride: int = 1) -> Layer:
    """A square convolution of a square blocked map, with padding that keeps the size at stride 1."""

    def graph(weights: Weights) -> Graph:
        made = Graph(OPS, "conv")
        x = made.add_input("x", TensorType((1, 16, size, size), DType.F32))
        first = made.add_constant(np.ones((channels, 16, 1, 1), np.float32), "first")
        x = made.add_node("conv", [x, first], ConvAttrs()).output
        attrs = ConvAttrs(pads=(window // 2,) * 4, strides=(stride, stride))
        made.set_outputs([made.add_node("conv", [x, made.add_constant(weights, "w")], attrs).output], ["y"])
        return made

    return Layer(f"{channels}x{filters} at {size}", "conv", (filters, channels, window, window), graph)


_POINTWISE = ((32, 64, 112), (64, 256, 56), (128, 512, 28), (1024, 256, 14), (512, 2048, 7))
_WINDOWS = ((64, 64, 56), (128, 128, 28), (256, 256, 56), (256, 256, 14), (512, 512, 7))
_STRIDED = ((128, 128, 56), (256, 256, 28), (512, 512, 14))
_SMALL = ((4096, 1000, (1, 4, 16)), (2048, 1000, (1, 4, 16)), (512, 10, (1,)), (256, 120, (1,)))
_FLOAT_MATRICES = ((25088, 4096, (1,)), *_SMALL)
_BYTE_MATRICES = ((9216, 4096, (1,)), *_SMALL)
"""Inputs, outputs, and numbers of rows."""
_BYTE_MAPS = (
    *((256, 64, 56, 1, 1), (512, 128, 28, 1, 1), (256, 1024, 14, 1, 1), (2048, 512, 7, 1, 1)),
    *((64, 64, 56, 3, 1), (128, 128, 28, 3, 1), (512, 512, 7, 3, 1), (256, 256, 28, 3, 2)),
)
"""Input and output channels, size, window and stride."""
KINDS: Mapping[str, Sequence[Layer]] = {
    "conv 1x1": [conv_layer(*sizes) for sizes in _POINTWISE],
    "conv 3x3": [conv_layer(*sizes, window=3) for sizes in _WINDOWS],
    "conv 3x3 stride 2": [conv_layer(*sizes, window=3, stride=2) for sizes in _STRIDED],
    "gemm": [gemm_layer(inner, columns, rows) for inner, columns, batches in _FLOAT_MATRICES for rows in batches],
    "gemm int8": [
        byte_gemm_layer(inner, columns, rows) for inner, columns, batches in _BYTE_MATRICES for rows in batches
    ],
    "conv int8": [byte_conv_layer(*sizes) for sizes in _BYTE_MAPS],
}


def sparse_weights(shape: tuple[int, ...], sparsity: float, block: tuple[int, int]) -> Weights:
    """Normal weights [OC, IC, ...]; ``block`` neighbouring output and input channels are zero together."""
    rng = np.random.default_rng(1)
    kept = rng.random((-(-shape[0] // block[0]), -(-shape[1] // block[1]), *shape[2:]), np.float32) >= sparsity
    kept = np.repeat(np.repeat(kept, block[0], axis=0), block[1], axis=1)[: shape[0], : shape[1]]
    return rng.standard_normal(shape, np.float32) * kept


def is_sparse(kernel: str) -> bool:
    """Whether a kernel's time depends on the zeros."""
    return "sparse" in kernel


def measure(kind: str, layer: Layer, pattern: str, sparsity: float, threads: int, seconds: float) -> Row:
    """Time the layer's kernels in turns."""
    target = host_target()
    graph = layer.graph(sparse_weights(layer.weights, sparsity, PATTERNS[pattern]))
    optimise_graph(graph, Options(), Notes(), target=target)
    alone = single_layer([node for node in graph.nodes if node.op == layer.op][-1])
    [node] = alone.nodes
    offers = offers_for(node, RULES[layer.op], ProgramBuilder(alone, target))
    dense = Offers(tuple(offer for offer in offers.tiled if not is_sparse(offer.rule.name)), None, ()).best
    ways = [dense, *(offer for offer in offers.tiled if is_sparse(offer.rule.name))]
    programs = [_program(alone, node, offer) for offer in ways]
    stopwatch = KernelStopwatch(target, threads=threads, seconds=seconds)
    stopwatch.compile(variant for program in programs for variant in program.program.variants())
    rounds = stopwatch.rounds(programs)
    medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
    sparse = dict(zip((offer.rule.name for offer in ways[1:]), medians[1:], strict=True))
    return Row(kind, layer.name, pattern, threads, sparsity, dense.rule.name, medians[0], sparse, offers.best.rule.name)


def _program(layer: Graph, node: Node, offer: Offer) -> Lowered:
    way = Candidate(offer.rule.name, offer.tiling, offer.cost)
    target = host_target()
    return lower(layer, target, Selection({layer_key(node, target): LayerTiming((way,), (0.0,), 0)}))


def load_rows(path: Path | None) -> list[Row]:
    """The rows of a file; none where there is no such file yet."""
    if path is None or not path.exists():
        return []
    return [Row(**item) for item in json.loads(path.read_text(encoding="utf-8"))]


def merged(rows: Sequence[Row], more: Sequence[Row]) -> list[Row]:
    """Rows with those of ``more`` added or in their place."""
    return list({row.key: row for row in (*rows, *more)}.values())


def break_even(rows: Sequence[Row]) -> float | None:
    """The sparsity from which on a sparse kernel is faster than the dense one, None where none is.

    Between two points that were measured it lies on a straight line.
    """
    found = None
    previous: tuple[float, float] | None = None
    for row in sorted(rows, key=lambda row: row.sparsity):
        share = min([*row.sparse_seconds.values(), float("inf")]) / row.dense_seconds
        if share >= 1:
            found = None
        elif found is None:
            found = row.sparsity
            if previous is not None and np.isfinite(previous[1]):
                before, above = previous
                found = before + (row.sparsity - before) * (above - 1) / (above - share)
        previous = row.sparsity, share
    return found


def table(rows: Sequence[Row]) -> str:
    """Markdown: for each layer and pattern the break-even and the time taken at each sparsity, over the dense time."""
    sparsities = sorted({row.sparsity for row in rows})
    head = ["layer", "threads", "pattern", "dense, us", "break-even", *(f"{sparsity:.0%}" for sparsity in sparsities)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (kind, layer, pattern, threads), group in _series(rows):
        edge = break_even(group)
        shares = {row.sparsity: _taken_share(row) for row in group}
        cells = [f"{kind} {layer}", str(threads), pattern]
        cells.append(f"{statistics.median(row.dense_seconds for row in group) * 1e6:.0f}")
        cells.append("-" if edge is None else f"{edge:.0%}")
        cells += [shares.get(sparsity, "") for sparsity in sparsities]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _taken_share(row: Row) -> str:
    """Time of the kernel that is taken over the dense one's; its last word is the kernel's."""
    if not is_sparse(row.taken):
        return "dense"
    return f"{row.sparse_seconds[row.taken] / row.dense_seconds:.2f} {row.taken.rsplit('_', 1)[-1].rsplit('.', 1)[-1]}"


def _series(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, str, str, int], list[Row]]]:
    groups: dict[tuple[str, str, str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.sparsity):
        groups.setdefault((row.kind, row.layer, row.pattern, row.threads), []).append(row)
    order = {name: place for place, name in enumerate(f"{kind} {at.name}" for kind in KINDS for at in KINDS[kind])}
    yield from sorted(groups.items(), key=lambda item: (order.get(f"{item[0][0]} {item[0][1]}", 0), item[0][3]))


def plot(rows: Sequence[Row], path: Path) -> None:
    """One panel a layer: time over the dense one's against sparsity, one line a sparse kernel; filled where taken."""
    try:
        import matplotlib
    except ImportError as error:
        raise click.ClickException("the plot needs matplotlib: pip install cnnc[bench]") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    series = list(_series(rows))
    panels = list(dict.fromkeys((kind, layer, threads) for (kind, layer, _, threads), _ in series))
    wide = min(4, len(panels))
    tall = -(-len(panels) // wide)
    figure, axes = pyplot.subplots(tall, wide, figsize=(3.4 * wide, 2.6 * tall), squeeze=False, sharex=True)
    for axis, panel in zip(axes.flat, panels):
        for (kind, layer, pattern, threads), group in series:
            if (kind, layer, threads) == panel:
                _plot_lines(axis, pattern, group)
        axis.axhline(1.0, color="black", linewidth=0.8)
        axis.set_ylim(0, 2)
        axis.set_title(f"{panel[0]} {panel[1]}, threads {panel[2]}", fontsize=8)
        axis.legend(fontsize=6)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("share of zeros")
    figure.supylabel("time / dense time")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _plot_lines(axis: Any, pattern: str, rows: Sequence[Row]) -> None:
    for kernel in dict.fromkeys(name for row in rows for name in row.sparse_seconds):
        points = [row for row in rows if kernel in row.sparse_seconds]
        shares = [row.sparse_seconds[kernel] / row.dense_seconds for row in points]
        style = {"block4": "--", "block4-in": ":"}.get(pattern, "-")
        label = f"{kernel.rsplit('_', 1)[-1].rsplit('.', 1)[-1]}, {pattern}"
        [line] = axis.plot([row.sparsity for row in points], shares, style, linewidth=1, label=label)
        taken = [(row.sparsity, share) for row, share in zip(points, shares, strict=True) if row.taken == kernel]
        axis.plot(*zip(*taken), "o", markersize=3, color=line.get_color()) if taken else None


@click.command(help=__doc__)
@click.option("--kinds", default=",".join(KINDS), show_default=True, help="Kinds of layers, with commas between.")
@click.option("--only", default="", help="Only layers whose name contains this.")
@click.option("--none", is_flag=True, help="Measure nothing: table and plot of the rows that are kept.")
@click.option("--threads", default="1", show_default=True, help="Thread counts, with commas between.")
@click.option("--patterns", default=",".join(PATTERNS), show_default=True)
@click.option("--sparsities", default=",".join(map(str, SPARSITIES)), show_default=True)
@click.option("--seconds", default=0.1, show_default=True, help="Time for each measurement, at least.")
@click.option("--rows", "kept", type=click.Path(path_type=Path), help="Keep measured rows in this file.")
@click.option("--table", "table_file", type=click.Path(path_type=Path), help="Write the table to this file.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Write the plot to this file.")
def main(
    kinds: str,
    only: str,
    none: bool,
    threads: str,
    patterns: str,
    sparsities: str,
    seconds: float,
    kept: Path | None,
    table_file: Path | None,
    plot_file: Path | None,
) -> None:
    """Measure, print the table, and write what was asked for."""
    rows = load_rows(kept)
    wanted = [(kind, layer) for kind in kinds.split(",") for layer in KINDS[kind] if only in layer.name]
    for kind, layer in [] if none else wanted:
        for count in map(int, threads.split(",")):
            more = []
            for pattern, sparsity in itertools.product(patterns.split(","), map(float, sparsities.split(","))):
                more.append(measure(kind, layer, pattern, sparsity, count, seconds))
                rows = merged(rows, more)
                if kept is not None:
                    write_text(kept, json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
            print(table(more), flush=True)
    if none:
        print(table(rows))
    if table_file is not None:
        write_text(table_file, table(rows))
    if plot_file is not None:
        plot(rows, plot_file)


if __name__ == "__main__":
    main()
