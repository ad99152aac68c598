"""Comparisons, selections, moves and conversions."""

import numpy as np
import pytest

from tests.ptx.snippets import run_snippet

RNG = np.random.default_rng(13)
N = 32
FLOATS = np.resize(np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, np.nan, np.inf, -np.inf, 1e-40], np.float32), N)
OTHERS = np.resize(np.array([0.0, 1.0, -1.0, np.nan, 2.5, np.inf, -2.5], np.float32), N)
HOLDS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


def flags(text, inputs):
    body = f".reg .pred %p, %q; {text} selp.u32 %d, 1, 0, %p;"
    found, _ = run_snippet(body, inputs, {"%d": "u32"})
    return found["%d"].astype(bool)


@pytest.mark.parametrize("name", HOLDS)
def test_floats_and_nan(name):
    inputs = {"%a": ("f32", FLOATS), "%b": ("f32", OTHERS)}
    unordered = np.isnan(FLOATS) | np.isnan(OTHERS)
    holds = HOLDS[name](FLOATS, OTHERS)
    assert np.array_equal(flags(f"setp.{name}.f32 %p, %a, %b;", inputs), holds & ~unordered)
    assert np.array_equal(flags(f"setp.{name}u.f32 %p, %a, %b;", inputs), holds | unordered)


def test_orderedness():
    inputs = {"%a": ("f32", FLOATS), "%b": ("f32", OTHERS)}
    unordered = np.isnan(FLOATS) | np.isnan(OTHERS)
    assert np.array_equal(flags("setp.nan.f32 %p, %a, %b;", inputs), unordered)
    assert np.array_equal(flags("setp.num.f32 %p, %a, %b;", inputs), ~unordered)


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u64", "s16"])
@pytest.mark.parametrize("name", HOLDS)
def test_integers(kind, name):
    dtype = f"{'i' if kind[0] == 's' else 'u'}{int(kind[1:]) // 8}"
    a, b = RNG.integers(0, 256, (2, N)).astype(dtype) * np.asarray(257, dtype)
    a[:8] = b[:8]
    got = flags(f"setp.{name}.{kind} %p, %a, %b;", {"%a": (kind, a), "%b": (kind, b)})
    assert np.array_equal(got, HOLDS[name](a, b))


def test_unsigned_names_and_combinations():
    a, b, c = RNG.integers(0, 4, (3, N)).astype(np.uint32)
    inputs = {"%a": ("u32", a), "%b": ("u32", b), "%c": ("u32", c)}
    assert np.array_equal(flags("setp.lo.u32 %p, %a, %b;", inputs), a < b)
    assert np.array_equal(flags("setp.hs.u32 %p, %a, %b;", inputs), a >= b)
    first = "setp.gt.u32 %q, %c, 1; "
    assert np.array_equal(flags(first + "setp.lt.and.u32 %p, %a, %b, %q;", inputs), (a < b) & (c > 1))
    assert np.array_equal(flags(first + "setp.lt.or.u32 %p, %a, %b, !%q;", inputs), (a < b) | (c <= 1))
    both = flags("setp.lt.u32 %q|%p, %a, %b;", inputs)
    assert np.array_equal(both, a >= b)


def test_set_and_select():
    a, b = RNG.integers(-4, 4, (2, N)).astype(np.int32)
    body = "set.lt.u32.s32 %d, %a, %b; set.lt.f32.s32 %e, %a, %b; slct.s32.s32 %f, %a, %b, %a;"
    found, _ = run_snippet(body, {"%a": ("s32", a), "%b": ("s32", b)}, {"%d": "u32", "%e": "f32", "%f": "s32"})
    assert np.array_equal(found["%d"], np.where(a < b, 0xFFFFFFFF, 0))
    assert np.array_equal(found["%e"], (a < b).astype(np.float32))
    assert np.array_equal(found["%f"], np.where(a >= 0, a, b))


@pytest.mark.parametrize(
    ("name", "function"),
    [("finite", np.isfinite), ("infinite", np.isinf), ("notanumber", np.isnan), ("number", lambda x: ~np.isnan(x)),
     ("subnormal", lambda x: (x != 0) & (np.abs(x) < 2.0**-126)),
     ("normal", lambda x: np.isfinite(x) & (np.abs(x) >= 2.0**-126))],
)  # fmt: skip
def test_properties(name, function):
    assert np.array_equal(flags(f"testp.{name}.f32 %p, %a;", {"%a": ("f32", FLOATS)}), function(FLOATS))


@pytest.mark.parametrize(
    ("rounding", "function"), [("rni", np.rint), ("rzi", np.trunc), ("rmi", np.floor), ("rpi", np.ceil)]
)
@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u8"])
def test_floats_to_integers_are_clamped(rounding, function, kind):
    values = np.resize(np.array([0.5, 1.5, -1.5, 2.5, -0.4, 3e9, -3e9, 1e20, -1e20, np.inf, -np.inf], np.float32), N)
    register = kind if kind != "u8" else "u32"
    found, _ = run_snippet(f"cvt.{rounding}.{kind}.f32 %d, %a;", {"%a": ("f32", values)}, {"%d": register})
    limits = np.iinfo(f"{'i' if kind[0] == 's' else 'u'}{int(kind[1:]) // 8}")
    for value, got in zip(values, found["%d"], strict=True):
        rounded = float(function(np.float64(value)))
        expected = limits.max if rounded >= limits.max else limits.min if rounded <= limits.min else int(rounded)
        assert int(got) == expected


