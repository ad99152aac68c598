"""Matrix products of a warp against NumPy, with fragments placed by the manual's formulas."""

import numpy as np
import pytest

from cnnc.errors import UnsupportedError
from cnnc.ptx import AccessError
from tests.ptx.snippets import run_snippet

RNG = np.random.default_rng(23)
GROUP, THREAD = np.arange(32) // 4, np.arange(32) % 4
ELEMENTS = {"f16": np.float16, "bf16": np.uint16, "tf32": np.uint32, "s8": np.int8, "u8": np.uint8}


def random(kind, shape):
    if kind in ("s8", "u8"):
        return RNG.integers(*((-128, 128) if kind == "s8" else (0, 256)), shape).astype(ELEMENTS[kind])
    values = RNG.standard_normal(shape).astype(np.float32)
    if kind == "f16":
        return values.astype(np.float16)
    kept = 16 if kind == "bf16" else 13
    return (values.view(np.uint32) >> kept << kept).view(np.float32)


def stored(values, kind):
    """The elements as they lie in a word."""
    if kind == "bf16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.view(np.uint32) if kind == "tf32" else values


def words_of(elements):
    """32-bit words, one a lane, of neighbouring elements [32, elements of a word]."""
    return np.ascontiguousarray(elements).view(np.uint32)[:, 0]


