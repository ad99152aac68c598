"""Arithmetic instructions on integers and floating-point numbers (PTX ISA, sections on integer, floating-point and half
precision arithmetic).

Results of ``.approx`` instructions are rounded correctly here; devices may differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnc.errors import UnsupportedError
from cnnc.ptx.machine import Array, Machine, place
from cnnc.ptx.module import Instruction
from cnnc.ptx.pairs import PAIRS, joined, split
from cnnc.ptx.rounding import MODES, fused, rounded, two_product, two_sum
from cnnc.ptx.types import DTYPES, is_float, is_signed

Operation = Callable[[Machine, Instruction, "Array | None"], None]


def kind_of(instruction: Instruction) -> str:
    """The type that an instruction works on: its last modifier that is one."""
    for word in reversed(instruction.modifiers):
        if word in DTYPES:
            return word
    raise UnsupportedError("it has no type", where=place(instruction))


def mode_of(instruction: Instruction) -> str:
    """The rounding mode, to the nearest where none is given."""
    return next((word for word in instruction.modifiers if word in MODES), "rn")


def flushed(value: Array) -> Array:
    """Denormal float32 become zeros of their sign, as ``.ftz`` says."""
    if value.dtype != np.float32:
        return value
    tiny = np.abs(value) < np.finfo(np.float32).tiny
    return np.where(tiny, np.copysign(np.float32(0), value), value)


def finished(value: Array, instruction: Instruction) -> Array:
    """``.ftz``, ``.sat`` and ``.relu`` of a floating-point result."""
    if "ftz" in instruction.modifiers:
        value = flushed(value)
    if "sat" in instruction.modifiers and value.dtype.kind == "f":
        value = np.where(np.isnan(value), value.dtype.type(0), np.clip(value, 0, 1)).astype(value.dtype)
    if "relu" in instruction.modifiers:
        value = np.where(value > 0, value, np.where(np.isnan(value), value, value.dtype.type(0)))
    return value


def _sources(machine: Machine, instruction: Instruction, kind: str, count: int) -> list[Array]:
    if len(instruction.operands) != count + 1:
        raise UnsupportedError(
            f"it has {len(instruction.operands)} operands, not {count + 1}", where=place(instruction)
        )
    found = [machine.read(operand, kind, instruction) for operand in instruction.operands[1:]]
    return [flushed(value) for value in found] if "ftz" in instruction.modifiers else found


def _float_operation(count: int, compute: Callable[[list[Array], str], Array]) -> Operation:
    def run(machine: Machine, instruction: Instruction, active: Array | None) -> None:
        kind, mode = kind_of(instruction), mode_of(instruction)
        sources = _sources(machine, instruction, kind, count)
        if kind in PAIRS:
            parts = zip(*(split(value, kind) for value in sources), strict=True)
            result = joined([finished(compute(list(part), mode), instruction) for part in parts], kind)
        elif kind == "bf16":
            result = joined([finished(compute([split(value, kind)[0] for value in sources], mode), instruction)], kind)
        else:
            result = finished(compute(sources, mode), instruction)
        machine.write(instruction.operands[0], result, active, instruction)

    return run


def _add(values: list[Array], mode: str) -> Array:
    a, b = values
    if mode == "rn" and a.dtype != np.float64:
        return a + b
    high, low = two_sum(a.astype(np.float64), b.astype(np.float64))
    if a.dtype != np.float64:
        return rounded(high, low, a.dtype, mode)
    return high if mode == "rn" else rounded_double(high, low, mode)


def _multiply(values: list[Array], mode: str) -> Array:
    a, b = values
    if mode == "rn":
        return a * b
    if a.dtype != np.float64:
        product = a.astype(np.float64) * b.astype(np.float64)
        return rounded(product, np.zeros_like(product), a.dtype, mode)
    return rounded_double(*two_product(a, b), mode)


def rounded_double(high: Array, low: Array, mode: str) -> Array:
    """``high + low``, high being the nearest float64, rounded as ``mode`` says."""
    down, up = np.nextafter(high, -np.inf), np.nextafter(high, np.inf)
    falls, rises = low < 0, low > 0
    if mode == "rz":
        falls, rises = falls & (high > 0), rises & (high < 0)
    elif mode == "rm":
        rises = np.zeros_like(rises)
    else:
        falls = np.zeros_like(falls)
    return np.where(falls, down, np.where(rises, up, high))


def _by_double(function: Callable[..., Array]) -> Callable[[list[Array], str], Array]:
    """A function of float32 by way of float64, which rounds it correctly for division and square roots."""

    def compute(values: list[Array], mode: str) -> Array:
        kind = values[0].dtype
        exact = np.asarray(function(*(value.astype(np.float64) for value in values)))
        if mode == "rn" or kind == np.float64:
            return exact.astype(kind)
        nearest = exact.astype(kind)
        return rounded(exact, np.zeros_like(exact), kind, mode) if kind != np.float64 else nearest

    return compute


def _minimum(values: list[Array], mode: str) -> Array:
    return np.fmin(*values)


def _maximum(values: list[Array], mode: str) -> Array:
    return np.fmax(*values)


_FLOAT: dict[str, Operation] = {
    "add": _float_operation(2, _add),
    "sub": _float_operation(2, lambda values, mode: _add([values[0], -values[1]], mode)),
    "mul": _float_operation(2, _multiply),
    "fma": _float_operation(3, lambda values, mode: fused(values[0], values[1], values[2], mode)),
    "mad": _float_operation(3, lambda values, mode: fused(values[0], values[1], values[2], mode)),
    "div": _float_operation(2, _by_double(np.divide)),
    "rcp": _float_operation(1, _by_double(np.reciprocal)),
    "sqrt": _float_operation(1, _by_double(np.sqrt)),
    "rsqrt": _float_operation(1, _by_double(lambda value: 1 / np.sqrt(value))),
    "ex2": _float_operation(1, _by_double(np.exp2)),
    "lg2": _float_operation(1, _by_double(np.log2)),
    "sin": _float_operation(1, _by_double(np.sin)),
    "cos": _float_operation(1, _by_double(np.cos)),
    "tanh": _float_operation(1, _by_double(np.tanh)),
    "neg": _float_operation(1, lambda values, mode: -values[0]),
    "abs": _float_operation(1, lambda values, mode: np.abs(values[0])),
    "min": _float_operation(2, _minimum),
    "max": _float_operation(2, _maximum),
    "copysign": _float_operation(2, lambda values, mode: np.copysign(values[1], values[0])),
}


def _nan_extreme(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``min.NaN`` and ``max.NaN``: NaN if either is."""
    function = np.minimum if instruction.opcode == "min" else np.maximum
    _float_operation(2, lambda values, mode: function(*values))(machine, instruction, active)


