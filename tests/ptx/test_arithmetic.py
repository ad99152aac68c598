"""Arithmetic instructions against NumPy and exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest

from cnnc.ptx.rounding import fused
from tests.ptx.snippets import run_snippet

RNG = np.random.default_rng(7)
N = 32


def numbers(kind):
    if kind[0] == "f":
        values = RNG.standard_normal(N) * 10.0 ** RNG.integers(-3, 4, N)
        values[:6] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0]
        return values
    bits = int(kind[1:])
    values = RNG.integers(0, 1 << bits, N, dtype=np.uint64).astype(f"u{bits // 8}")
    values[:4] = [0, 1, (1 << bits) - 1, 1 << (bits - 1)]
    return values.view(f"{'i' if kind[0] == 's' else 'u'}{bits // 8}")


def binary(opcode, kind, a=None, b=None):
    a, b = numbers(kind) if a is None else a, numbers(kind) if b is None else b
    found, _ = run_snippet(f"{opcode} %d, %a, %b;", {"%a": (kind, a), "%b": (kind, b)}, {"%d": kind})
    return a, b, found["%d"]


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u64", "s16", "u16"])
@pytest.mark.parametrize(("name", "function"), [("add", np.add), ("sub", np.subtract), ("mul.lo", np.multiply)])
def test_integers_wrap_around(kind, name, function):
    a, b, got = binary(f"{name}.{kind}", kind)
    with np.errstate(over="ignore"):
        assert np.array_equal(got, function(a, b))


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u64"])
def test_high_products(kind):
    a, b, got = binary(f"mul.hi.{kind}", kind)
    bits = int(kind[1:])
    for x, y, high in zip(a, b, got, strict=True):
        assert int(high) == (int(x) * int(y)) >> bits


@pytest.mark.parametrize("kind", ["s32", "u32", "s16", "u16"])
def test_wide_products(kind):
    a, b = numbers(kind), numbers(kind)
    wide = f"{kind[0]}{2 * int(kind[1:])}"
    found, _ = run_snippet(f"mul.wide.{kind} %d, %a, %b;", {"%a": (kind, a), "%b": (kind, b)}, {"%d": wide})
    assert [int(x) for x in found["%d"]] == [int(x) * int(y) for x, y in zip(a, b, strict=True)]


def test_multiply_add_wide():
    a, b, c = numbers("s32"), numbers("s32"), numbers("s64")
    inputs = {"%a": ("s32", a), "%b": ("s32", b), "%c": ("s64", c)}
    found, _ = run_snippet("mad.wide.s32 %d, %a, %b, %c;", inputs, {"%d": "s64"})
    with np.errstate(over="ignore"):
        assert np.array_equal(found["%d"], a.astype(np.int64) * b.astype(np.int64) + c)


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("name", ["div", "rem"])
def test_division_rounds_to_zero(kind, name):
    b = numbers(kind)
    b[b == 0] = 3
    b[4:8] = 7
    a, b, got = binary(f"{name}.{kind}", kind, b=b)
    for x, y, z in zip(map(int, a), map(int, b), map(int, got), strict=True):
        quotient = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
        expected = quotient if name == "div" else x - quotient * y
        assert (z - expected) % (1 << int(kind[1:])) == 0


@pytest.mark.parametrize(("name", "function"), [("min", np.minimum), ("max", np.maximum)])
@pytest.mark.parametrize("kind", ["s32", "u32"])
def test_extremes_of_integers(kind, name, function):
    a, b, got = binary(f"{name}.{kind}", kind)
    assert np.array_equal(got, function(a, b))


@pytest.mark.parametrize(("name", "function"), [("min", np.fmin), ("max", np.fmax)])
def test_extremes_of_floats_ignore_nan(name, function):
    a, b, got = binary(f"{name}.f32", "f32")
    assert np.array_equal(got, function(a, b).astype(np.float32), equal_nan=True)
    _, _, spread = binary(f"{name}.NaN.f32", "f32", np.full(N, np.nan), np.ones(N))
    assert np.isnan(spread).all()


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize(
    ("name", "function"),
    [("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div.rn", np.divide), ("add.rn", np.add)],
)
def test_floats_round_to_nearest(kind, name, function):
    a, b, got = binary(f"{name}.{kind}", kind)
    with np.errstate(all="ignore"):
        expected = function(a.astype(got.dtype), b.astype(got.dtype))
    assert np.array_equal(got, expected, equal_nan=True)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize("name", ["add", "mul", "fma"])
def test_rounding_modes(kind, mode, name):
    dtype = np.float32 if kind == "f32" else np.float64
    a, b, c = (
        RNG.standard_normal(N).astype(dtype) * dtype(10.0) ** RNG.integers(-9, 9, N).astype(dtype) for _ in range(3)
    )
    inputs = {"%a": (kind, a), "%b": (kind, b), "%c": (kind, c)}
    third = ", %c" if name == "fma" else ""
    found, _ = run_snippet(f"{name}.{mode}.{kind} %d, %a, %b{third};", inputs, {"%d": kind})
    for x, y, z, got in zip(a, b, c, found["%d"], strict=True):
        exact = Fraction(float(x)) + Fraction(float(y)) if name == "add" else Fraction(float(x)) * Fraction(float(y))
        if name == "fma":
            exact += Fraction(float(z))
        assert is_rounded(exact, got, mode, dtype), (x, y, z, got)


def is_rounded(exact, got, mode, dtype):
    """Whether ``got`` is the float of ``dtype`` that ``mode`` takes for the fraction ``exact``."""
    value = Fraction(float(got))
    down = Fraction(float(np.nextafter(dtype(got), dtype(-np.inf))))
    up = Fraction(float(np.nextafter(dtype(got), dtype(np.inf))))
    toward = {"rm": value <= exact < up, "rp": down < exact <= value}
    if mode == "rz":
        return toward["rm"] if exact >= 0 else toward["rp"]
    if mode in toward:
        return toward[mode]
    return abs(exact - value) <= min(abs(exact - down), abs(exact - up))


def test_fused_multiply_add_rounds_once():
    a = np.float32(1 + 2**-12)
    inputs = {"%a": ("f32", a), "%c": ("f32", -1.0)}
    found, _ = run_snippet("fma.rn.f32 %d, %a, %a, %c;", inputs, {"%d": "f32"})
    assert found["%d"][0] == np.float32(2**-11 + 2**-24)
    # A sum that two roundings get wrong: 1 + 2**-24 + a tiny bit lies above the tie.
    assert fused(np.float32(2**-30), np.float32(2**-30), np.float32(1 + 2**-23), "rn") == np.float32(1 + 2**-23)
    tie = fused(np.float32(1 + 2**-23), np.float32(2**-24), np.float32(1.0), "rn")
    assert tie == np.float32(1 + 2**-23)


def test_flush_and_saturate():
    tiny = np.float32(1e-40)
    found, _ = run_snippet(
        "add.ftz.f32 %d, %a, %a; add.f32 %e, %a, %a; add.sat.f32 %f, %b, %b; cvt.sat.f32.f32 %g, %c;",
        {"%a": ("f32", tiny), "%b": ("f32", 0.75), "%c": ("f32", np.nan)},
        {"%d": "f32", "%e": "f32", "%f": "f32", "%g": "f32"},
    )
    assert found["%d"][0] == 0 and found["%e"][0] == tiny + tiny and found["%f"][0] == 1 and found["%g"][0] == 0


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sqrt.rn", np.sqrt),
        ("rcp.rn", lambda x: 1 / x),
        ("rsqrt.approx", lambda x: 1 / np.sqrt(x)),
        ("ex2.approx", np.exp2),
        ("lg2.approx", np.log2),
        ("sin.approx", np.sin),
        ("cos.approx", np.cos),
        ("tanh.approx", np.tanh),
        ("neg", np.negative),
        ("abs", np.abs),
    ],
)
def test_functions_are_correctly_rounded(name, function):
    a = np.abs(RNG.standard_normal(N)).astype(np.float32) + np.float32(0.01)
    found, _ = run_snippet(f"{name}.f32 %d, %a;", {"%a": ("f32", a)}, {"%d": "f32"})
    assert np.array_equal(found["%d"], function(a.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize("kinds", [("u32", "u32"), ("s32", "s32"), ("u32", "s32"), ("s32", "u32")])
def test_dot_products_of_bytes(kinds):
    a, b, c = numbers("u32"), numbers("u32"), numbers("s32")
    inputs = {"%a": ("b32", a), "%b": ("b32", b), "%c": ("b32", c.view(np.uint32))}
    found, _ = run_snippet(f"dp4a.{kinds[0]}.{kinds[1]} %d, %a, %b, %c;", inputs, {"%d": "b32"})
    left = a[:, None].view(np.uint8 if kinds[0] == "u32" else np.int8).astype(np.int64)
    right = b[:, None].view(np.uint8 if kinds[1] == "u32" else np.int8).astype(np.int64)
    expected = (left * right).sum(axis=1) + (c if "s32" in kinds else c.view(np.uint32)).astype(np.int64)
    assert np.array_equal(found["%d"], expected.astype(np.uint32))


def test_pairs_of_halves():
    a, b, c = (RNG.standard_normal((N, 2)).astype(np.float16) for _ in range(3))
    words = {name: ("b32", array.view(np.uint32)[:, 0]) for name, array in (("%a", a), ("%b", b), ("%c", c))}
    found, _ = run_snippet("fma.rn.f16x2 %d, %a, %b, %c;", words, {"%d": "b32"})
    exact = a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)
    assert np.array_equal(found["%d"][:, None].view(np.float16), exact.astype(np.float16))


def test_bfloat_rounds_to_even():
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, math.pi, np.inf, np.nan, -0.0, 1 + 2**-8 + 2**-20], np.float32)
    padded = np.resize(values, N)
    found, _ = run_snippet(
        "cvt.rn.bf16.f32 %d, %a; cvt.f32.bf16 %e, %d;", {"%a": ("f32", padded)}, {"%d": "b16", "%e": "f32"}
    )
    back = found["%e"][:8]
    assert back[0] == 1 and back[1] == 1 and back[2] == 1 + 2**-6 and back[3] == 3.140625
    assert np.isinf(back[4]) and np.isnan(back[5]) and np.signbit(back[6]) and back[7] == 1 + 2**-7
