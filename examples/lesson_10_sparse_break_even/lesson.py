"""A sparse kernel by hand, and from which density on it pays.

python examples/lesson_10_sparse_break_even/lesson.py
python examples/lesson_10_sparse_break_even/lesson.py --pixels 1024      planes that fight for the same sets of a cache
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lesson_10_sparse_break_even.kernels import PIXELS, ROW, aligned, dense, lists, pack, panel_lists

import cnnc
from cnnc import dsl, interp
from cnnc.ir import Array
from cnnc.lower.break_even import break_evens
from cnnc.pruning import prune
from cnnc.tuning.bandwidth import MemoryReader, cache_sizes
from cnnc.tuning.machine_peak import MachinePeak
from cnnc.tuning.turns import time_in_turns

EXAMPLES = Path(__file__).resolve().parents[1]
DENSITIES = (1.0, 0.75, 0.5, 0.35, 0.2, 0.1, 0.05)
LAYERS = 4
"""Equal convolutions of a network, one behind the other."""


class Machine:
    """What the model of a sparse kernel needs to know: FLOP/s, and bytes a second that a core reads from its caches."""

    def __init__(self) -> None:
        self.peak, self.bandwidths, self.sizes = MachinePeak().flops(), MemoryReader().levels(), cache_sizes()

    def list_rate(self, panel_bytes: int) -> tuple[float, str]:
        """FLOP/s of multiply-adds that load one operand each from a panel of that size, and the cache it lies in."""
        level = next((name for name, size in self.sizes.items() if panel_bytes <= 0.75 * size), "DRAM")
        # 2 operations for 4 bytes of every lane.
        return min(self.peak, 2 / 4 * self.bandwidths[level]), level


def show_kernels(channels: int, pixels: int, machine: Machine, rounds: int) -> None:
    """Times of the three kernels by density, and the densities from which on lists are faster."""
    rng = np.random.default_rng(10)
    x = aligned(rng.standard_normal((channels, pixels), np.float32))
    y = aligned(np.empty((channels, pixels), np.float32))
    panel = aligned(np.empty((channels, PIXELS), np.float32))
    full = rng.standard_normal((channels, channels), np.float32)
    order = rng.random(full.shape)
    rate, level = machine.list_rate(channels * ROW)
    flops = 2 * full.size * pixels
    rows: list[Mapping[str, float]] = []
    print(
        f"    {'density':>7} {'dense':>9} {'lists':>9} {'panel':>9}   us; panel: {'of dense':>8} {'model':>6}  GFLOP/s"
    )
    for density in DENSITIES:
        w = np.where(order < density, full, np.float32(0))
        packed = pack(w)
        calls: Mapping[str, Callable[[], object]] = {
            "dense": partial(dense, w, x, y),
            "lists": partial(lists, *packed, x, y),
            "panel": partial(panel_lists, *packed, x, y, panel),
        }
        check_kernels(calls, w, x, y)
        seconds = time_in_turns(calls, rounds=rounds)
        rows.append(seconds)
        useful = flops * np.count_nonzero(w) / w.size
        print(
            f"    {density:7.0%} " + " ".join(f"{seconds[name] * 1e6:9.1f}" for name in calls),
            f"              {seconds['panel'] / seconds['dense']:8.2f} {useful / rate / seconds['dense']:6.2f}"
            f" {useful / seconds['panel'] / 1e9:8.0f}",
        )
    typical = float(np.median([row["dense"] for row in rows]))
    print(f"    dense {flops / typical / 1e9:.0f} GFLOP/s, {flops / typical / machine.peak:.0%} of the peak;", end=" ")
    print(f"a panel of {channels * ROW // 1024} KiB lies in {level}: the model allows {rate / 1e9:.0f} GFLOP/s")
    predicted = min(1.0, rate * typical / flops)
    for name in ("lists", "panel"):
        print(f"    {name} pay below a density of {crossing([row[name] / row['dense'] for row in rows])}", end="")
        print(f" (model {predicted:.0%})" if name == "panel" else "")


def check_kernels(calls: Mapping[str, Callable[[], object]], w: Array, x: Array, y: Array) -> None:
    """Compare what kernels write to y with NumPy.

    Raises:
        SystemExit: one is wrong.
    """
    expected = w.astype(np.float64) @ x
    for name, call in calls.items():
        y.fill(np.nan)
        call()
        if not np.abs(y - expected).max() <= 1e-4 * max(expected.std(), 1):
            raise SystemExit(f"{name} is wrong")


def crossing(ratios: Sequence[float]) -> str:
    """The density at which times over the dense one's, in the order of ``DENSITIES``, become 1."""
    for above, below, high, low in zip(ratios, ratios[1:], DENSITIES, DENSITIES[1:]):
        if below <= 1 < above:
            return f"{low + (high - low) * (1 - below) / (above - below):.0%}"
    return "100%" if ratios[0] <= 1 else f"less than {DENSITIES[-1]:.0%}"


