"""The memory planner: lifetimes as intervals, colours, sizes, what is optimal, and what a small arena is worth.

python examples/lesson_06_memory_planner/lesson.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import networkx as nx
import numpy as np

import cnnc
from cnnc import dsl
from cnnc.compiler import Model
from cnnc.dims import symbols
from cnnc.models.catalog import model as catalog_model
from cnnc.runtime.arena_layout import aligned, best_fit, one_after_another
from cnnc.runtime.call import RunSettings
from cnnc.runtime.executor import Executor
from cnnc.runtime.plan import Place
from cnnc.runtime.planner import plan
from cnnc.runtime.program import KernelStep, Program
from cnnc.tuning.turns import time_in_turns

MODELS = Path(__file__).resolve().parent.parent / "models"
LINE = 64
"""Bytes to which offsets are aligned: a cache line."""

Planner = Callable[[Sequence[Place]], list[int]]
"""Offsets in bytes for buffers with sizes and lifetimes."""


def program_of(model: Model) -> Program:
    """The program of a model, in which no step writes over what it reads: a buffer for each tensor."""
    program = cnnc.compile(model).executable.program
    steps = (replace(step, inplace=()) if isinstance(step, KernelStep) else step for step in program.steps)
    return replace(program, steps=tuple(steps))


def buffers_of(program: Program) -> list[Place]:
    """The arena buffers for a batch of 1: bytes, first and last step. Offsets are not set."""
    sizes = {name: 1 for port in program.inputs for dim in port.shape for name in symbols(dim)}
    return [replace(place, offset=0, bytes=aligned(place.bytes)) for place in plan(program, sizes).places]


def small_network(name: str) -> Program:
    """A network of the catalogue. Only sizes matter here, so all its weights are one number, which takes no time."""
    return program_of(catalog_model(name, init=dsl.constant(0.01)))


def interval_graph(buffers: Sequence[Place]) -> nx.Graph:
    """A vertex for each buffer, an edge where two are alive at one step."""
    graph = nx.Graph()
    for index, buffer in enumerate(buffers):
        graph.add_node(index, bytes=buffer.bytes)
    for a, first in enumerate(buffers):
        for b in range(a):
            if first.first <= buffers[b].last and buffers[b].first <= first.last:
                graph.add_edge(a, b)
    return graph


def load(buffers: Sequence[Place]) -> int:
    """The most bytes that are alive at one step: no arena is smaller."""
    steps = {buffer.first for buffer in buffers}
    return max(sum(b.bytes for b in buffers if b.first <= step <= b.last) for step in steps)


def slots(buffers: Sequence[Place]) -> list[int]:
    """As registers are allocated: a colour for each buffer, and for each colour a slot as large as its largest."""
    graph = interval_graph(buffers)
    order = sorted(graph, key=lambda index: buffers[index].first)
    colours = nx.greedy_color(graph, strategy=lambda *_: order)
    sizes = [0] * (max(colours.values()) + 1)
    for index, colour in colours.items():
        sizes[colour] = max(sizes[colour], buffers[index].bytes)
    starts = np.cumsum([0, *sizes])
    return [int(starts[colours[index]]) for index in range(len(buffers))]


def first_fit(buffers: Sequence[Place], order: Sequence[int]) -> list[int]:
    """Each buffer, in the given order, at the lowest offset that none of those before it occupies in its lifetime."""
    offsets: dict[int, int] = {}
    for index in order:
        offsets[index] = lowest_gap(buffers, index, offsets)
    return [offsets[index] for index in range(len(buffers))]


def lowest_gap(buffers: Sequence[Place], index: int, offsets: dict[int, int]) -> int:
    """The lowest offset at which a buffer fits among those that have offsets."""
    new = buffers[index]
    met = [other for other in offsets if buffers[other].first <= new.last and new.first <= buffers[other].last]
    offset = 0
    for other in sorted(met, key=offsets.__getitem__):
        if offsets[other] - offset >= new.bytes:
            break
        offset = max(offset, offsets[other] + buffers[other].bytes)
    return offset


def by_time(buffers: Sequence[Place]) -> list[int]:
    """First fit in the order in which buffers are born, as an allocator at run time would do."""
    return first_fit(buffers, sorted(range(len(buffers)), key=lambda index: buffers[index].first))


def by_size(buffers: Sequence[Place]) -> list[int]:
    """First fit, the largest first."""
    return first_fit(buffers, sorted(range(len(buffers)), key=lambda index: -buffers[index].bytes))


def cnnc_best_fit(buffers: Sequence[Place]) -> list[int]:
    """What cnnc does."""
    placed, _ = best_fit([replace(buffer, buffer=index) for index, buffer in enumerate(buffers)])
    return [place.offset for place in placed]


def optimal(buffers: Sequence[Place]) -> list[int]:
    """The smallest arena, by search: some order makes first fit optimal, so all orders are tried.

    An order is dropped where it cannot beat the best one; the search ends where the bound is reached.
    """
    bound = load(buffers)
    best = min((by_size(buffers), by_time(buffers)), key=partial(arena_bytes, buffers))

    def extend(offsets: dict[int, int], top: int) -> None:
        nonlocal best
        if top >= arena_bytes(buffers, best):
            return
        if len(offsets) == len(buffers):
            best = [offsets[index] for index in range(len(buffers))]
            return
        for index in range(len(buffers)):
            if index not in offsets and arena_bytes(buffers, best) > bound:
                offset = lowest_gap(buffers, index, offsets)
                extend({**offsets, index: offset}, max(top, offset + buffers[index].bytes))

    extend({}, 0)
    return best


def arena_bytes(buffers: Sequence[Place], offsets: Sequence[int]) -> int:
    """Bytes up to the end of the last buffer."""
    return max(offset + buffer.bytes for buffer, offset in zip(buffers, offsets, strict=True))


def random_buffers(random: np.random.Generator, count: int, steps: int) -> list[Place]:
    """Buffers of 1 to 8 lines that live for 1 to 4 steps."""
    made = []
    for index in range(count):
        first = int(random.integers(steps))
        made.append(Place(index, 0, LINE * int(random.integers(1, 9)), first, first + int(random.integers(4))))
    return made


def draw(buffers: Sequence[Place], offsets: Sequence[int], rows: int) -> str:
    """The arena over time: a column for each step, a letter for each buffer, the lowest bytes at the bottom."""
    top = arena_bytes(buffers, offsets)
    steps = range(max(buffer.last for buffer in buffers) + 1)
    lines = []
    for row in reversed(range(rows)):
        byte = (row + 0.5) * top / rows
        cells = []
        for step in steps:
            here = (
                "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index]
                for index, (buffer, offset) in enumerate(zip(buffers, offsets, strict=True))
                if buffer.first <= step <= buffer.last and offset <= byte < offset + buffer.bytes
            )
            cells.append(next(here, ".") * 4)
        lines.append("    " + " ".join(cells))
    return "\n".join(lines)


FRAGMENTED = [
    Place(index, 0, LINE * lines, first, last)
    for index, (lines, first, last) in enumerate(
        ((2, 0, 0), (2, 0, 1), (1, 1, 2), (1, 1, 3), (1, 2, 3), (2, 3, 4), (2, 4, 4))
    )
]
"""Buffers that no layout puts into as many bytes as are alive at one step."""

PLANNERS: dict[str, Planner] = {
    "slots": slots,
    "by time": by_time,
    "by size": by_size,
    "cnnc": cnnc_best_fit,
}


class Chain(dsl.Module):
    """1x1 convolutions in a row, for times: [1, 16, H, W] -> the same."""

    def __init__(self, layers: int = 12) -> None:
        self.layers = [dsl.Conv2d(16, 16, 1) for _ in range(layers)]

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """ReLU behind each."""
        for layer in self.layers:
            x = dsl.relu(layer(x))
        return x


def show_random_instances() -> None:
    """How often each planner is optimal, and how often even the optimum is above the bound."""
    random = np.random.default_rng(6)
    instances = [random_buffers(random, 7, 8) for _ in range(150)]
    least = [arena_bytes(instance, optimal(instance)) for instance in instances]
    above = sum(size > load(instance) for size, instance in zip(least, instances, strict=True))
    print(f"    the optimum is above the bound in {above} of {len(instances)}")
    for name, planner in PLANNERS.items():
        sizes = [arena_bytes(instance, planner(instance)) for instance in instances]
        hits = sum(size == best for size, best in zip(sizes, least, strict=True))
        worst = max(size / best for size, best in zip(sizes, least, strict=True))
        print(f"    {name:8} optimal in {hits:3}, at worst {worst:.2f} of the optimum")
    least_lines = arena_bytes(FRAGMENTED, optimal(FRAGMENTED)) // LINE
    print(f"    but these seven have {load(FRAGMENTED) // LINE} lines alive at every step, and need {least_lines}:")
    print(draw(FRAGMENTED, optimal(FRAGMENTED), least_lines))


def main() -> None:
    """Tell the story."""
    print("1. Every tensor of LeNet-5 is alive from the step that writes it to the last one that reads it")
    program = program_of(MODELS / "lenet5_fashion.onnx")
    buffers = buffers_of(program)
    for index, buffer in enumerate(buffers):
        bar = "".join("#" if buffer.first <= step <= buffer.last else "." for step in range(len(program.steps)))
        name = program.buffers[buffer.buffer].name
        print(f"    {'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[index]} {bar} {buffer.bytes:6} bytes  {name}")

    print("\n2. As a graph: an edge between two that must not share bytes")
    graph = interval_graph(buffers)
    clique, weight = nx.max_weight_clique(graph, weight="bytes")
    print(f"    {len(graph)} vertices, {graph.number_of_edges()} edges, chordal: {nx.is_chordal(graph)}")
    print(f"    largest clique {max(map(len, nx.find_cliques(graph)))}; colours needed {len(set(slots(buffers)))}")
    print(f"    heaviest clique {weight} bytes, {sorted(clique)}; most bytes alive at one step {load(buffers)}")
    print("    the arena that cnnc plans, step by step:")
    print(draw(buffers, cnnc_best_fit(buffers), 8))

    print("\n3. Networks: KiB of the arena for one image")
    print(f"    {'':20} {'buffers':>7} {'apart':>7} " + " ".join(f"{name:>7}" for name in PLANNERS) + "   bound")
    programs = {name: program_of(MODELS / f"{name}.onnx") for name in ("resnet14_fashion-bn", "mbv2mini_fashion-bn")}
    programs |= {name: small_network(name) for name in ("squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v2")}
    for name, one in programs.items():
        wanted = buffers_of(one)
        sizes = [arena_bytes(wanted, planner(wanted)) for planner in PLANNERS.values()]
        row = [sum(buffer.bytes for buffer in wanted), *sizes, load(wanted)]
        print(f"    {name:20} {len(wanted):7} " + " ".join(f"{size / 1024:7.0f}" for size in row))

    print("\n4. Random lifetimes: 7 buffers each, against the optimum found by search")
    show_random_instances()

    print("\n5. What it is worth: 12 convolutions on [1, 16, 192, 192], microseconds")
    executable = cnnc.compile(dsl.model(Chain(), (1, 16, 192, 192))).executable
    layouts = {"every buffer apart": one_after_another, "bytes shared": best_fit}
    executors = {name: Executor(executable, layout=layout) for name, layout in layouts.items()}
    x = np.random.default_rng(0).standard_normal((1, 16, 192, 192), np.float32)
    for threads in (1, 2):
        runs = {name: partial(one.run, [x], {}, RunSettings(threads=threads)) for name, one in executors.items()}
        for name, seconds in time_in_turns(runs, rounds=9).items():
            mebibytes = plan(executable.program, {}, layout=layouts[name]).arena_bytes / 2**20
            print(f"    {threads} thread{'s' * (threads > 1):1}, {name:18} {mebibytes:5.1f} MiB {seconds * 1e6:6.0f}")


if __name__ == "__main__":
    main()
