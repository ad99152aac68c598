"""What is asked of exercise 8."""

from __future__ import annotations

from fractions import Fraction
from types import ModuleType

import numpy as np

from cnnc.runtime.host.conv import conv

POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2")))
SIZES = ((2, 3), (1, 3), (4, 3), (3, 2), (2, 5), (4, 5))


def check_transforms(student: ModuleType) -> None:
    """Part 1: transforms that are exact"""
    for m, r in SIZES:
        points = POINTS[: m + r - 2]
        b_t, g, a_t = student.transforms(m, r, points)
        case, size = f"F({m}, {r})", m + r - 1
        for name, rows, shape in (("B^T", b_t, (size, size)), ("G", g, (size, r)), ("A^T", a_t, (m, size))):
            assert (len(rows), {len(row) for row in rows}) == (shape[0], {shape[1]}), (
                f"{case}: {name} should be [{shape[0]}, {shape[1]}], got rows of {[len(row) for row in rows]}"
            )
            inexact = [value for row in rows for value in row if not isinstance(value, (int, Fraction))]
            assert not inexact, f"{case}: {name} holds {inexact[0]!r}, expected exact fractions"
        rng = np.random.default_rng(m + 10 * r)
        d, taps = ([Fraction(int(n)) for n in rng.integers(-9, 9, count)] for count in (size, r))
        multiplied = [_dot(b, d) * _dot(f, taps) for b, f in zip(b_t, g)]
        got = [_dot(row, multiplied) for row in a_t]
        expected = [_dot(d[j : j + r], taps) for j in range(m)]
        assert got == expected, (
            f"{case} by {', '.join(map(str, points))} and infinity: inputs {_text(d)} and taps {_text(taps)} "
            f"should give {_text(expected)}, got {_text(got)}"
        )


def check_products(student: ModuleType) -> None:
    """Part 2: how many products there are"""
    for arguments, expected in (
        ((4, 3, 28, 28), 49 * 36),
        ((4, 3, 7, 7), 4 * 36),
        ((2, 3, 7, 9), 20 * 16),
        ((1, 1, 5, 3), 15),
        ((6, 3, 1, 13), 3 * 64),
    ):
        got = student.products(*arguments)
        assert got == expected, (
            f"products{arguments} should be {expected}, got {got}: a tile has (m + r - 1)^2, whether or not all of its "
            "m x m outputs lie in the map"
        )


def check_convolution(student: ModuleType) -> None:
    """Part 3: a convolution of maps of any size"""
    rng = np.random.default_rng(0)
    for m, r, (height, width) in (
        (2, 3, (8, 8)),
        (4, 3, (13, 6)),
        (2, 3, (1, 1)),
        (3, 3, (7, 11)),
        (2, 5, (5, 9)),
        (1, 3, (2, 3)),
    ):
        x = rng.standard_normal((5, height, width), np.float32)
        w = rng.standard_normal((3, 5, r, r), np.float32)
        case = f"F({m}x{m}, {r}x{r}) on a map of {height}x{width}"
        expected = conv(x[None].astype(np.float64), w.astype(np.float64), pads=(r // 2,) * 4)[0]
        got = student.convolve(x, w, m, POINTS[: m + r - 2])
        assert got.shape == expected.shape, f"{case} gives {got.shape}, expected {expected.shape}"
        assert got.dtype == np.float32, f"{case} gives {got.dtype}, expected float32"
        error = np.abs(got - expected).max() / expected.std()
        assert error < 1e-4, f"{case}: the largest error is {error:.1e} standard deviations"


def check_method(student: ModuleType) -> None:
    """Part 4: it is Winograd's method, tile by tile"""
    x = np.ones((1, 12, 12), np.float32)
    x[0, 5, 5] = np.inf
    w = np.full((1, 1, 3, 3), 0.5, np.float32)
    with np.errstate(invalid="ignore"):
        spoilt = ~np.isfinite(student.convolve(x, w, 4, POINTS[:5])[0])
    # Tiles of 4x4 outputs see inputs from 4 t - 1 to 4 t + 4: input 5 is seen by tile 1 alone.
    assert spoilt[4:8, 4:8].all() and spoilt.sum() == 16, (
        f"with one infinite input at (5, 5), F(4x4, 3x3) spoils the 16 outputs of the tile that sees it, rows and "
        f"columns 4 to 7; here {spoilt.sum()} are not finite. Direct convolution spoils 9"
    )


def _dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def _text(values: list[Fraction]) -> str:
    return "(" + ", ".join(map(str, values)) + ")"


PARTS = (check_transforms, check_products, check_convolution, check_method)