def show_selection(channels: int, size: int) -> None:
    """What the compiler does with layers of several densities and patterns, and what it takes."""
    model = dsl.model(
        dsl.Sequential(*[dsl.Conv2d(channels, channels, 1) for _ in range(LAYERS)]), {"x": (1, channels, size, size)}
    )
    feeds = {"x": np.random.default_rng(1).standard_normal((1, channels, size, size), np.float32)}
    compiled = {"dense": cnnc.compile(model, strassen="off")}
    for pattern in ("unstructured", "block4"):
        for zeros in (0.5, 0.8, 0.9):
            pruned = prune(model, sparsity=zeros, pattern=pattern, scope="layer", prune_first=True)
            compiled[f"{zeros:.0%} zeros, {pattern}"] = cnnc.compile(pruned.graph, strassen="off")
    sessions = {name: result.session(threads=1) for name, result in compiled.items()}
    seconds = time_in_turns({name: partial(session.run, None, feeds) for name, session in sessions.items()}, rounds=9)
    for name, result in compiled.items():
        [*_, layer] = [node for node in result.graph.nodes if node.op == "conv"]
        [found] = break_evens(result.graph, [layer.output.name], result.target).values()
        [*_, kernel] = [step.chosen for step in result.lowered.decisions if step.op == "conv"]
        advice = f"pays below {found.density:.0%}" if name != "dense" else ""
        print(f"    {name:26} {seconds[name] / LAYERS * 1e6:7.1f} us a layer  {kernel:27} {advice}".rstrip())


def show_accuracy() -> None:
    """The bundled ResNet-14 with its smallest weights set to 0."""
    with np.load(EXAMPLES / "images" / "fashion50.npz") as data:
        images, truth = data["images"], data["labels"]
    pixels = ((images[:, None].astype(np.float32) / 255) - np.float32(0.2860)) / np.float32(0.3530)
    for zeros in (0.0, 0.5, 0.8, 0.9, 0.95):
        pruned = prune(EXAMPLES / "models" / "resnet14_fashion-bn.onnx", sparsity=zeros)
        [scores] = interp.run(pruned.graph, {"input": pixels}).values()
        totals = pruned.totals
        print(f"    {zeros:4.0%} zeros: {np.sum(scores.argmax(1) == truth)} of 50 images right, ", end="")
        print(f"{totals.nonzero:7,} weights left")


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pixels", type=int, default=1088, help=f"of the maps of part 1; a multiple of {PIXELS}")
    parser.add_argument("--channels", type=int, default=256, help="of the second layer of part 1, and of part 2")
    parser.add_argument("--rounds", type=int, default=9, help="timings of every kernel of part 1")
    given = parser.parse_args()
    if given.pixels % PIXELS or given.pixels < PIXELS or given.channels % 16 or given.channels < 16:
        parser.error(f"pixels are a multiple of {PIXELS}, channels one of 16")
    machine = Machine()
    rates = ", ".join(f"{level} {rate / 1e9:.0f}" for level, rate in machine.bandwidths.items())
    print(f"peak of one core {machine.peak / 1e9:.0f} GFLOP/s; it reads, in GB/s: {rates}")

    for channels in (64, given.channels):
        print(f"\n1. By hand: 1x1, {channels} to {channels} channels, {given.pixels} pixels, zeros anywhere")
        show_kernels(channels, given.pixels, machine, given.rounds)

    print(f"\n2. cnnc: 1x1, {given.channels} to {given.channels} channels, 28x28, one thread")
    show_selection(given.channels, 28)

    print("\n3. What zeros cost: ResNet-14, its smallest weights set to 0 without training")
    show_accuracy()


if __name__ == "__main__":
    main()
