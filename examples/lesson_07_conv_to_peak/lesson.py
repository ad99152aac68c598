"""A convolution from seven loops to the peak of the machine, in six steps.

    python examples/lesson_07_conv_to_peak/lesson.py
    python examples/lesson_07_conv_to_peak/lesson.py --loop 4            the inner loop's assembly of a step
    python examples/lesson_07_conv_to_peak/lesson.py --plot roofline.svg --dump build/lesson_07
    python examples/lesson_07_conv_to_peak/lesson.py --channels 128

``--dump`` writes LLVM IR and assembly of every step. The steps are in the folder ``steps``. With these variables a CPU
that has AVX-512 does what one without it would do:

    NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES=+avx2,+fma CNNC_TARGET=avx2
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lesson_07_conv_to_peak import roofline
from lesson_07_conv_to_peak.inner_loop import InnerLoop, hottest
from lesson_07_conv_to_peak.layer import Built, Layer, Operands
from lesson_07_conv_to_peak.steps import (
    step1_naive_loops,
    step2_vector_loop,
    step3_scalar_tile,
    step4_register_tile,
    step5_packed_blocks,
    step6_in_place,
)

from cnnc.ir import Array
from cnnc.runtime.cpu_limits import available_threads
from cnnc.runtime.jit.target import cpu_model, host_target, is_x86
from cnnc.tuning.machine_peak import MachinePeak
from cnnc.tuning.turns import time_in_turns

Build = Callable[[Layer, Operands, int], Built]

STEPS: Mapping[str, Build] = {
    "1 seven loops": step1_naive_loops.build,
    "2 vector loop": step2_vector_loop.build,
    "3 scalar tile": step3_scalar_tile.build,
    "4 register tile": step4_register_tile.build,
    "5 packed blocks": step5_packed_blocks.build,
    "6 in place": step6_in_place.build,
}
TILES = {16: ((1, 1), (4, 1), (4, 4), (7, 2), (14, 2), (14, 4)), 8: ((1, 1), (4, 1), (4, 2), (6, 2), (4, 3), (8, 2))}
"""Tiles to compare in step 4, pixels and vectors, by lanes of a vector."""

TOLERANCE = 1e-4
"""Largest error against float64, over the result's standard deviation: the limit of cnnc's design for float32."""


def checked(name: str, built: Built, expected: Array) -> Built:
    """Run a step once, compile it by that, and compare with NumPy: what is wrong is not timed.

    Raises:
        SystemExit: the result is wrong.
    """
    built.run()
    error = np.abs(built.result() - expected).max() / expected.std()
    if not error <= TOLERANCE:
        raise SystemExit(f"{name}: the result is wrong, its largest error is {error:.1e} standard deviations")
    return built


def measured(built: Mapping[str, Built], rounds: int, peak: MachinePeak) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of each step, and of the peak in FLOP/s that was measured after each of its runs."""
    seconds: dict[str, list[float]] = {name: [] for name in built}
    peaks: dict[str, list[float]] = {name: [] for name in built}
    for _ in range(rounds):
        for name, step in built.items():
            start = time.perf_counter()
            step.run()
            seconds[name].append(time.perf_counter() - start)
            peaks[name].append(peak.flops())
    return (
        {name: statistics.median(times) for name, times in seconds.items()},
        {name: statistics.median(rates) for name, rates in peaks.items()},
    )


def assembly_of(built: Built) -> str:
    """Of the one signature that the step was compiled for."""
    return next(iter(built.jitted.inspect_asm().values()))


def show_loop(name: str, loop: InnerLoop) -> None:
    """The assembly of a step's inner loop."""
    print(f"\nInner loop of step {name}: {loop.multiply_adds} multiply-adds, {loop.stack} moves to or from the stack")
    print(loop.text)