def left_words(a, kind):
    """The registers of A: rows g and g + 8, then the next elements along K."""
    per = 4 // np.dtype(ELEMENTS[kind]).itemsize
    raw, found = stored(a, kind), []
    for part in range(0, a.shape[1], 4 * per):
        for half in range(a.shape[0] // 8):
            columns = part + THREAD[:, None] * per + np.arange(per)
            found.append(words_of(raw[GROUP[:, None] + 8 * half, columns]))
    return found


def right_words(b, kind):
    per = 4 // np.dtype(ELEMENTS[kind]).itemsize
    raw = stored(b, kind)
    rows = [part + THREAD[:, None] * per + np.arange(per) for part in range(0, b.shape[0], 4 * per)]
    return [words_of(raw[row, GROUP[:, None]]) for row in rows]


CASES = [
    ("m16n8k16", "f32", "f16"),
    ("m16n8k8", "f32", "f16"),
    ("m16n8k16", "f32", "bf16"),
    ("m16n8k8", "f32", "bf16"),
    ("m16n8k8", "f32", "tf32"),
    ("m16n8k4", "f32", "tf32"),
    ("m16n8k32", "s32", "s8"),
    ("m16n8k16", "s32", "s8"),
    ("m16n8k32", "s32", "u8"),
    ("m8n8k16", "s32", "s8"),
]


@pytest.mark.parametrize(("shape", "result", "kind"), CASES)
def test_products(shape, result, kind):
    rows = int(shape[1:].split("n")[0])
    depth = int(shape.split("k")[1])
    a, b = random(kind, (rows, depth)), random(kind, (depth, 8))
    c = RNG.integers(-1000, 1000, (rows, 8)).astype(np.float32 if result == "f32" else np.int32)
    left, right = left_words(a, kind), right_words(b, kind)
    places = [(GROUP + 8 * half, 2 * THREAD + odd) for half in range(rows // 8) for odd in range(2)]
    inputs = {f"%a{n}": ("b32", word) for n, word in enumerate(left)}
    inputs |= {f"%b{n}": ("b32", word) for n, word in enumerate(right)}
    inputs |= {f"%c{n}": (result, c[place]) for n, place in enumerate(places)}
    names = {letter: ", ".join(f"%{letter}{n}" for n in range(count)) for letter, count in
             (("a", len(left)), ("b", len(right)), ("c", len(places)), ("d", len(places)))}  # fmt: skip
    body = f"mma.sync.aligned.{shape}.row.col.{result}.{kind}.{kind}.{result} {{{names['d']}}}, {{{names['a']}}},"
    body += f"{{{names['b']}}}, {{{names['c']}}};"
    found, counters = run_snippet(body, inputs, {f"%d{n}": result for n in range(len(places))})
    expected = a.astype(np.float64) @ b.astype(np.float64) + c
    for number, place in enumerate(places):
        got = found[f"%d{number}"]
        assert np.array_equal(got, expected[place].astype(got.dtype))
    assert counters.flops == 2 * rows * 8 * depth and counters.issued["tensor"] == 1


def test_half_sums():
    a, b = random("f16", (16, 16)), random("f16", (16, 8))
    c = random("f16", (16, 8))
    inputs = {f"%a{n}": ("b32", word) for n, word in enumerate(left_words(a, "f16"))}
    inputs |= {f"%b{n}": ("b32", word) for n, word in enumerate(right_words(b, "f16"))}
    pairs = 2 * THREAD[:, None] + np.arange(2)
    inputs |= {f"%c{half}": ("b32", words_of(c[GROUP[:, None] + 8 * half, pairs])) for half in range(2)}
    body = """mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%d0, %d1}, {%a0, %a1, %a2, %a3}, {%b0, %b1},
    {%c0, %c1};"""
    found, _ = run_snippet(body, inputs, {"%d0": "b32", "%d1": "b32"})
    expected = (a.astype(np.float64) @ b.astype(np.float64) + c).astype(np.float16)
    for half in range(2):
        assert np.array_equal(found[f"%d{half}"], words_of(expected[GROUP[:, None] + 8 * half, pairs]))


def test_integers_saturate_if_asked():
    inputs = {f"%a{n}": ("b32", 0x7F7F7F7F) for n in range(2)} | {"%b0": ("b32", 0x7F7F7F7F)}
    inputs |= {f"%c{n}": ("s32", 2**31 - 1) for n in range(4)}
    operands = "{%d0, %d1, %d2, %d3}, {%a0, %a1}, {%b0}, {%c0, %c1, %c2, %c3};"
    outputs = {f"%d{n}": "s32" for n in range(4)}
    name = "mma.sync.aligned.m16n8k16.row.col{0}.s32.s8.s8.s32 "
    wrapped, _ = run_snippet(name.replace("{0}", "") + operands, inputs, outputs)
    limited, _ = run_snippet(name.replace("{0}", ".satfinite") + operands, inputs, outputs)
    assert np.all(wrapped["%d0"] == 2**31 - 1 + 16 * 127 * 127 - 2**32)
    assert np.all(limited["%d0"] == 2**31 - 1)


@pytest.mark.parametrize("transposed", [False, True])
def test_matrices_are_loaded(transposed):
    values = np.arange(4 * 64, dtype=np.uint16).reshape(4, 8, 8)
    flat = values.reshape(32, 8).view(np.uint32)
    inputs = {f"%w{n}": ("b32", flat[:, n]) for n in range(4)}
    suffix = ".trans" if transposed else ""
    body = f""".shared .align 16 .b8 room[512]; .reg .b64 %s, %o; mov.u64 %s, room; mul.wide.u32 %o, %thread, 16;
    add.u64 %s, %s, %o; st.shared.v4.b32 [%s], {{%w0, %w1, %w2, %w3}}; bar.sync 0;
    ldmatrix.sync.aligned.m8n8.x4{suffix}.shared.b16 {{%d0, %d1, %d2, %d3}}, [%s];"""
    found, counters = run_snippet(body, inputs, {f"%d{n}": "b32" for n in range(4)})
    for number in range(4):
        matrix = values[number].T if transposed else values[number]
        expected = words_of(matrix[GROUP[:, None], 2 * THREAD[:, None] + np.arange(2)])
        assert np.array_equal(found[f"%d{number}"], expected)
    assert counters.conflicts == 0


def load_matrices(count, pitch, offset=0):
    """(words, counters) of 8 x ``count`` rows that lie ``pitch`` bytes apart from ``offset`` on; word n of row r is
    100 r + n."""
    rows = np.zeros(32, np.uint32)
    rows[: 8 * count] = np.arange(8 * count)
    inputs = {"%row": ("b32", rows)}
    inputs |= {f"%w{n}": ("b32", 100 * np.arange(32) + n) for n in range(4)}
    names = ", ".join(f"%d{n}" for n in range(count))
    body = f""".shared .align 16 .b8 room[{32 * pitch}]; .reg .b64 %s, %o; mov.u64 %s, room;
    mul.wide.u32 %o, %thread, {pitch}; add.u64 %o, %s, %o; st.shared.v4.b32 [%o], {{%w0, %w1, %w2, %w3}}; bar.sync 0;
    mul.wide.u32 %o, %row, {pitch}; add.u64 %s, %s, %o;
    ldmatrix.sync.aligned.m8n8.x{count}.shared.b16 {{{names}}}, [%s+{offset}];"""
    return run_snippet(body, inputs, {f"%d{n}": "b32" for n in range(count)})


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_matrices_take_the_addresses_of_fewer_threads(count):
    found, counters = load_matrices(count, 16)
    for number in range(count):
        assert np.array_equal(found[f"%d{number}"], 100 * (8 * number + GROUP) + THREAD)
    assert counters.shared_cycles - counters.conflicts == 4 + count  # the store's, and a matrix a cycle


@pytest.mark.parametrize(("pitch", "conflicts"), [(16, 0), (80, 0), (32, 4), (64, 12), (128, 28)])
def test_rows_of_a_matrix_that_share_banks_are_served_in_turns(pitch, conflicts):
    """Eight rows of 16 bytes are read in one cycle if they lie in different banks; so is what a quarter warp stores."""
    _, counters = load_matrices(4, pitch)
    assert counters.conflicts == 2 * conflicts


@pytest.mark.parametrize(("offset", "said"), [(8, "no multiple"), (512, "of shared memory, which has 512")])
def test_rows_of_a_matrix_are_checked(offset, said):
    with pytest.raises(AccessError, match=said):
        load_matrices(4, 16, offset)


def product(kind, a, b):
    """A @ B [16, 8] by one instruction of 8 (tf32) or 16 elements along K."""
    depth = a.shape[1]
    inputs = {f"%a{n}": ("b32", word) for n, word in enumerate(left_words(a, kind))}
    inputs |= {f"%b{n}": ("b32", word) for n, word in enumerate(right_words(b, kind))}
    inputs["%c"] = ("f32", 0)
    body = f"""mma.sync.aligned.m16n8k{depth}.row.col.f32.{kind}.{kind}.f32 {{%d0, %d1, %d2, %d3}},
    {{%a0, %a1, %a2, %a3}}, {{%b0, %b1}}, {{%c, %c, %c, %c}};"""
    found, _ = run_snippet(body, inputs, {f"%d{n}": "f32" for n in range(4)})
    result = np.zeros((16, 8), np.float32)
    for number in range(4):
        result[GROUP + 8 * (number // 2), 2 * THREAD + number % 2] = found[f"%d{number}"]
    return result


@pytest.mark.parametrize(("kind", "depth"), [("f16", 16), ("bf16", 16), ("tf32", 8)])
def test_infinities_stay_in_their_rows_and_columns(kind, depth):
    a, b = random(kind, (16, depth)), np.abs(random(kind, (depth, 8))) + 1
    b = (b.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32) if kind != "f16" else b
    a[3, 5], b[5, 2] = np.inf, 0
    result = product(kind, a, b)
    assert np.isnan(result[3, 2]) and np.all(np.isposinf(np.delete(result[3], 2)))
    assert np.all(np.isfinite(np.delete(result, 3, axis=0)))


def test_bits_behind_those_of_tf32_do_not_count():
    a, b = random("tf32", (16, 8)), random("tf32", (8, 8))
    longer = (a.view(np.uint32) | np.uint32(0x1FFF)).view(np.float32)
    assert np.array_equal(product("tf32", longer, b), product("tf32", a, b))


@pytest.mark.parametrize("name", ["m16n8k8.row.col.f32.f32.f32.f32", "m32n8k16.row.col.s32.s8.s8.s32"])
def test_other_shapes_are_refused(name):
    with pytest.raises(UnsupportedError, match="there is no mma"):
        run_snippet(f"mma.sync.aligned.{name} {{%d}}, {{%a}}, {{%a}}, {{%a}};", {"%a": ("b32", 0)}, {"%d": "b32"})
