"""elementwise.chain on the emulator: every op, broadcasts, chains, places, and what texts are refused."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.errors import InternalError
from cnnc.runtime.cpu.elementwise_tape import Operand, broadcast_strides
from cnnc.runtime.cpu.tape_encoding import ARITY, TapeStep
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.chain_text import Chain, parse_chain
from cnnc.runtime.cuda.elementwise_chain import iteration
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import launch
from tests.kernels.harness import poison
from tests.kernels.opcode_reference import check_opcode, opcode_operands


def _variant(found, inputs, steps, kind="f"):
    letters = ["b" if array.dtype == bool else "f" for array in inputs]
    text = Chain(tuple(map("".join, zip(letters, found.steps))), kind, tuple(steps))
    return Variant.of("elementwise.chain", chain=str(text), rank=found.rank)


def run_chain(shape, inputs, steps, *, kind="f", out=None):
    """(result, counters) of a chain over ``shape``; ``out`` is an operand to write over."""
    y = poison(shape, np.bool_ if kind == "b" else np.float32) if out is None else out
    operands = [Operand(broadcast_strides(array.shape, shape)) for array in inputs]
    found = iteration(shape, operands, Operand(broadcast_strides(shape, shape)))
    buffers = {f"x{number}": inputs[number] if number < len(inputs) else None for number in range(8)}
    return y, launch(_variant(found, inputs, steps, kind), {"y": y, **buffers}, found.sizes)


@pytest.mark.parametrize("op", list(ARITY))
def test_op(op):
    operands, alpha, beta = opcode_operands(op)
    step = TapeStep(op, tuple(range(len(operands))), alpha, beta)
    got, _ = run_chain(operands[0].shape, operands, [step])
    check_opcode(op, operands, got)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 1023, 1024, 1025, 2500])
def test_chain_with_constants(size):
    x = np.linspace(-3, 3, size).astype(np.float32)
    steps = [TapeStep("mul", (0, 2.7)), TapeStep("add", (1, -1.0)), TapeStep("relu", (2,)), TapeStep("add", (3, 0))]
    got, _ = run_chain(x.shape, [x], steps)
    # Bit for bit: products and sums are rounded one by one.
    np.testing.assert_array_equal(got, np.maximum(x * np.float32(2.7) - np.float32(1), 0) + x)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 5, 7, 9), (5, 1, 1)),
        ((2, 5, 4, 3), (2, 5, 1, 1)),
        ((2, 5, 7, 9), (7, 9)),
        ((2, 5, 7, 9), (1,)),
        ((3, 1, 4, 1, 5, 1), (1, 2, 1, 3, 1, 6)),
        ((3, 4, 30, 8), (4, 1, 8)),  # a per-channel vector of a blocked tensor
        ((3, 4, 30, 8), (3, 4, 1, 8)),  # a gate of each image
        ((5, 49, 8), (5, 1, 8)),
        ((1, 1500), (2, 1)),
        ((), ()),
    ],
    ids=str,
)
def test_broadcast(shapes):
    random = np.random.default_rng(5)
    a, b = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    expected = a - b
    got, _ = run_chain(expected.shape, [a, b], [TapeStep("sub", (0, 1))])
    np.testing.assert_array_equal(got, expected)


def test_strided_operands_and_gaps():
    """A transposed input, and a result whose images lie apart."""
    x, y = np.random.default_rng(1).normal(size=(21, 36)).astype(np.float32), poison((36, 29))
    found = iteration((36, 21), [Operand((1, 36))], Operand((29, 1)))
    buffers = {"y": y, "x0": x, **{f"x{number}": None for number in range(1, 8)}}
    launch(_variant(found, [x], [TapeStep("neg", (0,))]), buffers, found.sizes)
    np.testing.assert_array_equal(y[:, :21], -x.T)
    assert np.isnan(y[:, 21:]).all()


@pytest.mark.parametrize("first", [0, 1])
def test_quads_are_not_moved_where_they_lie_apart(first):
    """Operands that begin beside a multiple of 16 bytes."""
    x, y = np.arange(65, dtype=np.float32), poison((65,))
    found = iteration((64,), [Operand((1,))], Operand((1,)))
    buffers = {"y": y, "x0": x, **{f"x{number}": None for number in range(1, 8)}}
    launch(_variant(found, [x], [TapeStep("neg", (0,))]), buffers, found.sizes, offsets={"x0": 4 * first})
    np.testing.assert_array_equal(y[:64], -x[first : first + 64])
    assert np.isnan(y[64])


@pytest.mark.parametrize("shape", [(33, 52), (33, 51)], ids=str)
def test_bool_operands_and_result(shape):
    random = np.random.default_rng(2)
    x, y = (random.normal(size=shape).astype(np.float32) for _ in range(2))
    mask, whole = random.random(shape[1:]) < 0.5, random.random(shape) < 0.5
    steps = [TapeStep("less", (0, 1)), TapeStep("and", (4, 2)), TapeStep("xor", (5, 3))]
    got, _ = run_chain(shape, [x, y, mask, whole], steps, kind="b")
    np.testing.assert_array_equal(got, ((x < y) & mask) ^ whole)
    assert got.view(np.uint8).max() == 1
    got, _ = run_chain(shape, [whole, x, y], [TapeStep("where", (0, 1, 2))])
    np.testing.assert_array_equal(got, np.where(whole, x, y))


@pytest.mark.parametrize("size", [1500, 1501])
def test_in_place(size):
    """y is x0's memory, while a later step still reads x0."""
    x = np.random.default_rng(6).normal(size=(3, size)).astype(np.float32)
    bias = np.arange(3, dtype=np.float32).reshape(3, 1)
    steps = [TapeStep("add", (0, 1)), TapeStep("mul", (2, 0)), TapeStep("neg", (3,))]
    memory = x.copy()
    run_chain(x.shape, [memory, bias], steps, out=memory)
    np.testing.assert_array_equal(memory, -((x + bias) * x))
    found = iteration(x.shape, [Operand((size, 1)), Operand((1, 0))], Operand((size, 1)))
    kernel, options = kernel_def("elementwise.chain"), _variant(found, [x, bias], steps).options
    assert kernel.inplace(found.sizes, options) == (("y", "x0"),)