def _integer_operation(count: int, compute: Callable[[list[Array], str], Array]) -> Operation:
    def run(machine: Machine, instruction: Instruction, active: Array | None) -> None:
        kind = kind_of(instruction)
        values = _sources(machine, instruction, kind, count)
        machine.write(instruction.operands[0], np.asarray(compute(values, kind)), active, instruction)

    return run


def _quotient(values: list[Array], kind: str) -> Array:
    """Rounded to zero; a division by zero gives all ones, as devices do."""
    a, b = values
    safe = np.where(b == 0, b.dtype.type(1), b)
    if not is_signed(kind):
        return np.asarray(np.where(b == 0, ~b.dtype.type(0), a // safe), b.dtype)
    quotient = a // safe
    inexact = (quotient * safe != a) & ((a < 0) != (safe < 0))
    return np.asarray(np.where(b == 0, b.dtype.type(-1), quotient + inexact), b.dtype)


def _remainder(values: list[Array], kind: str) -> Array:
    a, b = values
    return np.asarray(np.where(b == 0, a, a - _quotient(values, kind) * b), b.dtype)


def _high_half(a: Array, b: Array) -> Array:
    """The upper half of the product of integers of at most 64 bits."""
    bits = 8 * a.dtype.itemsize
    if bits < 64:
        wide = np.dtype(f"{a.dtype.kind}{2 * a.dtype.itemsize}")
        return np.asarray((a.astype(wide) * b.astype(wide)) >> bits, a.dtype)
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    x, y = a.view(np.uint64), b.view(np.uint64)
    cross = (x & low) * (y >> half) + (((x & low) * (y & low)) >> half)
    other = (x >> half) * (y & low) + (cross & low)
    high = (x >> half) * (y >> half) + (cross >> half) + (other >> half)
    if a.dtype.kind == "i":
        zero = np.uint64(0)
        high = high - np.where(a < 0, y, zero) - np.where(b < 0, x, zero)
    return np.asarray(high.view(a.dtype))


def _product(a: Array, b: Array, instruction: Instruction) -> Array:
    if "wide" in instruction.modifiers:
        wide = np.dtype(f"{a.dtype.kind}{2 * a.dtype.itemsize}")
        return np.asarray(a.astype(wide) * b.astype(wide))
    if "hi" in instruction.modifiers:
        return np.asarray(_high_half(*np.broadcast_arrays(a, b)))
    return np.asarray(a * b)


def _multiply_integers(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``mul`` and ``mad``; with ``wide`` the sum is of the wider type."""
    kind = kind_of(instruction)
    a, b = (machine.read(operand, kind, instruction) for operand in instruction.operands[1:3])
    result = _product(a, b, instruction)
    if instruction.opcode == "mad":
        result = result + machine.read(instruction.operands[3], f"{kind[0]}{8 * result.dtype.itemsize}", instruction)
    machine.write(instruction.operands[0], result, active, instruction)


def _dot(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``dp4a``: four products of bytes, added to a 32-bit sum; ``dp2a``: two of 16 bits and bytes of one half."""
    types = [word for word in instruction.modifiers if word in ("u32", "s32")]
    kinds = ["u" if word == "u32" else "i" for word in types]
    a, b = (machine.read(operand, "b32", instruction) for operand in instruction.operands[1:3])
    total_kind = "s32" if "s32" in types else "u32"
    total = machine.read(instruction.operands[3], total_kind, instruction).astype(np.int64)
    if instruction.opcode == "dp4a":
        size, first = 1, 0
    else:
        size, first = 2, 16 if "hi" in instruction.modifiers else 0
    for number, shift in enumerate(range(0, 32, 8 * size)):
        left = (a >> np.uint32(shift)).astype(f"u{size}").view(f"{kinds[0]}{size}").astype(np.int64)
        at = shift if size == 1 else first + 8 * number
        right = (b >> np.uint32(at)).astype(np.uint8).view(f"{kinds[1]}1").astype(np.int64)
        total = total + left * right
    machine.write(instruction.operands[0], total.astype(np.uint32), active, instruction)


def _absolute_difference(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    a, b, c = _sources(machine, instruction, kind_of(instruction), 3)
    machine.write(instruction.operands[0], c + np.where(a > b, a - b, b - a), active, instruction)


_INTEGER: dict[str, Operation] = {
    "add": _integer_operation(2, lambda values, kind: values[0] + values[1]),
    "sub": _integer_operation(2, lambda values, kind: values[0] - values[1]),
    "mul": _multiply_integers,
    "mad": _multiply_integers,
    "div": _integer_operation(2, _quotient),
    "rem": _integer_operation(2, _remainder),
    "min": _integer_operation(2, lambda values, kind: np.minimum(*values)),
    "max": _integer_operation(2, lambda values, kind: np.maximum(*values)),
    "abs": _integer_operation(1, lambda values, kind: np.abs(values[0])),
    "neg": _integer_operation(1, lambda values, kind: np.negative(values[0])),
}


def _by_type(opcode: str) -> Operation:
    def run(machine: Machine, instruction: Instruction, active: Array | None) -> None:
        kind = kind_of(instruction)
        floats = is_float(kind) or kind in ("bf16", *PAIRS)
        table = _FLOAT if floats else _INTEGER
        if opcode not in table or "cc" in instruction.modifiers:
            raise UnsupportedError(f"there is no {instruction.name}", where=place(instruction))
        if floats and "NaN" in instruction.modifiers:
            _nan_extreme(machine, instruction, active)
            return
        table[opcode](machine, instruction, active)

    return run


OPERATIONS: dict[str, Operation] = {
    **{opcode: _by_type(opcode) for opcode in {*_FLOAT, *_INTEGER}},
    "dp4a": _dot,
    "dp2a": _dot,
    "sad": _absolute_difference,
}
"""Opcode -> what it does."""
