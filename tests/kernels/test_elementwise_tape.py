"""elementwise.tape: every opcode, broadcasts, chains, and the encoder's slot allocation."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from cnnc.errors import InternalError
from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.cpu.elementwise_tape import Operand, arguments, broadcast_strides
from cnnc.runtime.cpu.tape_encoding import ARITY, TapeStep, encode_tape
from cnnc.runtime.jit.kernel_library import load_kernel
from cnnc.runtime.kernel import Variant
from tests.kernels.harness import poison, run
from tests.kernels.opcode_reference import REFERENCE, check_opcode, opcode_operands

pytestmark = pytest.mark.jit
TAPE = Variant.of("elementwise.tape")


def _run(shape, inputs, steps, outputs):
    """Run a chain over ``shape``; ``outputs`` are (value, kind). Returns the output arrays."""
    kinds = ["bool" if array.dtype == bool else "f32" for array in inputs]
    tape = encode_tape(kinds, steps, outputs)
    operands = [Operand(broadcast_strides(array.shape, shape), array.itemsize) for array in inputs]
    results = [poison(shape, np.bool_ if kind == "bool" else np.float32) for _, kind in outputs]
    whole = [Operand(broadcast_strides(shape, shape), array.itemsize) for array in results]
    sizes = arguments(shape, operands, whole, len(tape))
    buffers = {f"x{i}": inputs[i] if i < len(inputs) else None for i in range(8)}
    buffers |= {f"y{i}": results[i] if i < len(results) else None for i in range(4)}
    after = run(TAPE, buffers | {"tape": tape}, sizes)
    return [after[f"y{i}"] for i in range(len(outputs))]


def test_every_opcode_has_a_reference():
    assert set(REFERENCE) == set(ARITY)


@pytest.mark.parametrize("op", list(ARITY))
def test_opcode(op):
    operands, alpha, beta = opcode_operands(op)
    step = TapeStep(op, tuple(range(len(operands))), alpha, beta)
    (got,) = _run(operands[0].shape, operands, [step], [(len(operands), "f32")])
    check_opcode(op, operands, got)


def test_signed_zero_and_nan_payloads_follow_onnx():
    x = np.array([np.nan, -0.0, 0.0, -np.inf], np.float32)
    (got,) = _run(x.shape, [x], [TapeStep("relu", (0,))], [(1, "f32")])
    assert np.isnan(got[0]) and (got[1:] == 0).all()
    (got,) = _run(x.shape, [x], [TapeStep("neg", (0,))], [(1, "f32")])
    np.testing.assert_array_equal(np.signbit(got[1:]), [False, True, False])


@pytest.mark.parametrize("size", [1, 2, 8, 15, 16, 17, 1023, 1024, 1025, 5000])
def test_chain_with_constants(size):
    x = np.linspace(-3, 3, size).astype(np.float32)
    steps = [TapeStep("mul", (0, 2.0)), TapeStep("add", (1, -1.0)), TapeStep("relu", (2,)), TapeStep("add", (3, 0))]
    (got,) = _run(x.shape, [x], steps, [(4, "f32")])
    np.testing.assert_array_equal(got, np.maximum(x * 2 - np.float32(1), 0) + x)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 5, 7, 9), (5, 1, 1)),
        ((2, 5, 7, 9), (2, 5, 1, 1)),
        ((2, 5, 7, 9), (7, 9)),
        ((2, 5, 7, 9), (1,)),
        ((3, 1, 4, 1, 5, 1), (1, 2, 1, 3, 1, 6)),
        ((40, 1, 40), (1, 3, 1)),
        ((3, 4, 30, 16), (4, 1, 16)),  # a per-channel vector of a blocked tensor
        ((3, 49, 16), (3, 1, 16)),
        ((5, 49, 8), (5, 1, 8)),
        ((9, 33, 4), (9, 1, 1)),
        ((1, 3000), (2, 1)),
        ((), ()),
    ],
)
def test_broadcast(shapes):
    random = np.random.default_rng(5)
    a, b = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    expected = a - b
    (got,) = _run(expected.shape, [a, b], [TapeStep("sub", (0, 1))], [(2, "f32")])
    np.testing.assert_array_equal(got, expected)


def test_a_scalar_behind_a_short_tile():
    """The scalar's tile of the last, short piece of a row must not pass for a whole one in the next row."""
    a, b, c = (np.random.default_rng(8).normal(size=shape).astype(np.float32) for shape in ((3, 2500), (2500,), (1,)))
    (got,) = _run((3, 2500), [a, b, c], [TapeStep("fma", (0, 1, 2))], [(3, "f32")])
    np.testing.assert_allclose(got, a * b + c, rtol=1e-5, atol=1e-6)