def test_memory_moves_in_whole_sectors():
    x, lanes = np.ones((2, 4, 32, 8), np.float32), np.ones((4, 1, 8), np.float32)
    gate = np.ones((2, 4, 1, 8), np.float32)
    steps = [TapeStep("fma", (0, 1, 1)), TapeStep("relu", (3,)), TapeStep("mul", (4, 2))]
    got, counters = run_chain(x.shape, [x, lanes, gate], steps)
    assert (got == 2).all()
    assert counters.divergent_branches == 0
    warps = x.size // 4 // 32
    assert counters.sectors == 2 * x.nbytes // 32 + 2 * warps  # a vector of a block of channels is a sector


def test_constants_may_be_infinite_or_no_number():
    x = np.array([-1, 0, 1], np.float32)
    got, _ = run_chain((3,), [x], [TapeStep("max", (0, -np.inf)), TapeStep("where", (0, 1, np.nan))])
    np.testing.assert_array_equal(got, [-1, np.nan, 1])


def test_text_says_the_chain():
    chain = Chain(
        ("f1", "b0", "f*"),
        "b",
        (TapeStep("clip", (0,), -1.0, 2.0), TapeStep("where", (1, 3, 0.1)), TapeStep("selu", (4,), 0.0, 0.5)),
    )
    assert str(chain) == "f1 b0 f* > b: clip 0 @bf800000 @40000000; where 1 3 #3dcccccd; selu 4 @00000000 @3f000000"
    assert str(parse_chain(str(chain))) == str(chain)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no chain"),
        ("f1 > f", "no chain"),
        ("g1 > f: neg 0", "no chain"),
        ("f1 > i: neg 0", "no chain"),
        (f"{'f1 ' * 9}> f: neg 0", "at most 8"),
        ("f1 > f: ", "no step"),
        ("f1 > f: neg 0;", "not the number"),
        ("f1 > f: fold 0", "no op 'fold'"),
        ("f1 > f: neg 1", "not computed before"),
        ("f1 > f: add 0", "takes 2 operands"),
        ("f1 > f: add 0 #1.0", "not the bits"),
        ("f1 > f: clip 0 @00000000 @00000000 @00000000", "no step"),
        ("f1 > f: neg __import__('os')", "not the number"),
    ],
)
def test_other_texts_are_refused(text, words):
    with pytest.raises(InternalError, match=words):
        parse_chain(text)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InternalError, match="7 separate axes"):
        iteration((2,) * 7, [Operand((64, 1, 2, 4, 8, 16, 32))], Operand((64, 32, 16, 8, 4, 2, 1)))
    with pytest.raises(InternalError, match="strided along"):
        iteration((5, 4), [Operand((4, 1))], Operand((8, 2)))