def dump(folder: Path, built: Mapping[str, Built]) -> None:
    """Write LLVM IR and assembly of every step."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, step in built.items():
        stem = "step_" + name.replace(" ", "_")
        (folder / f"{stem}.s").write_text(assembly_of(step))
        (folder / f"{stem}.ll").write_text(next(iter(step.jitted.inspect_llvm().values())))
    print(f"\nLLVM IR and assembly of {len(built)} steps: {folder}")


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=256, help="of input and output; a multiple of 64")
    parser.add_argument("--size", type=int, default=28, help="of the map; a multiple of 4, from 16 on")
    parser.add_argument("--rounds", type=int, default=5, help="timings of every step")
    parser.add_argument("--loop", type=int, choices=range(1, 7), help="print the inner loop of this step")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the roofline; needs matplotlib")
    parser.add_argument("--dump", type=Path, metavar="FOLDER", help="write LLVM IR and assembly")
    given = parser.parse_args()
    if given.channels % 64 or given.channels < 64 or given.size % 4 or given.size < 16:
        parser.error("channels are a multiple of 64, and the size is one of 4, at least 16")
    if not is_x86(host_target()):
        parser.error(f"this lesson reads the assembly of x86-64, and this CPU is {host_target().triple}")
    lanes = host_target().lanes
    layer = Layer(given.channels, given.channels, given.size)
    operands = Operands.of(layer)
    expected = operands.expected()
    print(f"{layer}: {layer.flops / 1e6:.0f} MFLOP, {layer.least_bytes / 1e6:.1f} MB")
    print(f"{cpu_model()}, vectors of {lanes} floats, {available_threads()} CPUs\n")

    built = {name: checked(name, build(layer, operands, lanes), expected) for name, build in STEPS.items()}
    loops = {name: hottest(assembly_of(step)) for name, step in built.items()}
    peak = MachinePeak()
    seconds, peaks = measured(built, given.rounds, peak)
    roofs = roofline.measured_roofs(statistics.median(peaks.values()))
    print(
        f"{'step':16} {'ms':>8} {'GFLOP/s':>8} {'of peak':>8}   inner loop: FMAs loads stores stack  FLOP/byte  L1 roof"
    )
    for name, loop in loops.items():
        rate = layer.flops / seconds[name]
        print(
            f"{name:16} {seconds[name] * 1e3:8.2f} {rate / 1e9:8.1f} {rate / peaks[name]:8.1%}"
            f"   {loop.multiply_adds:16} {loop.loads:5} {loop.stores:6} {loop.stack:5} {loop.intensity:10.2f}"
            f" {roofs.limit(loop.intensity) / 1e9:8.1f}"
        )
    rates = ", ".join(f"{level} {rate / 1e9:.0f}" for level, rate in roofs.bandwidths.items())
    print(f"peak of one core {roofs.peak / 1e9:.0f} GFLOP/s; it reads, in GB/s: {rates}")

    if available_threads() > 1:
        both = checked("two threads", step6_in_place.build(layer, operands, lanes, threads=2), expected)
        calls = {"one": built["6 in place"].run, "two": both.run}
        # A turn is several runs long: a thread that has just been woken may be on the CPU of the one that woke it.
        times = time_in_turns(calls, rounds=given.rounds, slice_seconds=0.05)
        alone, together = times["one"], times["two"]
        print(f"\nStep 6 on two threads: {together * 1e3:.2f} ms, {alone / together:.2f} times as fast as on one")

    print("\nStep 4 with other tiles (pixels x vectors of outputs)")
    tiles = {
        f"{pixels} x {vectors}": partial(step4_register_tile.build, tile=(pixels, vectors))
        for pixels, vectors in TILES.get(lanes, TILES[8])
        if layer.outputs % (vectors * lanes) == 0 and pixels <= layer.size
    }
    others = {name: checked(name, build(layer, operands, lanes), expected) for name, build in tiles.items()}
    tile_seconds, tile_peaks = measured(others, given.rounds, peak)
    for name, step in others.items():
        loop = hottest(assembly_of(step))
        share = layer.flops / tile_seconds[name] / tile_peaks[name]
        ratio = loop.loads / loop.multiply_adds
        print(f"    {name:8} {share:6.1%} of peak, {ratio:4.2f} loads for an FMA, {loop.stack:2} moves of the stack")

    if given.loop:
        name = list(STEPS)[given.loop - 1]
        show_loop(name, loops[name])
    if given.dump:
        dump(given.dump, built)
    if given.plot:
        points = [roofline.Point(name[2:], loops[name].intensity, layer.flops / seconds[name]) for name in STEPS]
        roofline.write_plot(given.plot, roofs, points, f"{layer}, one thread")
        print(f"\n{given.plot} is written")


if __name__ == "__main__":
    main()