def test_strided_operands():
    """A transposed input and a result written into every third place."""
    x = np.random.default_rng(1).normal(size=(21, 35)).astype(np.float32)
    tape = encode_tape(["f32"], [TapeStep("neg", (0,))], [(1, "f32")])
    sizes = arguments((35, 21), [Operand((1, 35))], [Operand((63, 3))], len(tape))
    empty = dict.fromkeys([*(f"x{i}" for i in range(1, 8)), *(f"y{i}" for i in range(1, 4))])
    out = poison((35, 63))
    got = run(TAPE, {"x0": x, "y0": out, "tape": tape, **empty}, sizes)["y0"]
    np.testing.assert_array_equal(got[:, ::3], -x.T)
    assert np.isnan(got[:, 1::3]).all() and np.isnan(got[:, 2::3]).all()


def test_bool_operands_and_several_outputs():
    random = np.random.default_rng(2)
    x, y = (random.normal(size=(33, 50)).astype(np.float32) for _ in range(2))
    mask = random.random((50,)) < 0.5
    steps = [
        TapeStep("less", (0, 1)),
        TapeStep("and", (3, 2)),
        TapeStep("where", (4, 0, 1)),
        TapeStep("add", (5, 0)),
    ]
    both, chosen, total = _run(x.shape, [x, y, mask], steps, [(4, "bool"), (5, "f32"), (6, "f32")])
    np.testing.assert_array_equal(both, (x < y) & mask)
    assert both.view(np.uint8).max() == 1
    np.testing.assert_array_equal(chosen, np.where(both, x, y))
    np.testing.assert_array_equal(total, chosen + x)


def test_result_may_share_memory_with_an_input():
    """Outputs are written behind the last read of an input, even when a result is computed early."""
    tape = encode_tape(["f32"], [TapeStep("neg", (0,)), TapeStep("mul", (1, 0))], [(1, "f32"), (2, "f32")])
    instructions = tape[16:].reshape(-1, 6)
    writes_output = [slot in range(8, 12) for slot in instructions[:, 1]]
    reads_input = [min(row[2:5]) < 8 for row in instructions]
    assert max(i for i, read in enumerate(reads_input) if read) <= writes_output.index(True)


def test_in_place():
    """y0 is x0's memory, while a later step still reads x0."""
    x = np.random.default_rng(6).normal(size=(3, 1500)).astype(np.float32)
    bias = np.arange(3, dtype=np.float32).reshape(3, 1)
    steps = [TapeStep("add", (0, 1)), TapeStep("mul", (2, 0)), TapeStep("neg", (3,))]
    tape = encode_tape(["f32", "f32"], steps, [(4, "f32")])
    whole = Operand((1500, 1))
    sizes = arguments(x.shape, [whole, Operand((1, 0))], [whole], len(tape))
    memory = x.copy()
    addresses = {"x0": memory, "x1": bias, "y0": memory, "tape": tape}
    kernel = kernel_def("elementwise.tape")
    slots = [addresses[name].ctypes.data if name in addresses else 0 for name in kernel.buffers]
    block = np.array(slots + [sizes[name] for name in kernel.sizes], np.int64)
    scratch = np.zeros(kernel.scratch_bytes(sizes, {}) + 64, np.uint8)
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(load_kernel(TAPE))
    entry(block.ctypes.data, 0, kernel.items(sizes, {}), -(-scratch.ctypes.data // 64) * 64)
    np.testing.assert_array_equal(memory, -((x + bias) * x))


def test_outputs_that_are_inputs_or_repeat():
    a, b = (np.full((40,), value, np.float32) for value in (1, 2))
    got = _run((40,), [a, b], [TapeStep("add", (0, 1))], [(1, "f32"), (0, "f32"), (2, "f32"), (2, "f32")])
    assert [array[0] for array in got] == [2, 1, 3, 3]
    (got,) = _run((40,), [a], [], [(0, "f32")])
    assert (got == 1).all()


def test_many_temporaries_and_refusals():
    steps = [TapeStep("add", (i, float(i))) for i in range(8)]
    steps += [TapeStep("add", (8 + i, 9 + i)) for i in range(7)]
    inputs = [np.full((20,), i, np.float32) for i in range(8)]
    (got,) = _run((20,), inputs, steps, [(8 + len(steps) - 1, "f32")])
    assert (got == 6 + 6 + 7 + 7).all()
    with pytest.raises(InternalError, match="temporaries"):
        encode_tape(["f32"], [TapeStep("add", (0, float(i))) for i in range(25)], [(25, "f32")])
    with pytest.raises(InternalError, match="no op"):
        encode_tape(["f32"], [TapeStep("fold", (0,))], [(1, "f32")])
    with pytest.raises(InternalError, match="operands"):
        encode_tape(["f32"], [TapeStep("add", (0,))], [(1, "f32")])
    with pytest.raises(InternalError, match="separate dims"):
        strides = (64, 1, 2, 4, 8, 16, 32)
        arguments((2,) * 7, [Operand(strides)], [Operand(strides[::-1])], 1)


def test_empty():
    (got,) = _run((3, 0), [np.zeros((3, 0), np.float32)], [TapeStep("relu", (0,))], [(1, "f32")])
    assert got.shape == (3, 0)
