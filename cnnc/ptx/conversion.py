"""Moves and conversions: ``mov``, ``cvt``, ``cvta``, ``isspacep`` (PTX ISA, data movement and conversion)."""

from __future__ import annotations

import numpy as np

from cnnc.errors import UnsupportedError
from cnnc.ptx.arithmetic import Operation, finished, flushed, kind_of
from cnnc.ptx.machine import Array, Machine, as_kind, place
from cnnc.ptx.memory import LOCAL_WINDOW, SHARED_WINDOW
from cnnc.ptx.module import Instruction, Pack
from cnnc.ptx.pairs import from_bfloat, joined, to_bfloat
from cnnc.ptx.rounding import rounded
from cnnc.ptx.types import DTYPES, is_float, size_of, unsigned

_WINDOWS = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW, "global": 0, "const": 0, "param": 0}

_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def _move(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``mov``; of a pack it joins or splits the halves or quarters of a word."""
    kind = kind_of(instruction)
    target, source = instruction.operands
    if isinstance(source, Pack):
        part = 8 * size_of(kind) // len(source.parts)
        total = np.zeros((), unsigned(kind))
        for number, operand in enumerate(source.parts):
            bits = machine.read(operand, f"b{part}", instruction).astype(total.dtype)
            total = total | bits << total.dtype.type(number * part)
        machine.write(target, total, active, instruction)
    elif isinstance(target, Pack):
        word = machine.read(source, f"b{8 * size_of(kind)}", instruction)
        part = 8 * size_of(kind) // len(target.parts)
        for number, operand in enumerate(target.parts):
            bits = (word >> word.dtype.type(number * part)).astype(f"u{part // 8}")
            machine.write(operand, bits, active, instruction)
    else:
        machine.write(target, machine.read(source, kind, instruction), active, instruction)


def converted(value: Array, source: str, target: str, modifiers: tuple[str, ...]) -> Array:
    """``value`` of type ``source`` as type ``target``, as ``cvt`` with these modifiers does."""
    if source == "bf16":
        value, source = from_bfloat(value), "f32"
    if "ftz" in modifiers:
        value = flushed(value)
    rounding = next((word for word in modifiers if word in _TO_INTEGER), None)
    if is_float(source) and is_float(target):
        if rounding is not None:
            return np.asarray(_TO_INTEGER[rounding](value)).astype(DTYPES[target])
        mode = next((word for word in modifiers if word in ("rz", "rm", "rp")), "rn")
        if mode == "rn" or size_of(target) >= size_of(source):
            return value.astype(DTYPES[target])
        exact = value.astype(np.float64)
        return rounded(exact, np.zeros_like(exact), DTYPES[target], mode)
    if is_float(source) and target == "bf16":
        return to_bfloat(value.astype(np.float32), "rz" if "rz" in modifiers else "rn")
    if is_float(source):
        return _to_integer(np.asarray(_TO_INTEGER[rounding or "rzi"](value.astype(np.float64))), target)
    if is_float(target):
        return _from_integer(value, target, modifiers)
    if "sat" in modifiers:
        limits = np.iinfo(DTYPES[target])
        low, high = max(limits.min, np.iinfo(value.dtype).min), min(limits.max, np.iinfo(value.dtype).max)
        value = np.clip(value, value.dtype.type(low), value.dtype.type(high))
    return as_kind(value, target)


def _to_integer(value: Array, target: str) -> Array:
    """Clamped to the type; NaN becomes 0, or the bits of the sign where the type has 64."""
    limits = np.iinfo(DTYPES[target])
    nan = np.isnan(value)
    inside = np.where(nan, 0.0, value)
    high, low = float(limits.max), float(limits.min)
    clamped = np.clip(inside, low, np.nextafter(high, 0) if float(limits.max) > limits.max else high)
    result = clamped.astype(DTYPES[target])
    result = np.where(inside >= high, DTYPES[target].type(limits.max), result)
    if size_of(target) == 8:
        result = np.where(nan, np.asarray(1 << 63, np.uint64).view(DTYPES[target]), result)
    return np.asarray(result).astype(DTYPES[target])


def _from_integer(value: Array, target: str, modifiers: tuple[str, ...]) -> Array:
    mode = next((word for word in modifiers if word in ("rz", "rm", "rp")), "rn")
    if mode == "rn":
        return value.astype(DTYPES[target])
    exact = value.astype(np.float64)
    rest = (value - exact.astype(value.dtype)).astype(np.float64)  # what 53 bits cannot hold
    if target == "f64":
        return exact
    return rounded(exact, rest, DTYPES[target], mode)


def _convert(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    target, source = [word for word in instruction.modifiers if word in DTYPES]
    if target in ("f16x2", "bf16x2"):
        high, low = (machine.read(operand, "f32", instruction) for operand in instruction.operands[1:])
        parts = [finished(value, instruction) for value in (low, high)]
        machine.write(instruction.operands[0], joined(parts, target), active, instruction)
        return
    value = machine.read(instruction.operands[1], source, instruction)
    if target == "tf32":
        machine.write(instruction.operands[0], _to_tf32(value), active, instruction)
        return
    result = converted(value, source, target, instruction.modifiers)
    if is_float(target):
        result = finished(result, instruction)
    # A result narrower than its register is extended by its own sign.
    machine.write(instruction.operands[0], result, active, instruction)


def _to_tf32(value: Array) -> Array:
    """Rounded to 10 bits behind the point, ties away from zero (``cvt.rna.tf32``)."""
    bits = value.view(np.uint32)
    return np.where(np.isfinite(value), (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000), bits)


def _convert_address(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``cvta``: an address of a state space as a generic one, or back with ``to``."""
    space = next((word.split("::")[0] for word in instruction.modifiers if word.split("::")[0] in _WINDOWS), None)
    if space is None:
        raise UnsupportedError("it names no state space", where=place(instruction))
    value = machine.read(instruction.operands[1], kind_of(instruction), instruction)
    window = value.dtype.type(_WINDOWS[space])
    machine.write(
        instruction.operands[0],
        value - window if "to" in instruction.modifiers else value + window,
        active,
        instruction,
    )


def _is_space(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    value = machine.read(instruction.operands[1], "u64", instruction)
    space = np.where(value >= np.uint64(LOCAL_WINDOW), 2, np.where(value >= np.uint64(SHARED_WINDOW), 1, 0))
    wanted = {"global": 0, "shared": 1, "local": 2}[instruction.modifiers[0].split("::")[0]]
    machine.write(instruction.operands[0], space == wanted, active, instruction)


OPERATIONS: dict[str, Operation] = {
    "mov": _move,
    "cvt": _convert,
    "cvta": _convert_address,
    "isspacep": _is_space,
}
"""Opcode -> what it does."""