def test_nan_becomes_zero():
    found, _ = run_snippet("cvt.rzi.s32.f32 %d, %a;", {"%a": ("f32", np.nan)}, {"%d": "s32"})
    assert not found["%d"].any()


def test_integers_are_cut_and_extended():
    a = np.resize(np.array([0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 2**31, 2**32 - 1], np.uint64), N).astype(
        np.uint32
    )
    body = "cvt.s32.s8 %d, %a; cvt.u32.u8 %e, %a; cvt.s64.s32 %f, %a; cvt.u64.u32 %g, %a;"
    body += "cvt.sat.u8.u32 %h, %a; cvt.u16.u32 %i, %a;"
    outputs = {"%d": "s32", "%e": "u32", "%f": "s64", "%g": "u64", "%h": "u32", "%i": "u16"}
    found, _ = run_snippet(body, {"%a": ("u32", a)}, outputs)
    assert np.array_equal(found["%d"], a.astype(np.uint8).view(np.int8).astype(np.int32))
    assert np.array_equal(found["%e"], a & 255)
    assert np.array_equal(found["%f"], a.view(np.int32).astype(np.int64))
    assert np.array_equal(found["%g"], a.astype(np.uint64))
    assert np.array_equal(found["%h"], np.minimum(a, 255))
    assert np.array_equal(found["%i"], a.astype(np.uint16))


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_large_integers_to_floats(mode):
    a = np.resize(np.array([2**24 + 1, 2**24 + 3, -(2**24) - 1, 2**31 - 1, 5], np.int64), N).astype(np.int32)
    found, _ = run_snippet(f"cvt.{mode}.f32.s32 %d, %a;", {"%a": ("s32", a)}, {"%d": "f32"})
    for value, got in zip(a, found["%d"], strict=True):
        exact, given = int(value), float(got)
        if mode == "rm":
            assert given <= exact < float(np.nextafter(got, np.float32(np.inf)))
        elif mode == "rp":
            assert float(np.nextafter(got, np.float32(-np.inf))) < exact <= given
        elif mode == "rz":
            assert abs(given) <= abs(exact)
        else:
            assert given == np.float32(exact)


def test_floats_between_sizes():
    values = np.resize(np.array([1 / 3, 65504, 65520, 1e-8, -2.0, np.inf], np.float64), N)
    body = (
        "cvt.rn.f32.f64 %d, %a; cvt.rn.f16.f32 %e, %d; cvt.f64.f32 %f, %d; cvt.rz.f32.f64 %g, %a; cvt.f32.f16 %h, %e;"
    )
    outputs = {"%d": "f32", "%e": "b16", "%f": "f64", "%g": "f32", "%h": "f32"}
    found, _ = run_snippet(body, {"%a": ("f64", values)}, outputs)
    single = values.astype(np.float32)
    with np.errstate(over="ignore"):
        half = single.astype(np.float16)
    assert np.array_equal(found["%d"], single) and np.array_equal(found["%e"].view(np.float16), half)
    assert np.array_equal(found["%f"], single.astype(np.float64)) and np.array_equal(
        found["%h"], half.astype(np.float32)
    )
    assert np.all(np.abs(found["%g"].astype(np.float64)) <= np.abs(values))


def test_packing_conversions_and_tf32():
    a, b = RNG.standard_normal((2, N)).astype(np.float32)
    body = "cvt.rn.f16x2.f32 %d, %a, %b; cvt.rna.tf32.f32 %e, %a; mov.b64 %f, {%x, %y}; mov.b64 {%u, %v}, %f;"
    inputs = {"%a": ("f32", a), "%b": ("f32", b), "%x": ("b32", 7), "%y": ("b32", 9)}
    found, _ = run_snippet(body, inputs, {"%d": "b32", "%e": "b32", "%f": "b64", "%u": "b32", "%v": "b32"})
    halves = found["%d"][:, None].view(np.float16)
    assert np.array_equal(halves[:, 1], a.astype(np.float16)) and np.array_equal(halves[:, 0], b.astype(np.float16))
    tf32 = found["%e"].view(np.float32)
    assert np.all(np.abs(tf32 - a) <= np.abs(a) * 2.0**-11) and not np.any(found["%e"] & 0x1FFF)
    assert np.all(found["%f"] == 9 << 32 | 7) and np.all(found["%u"] == 7) and np.all(found["%v"] == 9)


def test_generic_addresses():
    body = """.shared .b8 room[64]; .reg .b64 %s, %g, %back; .reg .pred %p;
    mov.u64 %s, room; cvta.shared.u64 %g, %s; cvta.to.shared.u64 %back, %g;
    isspacep.shared %p, %g; selp.u32 %d, 1, 0, %p; isspacep.global %p, %g; selp.u32 %e, 1, 0, %p;
    sub.u64 %f, %back, %s;"""
    found, _ = run_snippet(body, {}, {"%d": "u32", "%e": "u32", "%f": "u64"})
    assert found["%d"].all() and not found["%e"].any() and not found["%f"].any()
