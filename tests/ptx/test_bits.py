"""Logic, shifts, bit fields and permutations against Python's integers."""

import numpy as np
import pytest

from tests.ptx.snippets import run_snippet

RNG = np.random.default_rng(11)
N = 32
WORD = (1 << 32) - 1


def words(bits=32):
    found = RNG.integers(0, 1 << bits, N, dtype=np.uint64).astype(f"u{bits // 8}")
    found[:4] = [0, (1 << bits) - 1, 1, 1 << (bits - 1)]
    return found


def two(text, kind="b32", a=None, b=None, result=None):
    a = words(int(kind[1:])) if a is None else a
    b = words(int(kind[1:])) if b is None else b
    found, _ = run_snippet(text, {"%a": (kind, a), "%b": (kind, b)}, {"%d": result or kind})
    return [int(x) for x in a], [int(x) for x in b], [int(x) for x in found["%d"]]


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize(("name", "function"), [("and", int.__and__), ("or", int.__or__), ("xor", int.__xor__)])
def test_logic(bits, name, function):
    a, b, got = two(f"{name}.b{bits} %d, %a, %b;", f"b{bits}")
    assert got == [function(x, y) for x, y in zip(a, b, strict=True)]


def test_logic_of_predicates():
    a, b = RNG.integers(0, 2, (2, N))
    body = """.reg .pred %p, %q, %r; setp.ne.u32 %p, %a, 0; setp.ne.u32 %q, %b, 0;
    xor.pred %r, %p, %q; selp.u32 %d, 1, 0, %r; not.pred %r, %p; selp.u32 %e, 1, 0, %r; selp.u32 %f, 1, 0, !%p;"""
    found, _ = run_snippet(body, {"%a": ("u32", a), "%b": ("u32", b)}, {"%d": "u32", "%e": "u32", "%f": "u32"})
    assert np.array_equal(found["%d"], a ^ b)
    assert np.array_equal(found["%e"], 1 - a) and np.array_equal(found["%f"], 1 - a)


@pytest.mark.parametrize("bits", [32, 64])
def test_shifts_clamp_their_count(bits):
    count = np.resize([0, 1, 7, bits - 1, bits, bits + 1, 255, 2**31], N).astype(np.uint32)
    inputs = {"%a": (f"u{bits}", words(bits)), "%n": ("u32", count)}
    body = f"shl.b{bits} %d, %a, %n; shr.u{bits} %e, %a, %n; shr.s{bits} %f, %a, %n;"
    found, _ = run_snippet(body, inputs, {"%d": f"u{bits}", "%e": f"u{bits}", "%f": f"s{bits}"})
    mask = (1 << bits) - 1
    for a, n, left, right, signed in zip(inputs["%a"][1], count, found["%d"], found["%e"], found["%f"], strict=True):
        value, shift = int(a), min(int(n), bits)
        negative = value - (1 << bits) if value >> (bits - 1) else value
        assert int(left) == value << shift & mask
        assert int(right) == value >> shift
        assert int(signed) == negative >> shift


@pytest.mark.parametrize("mode", ["l.wrap", "r.wrap", "l.clamp", "r.clamp"])
def test_funnel_shifts(mode):
    count = np.resize([0, 1, 13, 31, 32, 33, 63, 200], N).astype(np.uint32)
    low, high = words(), words()
    inputs = {"%a": ("b32", low), "%b": ("b32", high), "%n": ("u32", count)}
    found, _ = run_snippet(f"shf.{mode}.b32 %d, %a, %b, %n;", inputs, {"%d": "b32"})
    for x, y, n, got in zip(map(int, low), map(int, high), map(int, count), map(int, found["%d"]), strict=True):
        shift = n & 31 if "wrap" in mode else min(n, 32)
        both = y << 32 | x
        assert got == (both << shift >> 32 & WORD if mode[0] == "l" else both >> shift & WORD)


