"""Winograd's method by hand: fewer products than a convolution seems to need, and what that costs.

    python examples/lesson_08_winograd/lesson.py
    python examples/lesson_08_winograd/lesson.py --channels 64 --size 56

Sources: Winograd, Arithmetic Complexity of Computations, SIAM, 1980; Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks, CVPR 2016.
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lesson_08_winograd.minimal_filtering import Filtering, Rows, filtered_tiles, minimal_filtering

import cnnc
from cnnc import dsl, interp
from cnnc.ir import Array
from cnnc.runtime.cpu.winograd_error import direct_error, winograd_error
from cnnc.runtime.cpu.winograd_matrices import matrices
from cnnc.runtime.host.conv import conv
from cnnc.tuning.turns import time_in_turns

WINDOW = 3
LAYERS = 4
"""Equal convolutions, one behind the other, are timed together."""

METHODS = {"direct": "off", "F(2x2, 3x3)": "f2", "F(4x4, 3x3)": "f4", "cnnc's choice": "auto"}
"""What the lesson times: the compiler's option ``winograd``."""


def show_matrix(name: str, rows: Rows) -> None:
    """A matrix of fractions, a row on a line."""
    for number, row in enumerate(rows):
        print(f"    {name if number == 0 else '':6}" + " ".join(f"{value!s:>5}" for value in row))


def show_one_tile(filtering: Filtering) -> None:
    """Two outputs from four inputs: the products, and the sums that they replace."""
    d, g = tuple(map(Fraction, (3, 1, 4, 1))), tuple(map(Fraction, (2, 7, 1)))
    direct = tuple(sum((d[j + k] * g[k] for k in range(3)), Fraction(0)) for j in range(2))
    print(f"    inputs {_line(d)}, taps {_line(g)}: {_line(filtering.apply(d, g))}; by definition {_line(direct)}")


def _line(values: tuple[Fraction, ...]) -> str:
    return "(" + ", ".join(map(str, values)) + ")"


def show_counts() -> None:
    """Products for an output, and the entries of the transforms that are not 0, 1 or -1."""
    print(f"    {'tile':14} {'products':>9} {'an output':>10} {'saves':>6}  {'weights':>8}  entries to multiply by")
    for m in range(1, 7):
        a = m + WINDOW - 1
        found = minimal_filtering(m, WINDOW)
        entries = [abs(value) for rows in (found.inputs, found.outputs) for row in rows for value in row]
        print(
            f"    F({m}x{m}, 3x3)    {a * a:9} {a * a / m**2:10.2f} {WINDOW**2 * m**2 / a**2:6.2f}  "
            f"{a * a / WINDOW**2:7.2f}x  {sum(value not in (0, 1) for value in entries)} of {len(entries)}"
        )


def root_mean_square(error: Array, truth: Array) -> float:
    """Of an error, over the deviation of what is right."""
    return float(np.sqrt(np.mean(error**2)) / truth.std())


def show_errors(channels: int) -> None:
    """Measured error of every tile size, by usual points and by cnnc's, and what cnnc predicts."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((channels, 60 + WINDOW - 1, 60 + WINDOW - 1), np.float32)
    w = rng.standard_normal((16, channels, WINDOW, WINDOW), np.float32)
    truth = conv(x[None].astype(np.float64), w.astype(np.float64))[0]
    measured = root_mean_square(conv(x[None], w)[0] - truth, truth)
    print(f"    {'tile':14} {'integers':>9} {'cnnc points':>12} {'predicted':>10}   {'integers, float64':>18}")
    print(f"    {'direct':14} {measured:9.1e} {'':12} {direct_error(channels * WINDOW**2):10.1e}")
    for m in range(2, 7):
        usual = minimal_filtering(m, WINDOW)
        own = matrices(m, WINDOW)
        rounded = tuple(matrix.astype(np.float32) for matrix in (own.inputs, own.filters, own.outputs))
        errors = [
            root_mean_square(filtered_tiles(x, w, m, made) - truth, truth)
            for made in (usual.arrays(), (rounded[0], rounded[1], rounded[2]))
        ]
        exact = filtered_tiles(x.astype(np.float64), w.astype(np.float64), m, usual.arrays(np.float64))
        print(
            f"    F({m}x{m}, 3x3)    {errors[0]:9.1e} {errors[1]:12.1e} "
            f"{winograd_error((m, m), (3, 3), channels):10.1e}   {root_mean_square(exact - truth, truth):18.1e}"
        )


def show_kernels(channels: int, size: int) -> None:
    """Time and error of cnnc's kernels, with Winograd's method and without."""
    layers = [dsl.Conv2d(channels, channels, WINDOW, padding=1) for _ in range(LAYERS)]
    model = dsl.model(dsl.Sequential(*layers), {"x": (1, channels, size, size)})
    feeds = {"x": np.random.default_rng(1).standard_normal((1, channels, size, size), np.float32)}
    truth = interp.run(model.graph(), feeds, float64=True)["output"]
    compiled = {name: cnnc.compile(model, winograd=option) for name, option in METHODS.items()}
    sessions = {name: result.session(threads=1) for name, result in compiled.items()}
    seconds = time_in_turns({name: partial(session.run, None, feeds) for name, session in sessions.items()}, rounds=9)
    flops = 2 * channels * channels * WINDOW**2 * size**2
    for name, session in sessions.items():
        each = seconds[name] / LAYERS
        error = root_mean_square(session.run(None, feeds)[0] - truth, truth)
        [kernel, *_] = [step.chosen for step in compiled[name].lowered.decisions if step.op == "conv"]
        print(
            f"    {name:14} {each * 1e3:6.2f} ms a layer, {flops / each / 1e9:4.0f} GFLOP/s of direct convolution, "
            f"error {error:.1e}  {kernel}"
        )


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--channels", type=int, default=256, help="of the layers that are timed")
    parser.add_argument("--size", type=int, default=28, help="of their maps")
    given = parser.parse_args()

    print("1. F(2, 3): two outputs of a filter of three taps from four products, by the points 0, 1, -1 and infinity")
    filtering = minimal_filtering(2, WINDOW)
    for name, rows in (("B^T", filtering.inputs), ("G", filtering.filters), ("A^T", filtering.outputs)):
        show_matrix(name, rows)
    show_one_tile(filtering)

    print("\n2. What it saves in two dimensions, 9 products an output being the definition's")
    show_counts()

    print("\n3. What it costs: error of float32 over 64 channels, root mean square, in deviations of the result")
    show_errors(64)

    print(f"\n4. cnnc's kernels: 3x3, {given.channels} channels, {given.size}x{given.size}, one thread")
    show_kernels(given.channels, given.size)


if __name__ == "__main__":
    main()