@pytest.mark.parametrize("table", [0x00, 0x96, 0xE8, 0xCA, 0x1F, 0xFF])
def test_any_function_of_three_bits(table):
    a, b, c = words(), words(), words()
    inputs = {"%a": ("b32", a), "%b": ("b32", b), "%c": ("b32", c)}
    found, _ = run_snippet(f"lop3.b32 %d, %a, %b, %c, {table};", inputs, {"%d": "b32"})
    for x, y, z, got in zip(a, b, c, found["%d"], strict=True):
        for bit in range(32):
            row = (int(x) >> bit & 1) << 2 | (int(y) >> bit & 1) << 1 | int(z) >> bit & 1
            assert int(got) >> bit & 1 == table >> row & 1


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bit_fields(kind):
    bits = int(kind[1:])
    position = np.resize([0, 3, bits - 1, bits, 40, 7, 255], N).astype(np.uint32)
    length = np.resize([0, 1, 5, bits, bits + 9, 12], N).astype(np.uint32)
    a, b = words(bits), words(bits)
    inputs = {"%a": (kind, a), "%b": (f"b{bits}", b), "%p": ("u32", position), "%n": ("u32", length)}
    body = f"bfe.{kind} %d, %a, %p, %n; bfi.b{bits} %e, %a, %b, %p, %n;"
    found, _ = run_snippet(body, inputs, {"%d": kind, "%e": f"b{bits}"})
    for x, y, p, n, taken, put in zip(a, b, position, length, found["%d"], found["%e"], strict=True):
        assert int(taken) == extracted(int(x), int(p), int(n), bits, kind[0] == "s")
        kept = max(0, min(int(n), bits - int(p)))
        mask = ((1 << kept) - 1) << int(p)
        assert int(put) == int(y) & ~mask | int(x) << int(p) & mask


def extracted(value, position, length, bits, signed):
    """As the PTX ISA manual defines ``bfe``, bit by bit."""
    value &= (1 << bits) - 1
    last = min(position + length - 1, bits - 1)
    sign = 0 if not signed or length == 0 else value >> last & 1
    result = 0
    for bit in range(bits):
        inside = bit < length and position + bit < bits
        result |= (value >> (position + bit) & 1 if inside else sign) << bit
    return result - (1 << bits) if signed and result >> (bits - 1) else result


@pytest.mark.parametrize("bits", [32, 64])
def test_counts(bits):
    a = words(bits)
    body = f"popc.b{bits} %d, %a; clz.b{bits} %e, %a; brev.b{bits} %f, %a;"
    body += f"bfind.u{bits} %g, %a; bfind.shiftamt.u{bits} %h, %a;"
    outputs = {"%d": "u32", "%e": "u32", "%f": f"b{bits}", "%g": "s32", "%h": "s32"}
    found, _ = run_snippet(body, {"%a": (f"b{bits}", a)}, outputs)
    for number, value in enumerate(map(int, a)):
        length = value.bit_length()
        assert int(found["%d"][number]) == value.bit_count()
        assert int(found["%e"][number]) == bits - length
        assert int(found["%f"][number]) == int(f"{value:0{bits}b}"[::-1], 2)
        assert int(found["%g"][number]) == length - 1
        assert int(found["%h"][number]) == (bits - length if value else -1)


def test_signed_highest_bit():
    a = np.resize(np.array([0, -1, 5, -6, 2**31 - 1, -(2**31)], np.int32), N)
    found, _ = run_snippet("bfind.s32 %d, %a;", {"%a": ("s32", a)}, {"%d": "s32"})
    assert [int(x) for x in found["%d"][:6]] == [-1, -1, 2, 2, 30, 30]


def test_bytes_are_picked():
    a, b = words(), words()
    control = np.resize([0x3210, 0x7654, 0x0123, 0x1111, 0xB3A1, 0x4040], N).astype(np.uint32)
    inputs = {"%a": ("b32", a), "%b": ("b32", b), "%c": ("b32", control)}
    found, _ = run_snippet("prmt.b32 %d, %a, %b, %c;", inputs, {"%d": "b32"})
    for x, y, c, got in zip(a, b, control, found["%d"], strict=True):
        eight = int(y) << 32 | int(x)
        expected = 0
        for place in range(4):
            nibble = int(c) >> 4 * place & 15
            byte = eight >> 8 * (nibble & 7) & 255
            if nibble & 8:
                byte = 255 if byte & 128 else 0
            expected |= byte << 8 * place
        assert int(got) == expected
