"""Matrix products of a warp: ``mma.sync``, and ``ldmatrix``, which loads their operands (PTX ISA, warp level matrix
instructions).

A fragment of A or B is some 32-bit words a lane, of 1, 2 or 4 elements along K; which ones is the same rule for all
types: with g = lane / 4 and t = lane mod 4, word w of A holds row g (+ 8 for odd words, where M is 16) and the elements
from t * e + (w / 2) * 4 e on, e being the elements of a word; word w of B holds column g and the elements from
t * e + w * 4 e on. C has two neighbouring columns 2 t of rows g and g + 8.

Sums are exact here until they are rounded to C's type, once an instruction; devices round in ways that NVIDIA does not
say. Integers wrap around, or saturate with ``satfinite``.
"""

from __future__ import annotations

import re

import numpy as np

from cnnc.errors import UnsupportedError
from cnnc.ptx.arithmetic import Operation
from cnnc.ptx.counters import WARP
from cnnc.ptx.machine import Array, Machine, place
from cnnc.ptx.module import Instruction, Operand, Pack
from cnnc.ptx.pairs import from_bfloat
from cnnc.ptx.transfer import Access

_SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
_ELEMENTS = {"f16": 2, "bf16": 2, "tf32": 1, "s8": 4, "u8": 4}


def _words(machine: Machine, operand: Operand, instruction: Instruction) -> Array:
    """[warps, words, 32]."""
    parts = operand.parts if isinstance(operand, Pack) else (operand,)
    return np.stack(
        [machine.spread(machine.read(part, "b32", instruction)).reshape(-1, WARP) for part in parts], axis=1
    )


def _elements(words: Array, kind: str) -> Array:
    """[..., elements of a word] as float64."""
    if kind == "tf32":
        return (words & np.uint32(0xFFFFE000)).view(np.float32)[..., None].astype(np.float64)
    if kind in ("f16", "bf16"):
        halves = np.ascontiguousarray(words)[..., None].view(np.uint16)
        return (halves.view(np.float16) if kind == "f16" else from_bfloat(halves)).astype(np.float64)
    return np.ascontiguousarray(words)[..., None].view(np.int8 if kind == "s8" else np.uint8).astype(np.float64)


def _lanes() -> tuple[Array, Array]:
    lane = np.arange(WARP)
    return lane // 4, lane % 4


def left_factor(words: Array, kind: str, rows: int, depth: int) -> Array:
    """A [warps, M, K] from its fragments."""
    group, thread = _lanes()
    count = _ELEMENTS[kind]
    values = _elements(words, kind)
    matrix = np.zeros((words.shape[0], rows, depth))
    halves = rows // 8
    for word in range(words.shape[1]):
        row = group + 8 * (word % halves)
        for element in range(count):
            matrix[:, row, thread * count + element + word // halves * 4 * count] = values[:, word, :, element]
    return matrix


def right_factor(words: Array, kind: str, columns: int, depth: int) -> Array:
    """B [warps, K, N] from its fragments."""
    group, thread = _lanes()
    count = _ELEMENTS[kind]
    values = _elements(words, kind)
    matrix = np.zeros((words.shape[0], depth, columns))
    for word in range(words.shape[1]):
        for element in range(count):
            matrix[:, thread * count + element + word * 4 * count, group] = values[:, word, :, element]
    return matrix


def _accumulator_places(rows: int) -> list[tuple[Array, Array]]:
    """(row, column) of every element of C that a lane holds."""
    group, thread = _lanes()
    return [(group + 8 * half, 2 * thread + odd) for half in range(rows // 8) for odd in range(2)]


def _multiply(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    shape = next((_SHAPE.fullmatch(word) for word in instruction.modifiers if _SHAPE.fullmatch(word)), None)
    kinds = [word for word in instruction.modifiers if word in (*_ELEMENTS, "f32", "s32")]
    if shape is None or len(kinds) != 4 or kinds[1] not in _ELEMENTS or instruction.modifiers[0] != "sync":
        raise UnsupportedError(f"there is no {instruction.name}", where=place(instruction))
    rows, columns, depth = (int(number) for number in shape.groups())
    result_kind, left_kind, right_kind, sum_kind = kinds
    words = _ELEMENTS[left_kind]
    if columns != 8 or rows not in (8, 16) or depth % (4 * words):
        raise UnsupportedError(f"there is no {instruction.name}", where=place(instruction))
    everyone = machine.live if active is None else active
    warps = everyone.reshape(-1, WARP)
    if (warps.any(axis=1) != warps.all(axis=1)).any():
        raise UnsupportedError("not all threads of a warp execute it", where=place(instruction))
    target, left, right, added = instruction.operands
    a = left_factor(_words(machine, left, instruction), left_kind, rows, depth)
    b = right_factor(_words(machine, right, instruction), right_kind, columns, depth)
    places = _accumulator_places(rows)
    sums = _words(machine, added, instruction)
    total = a @ b  # exact for integers; of floats rounded in float64
    c = (
        _elements(sums, "f16")
        if sum_kind == "f16"
        else sums[..., None].view(np.float32 if sum_kind == "f32" else np.int32)
    )
    c = np.moveaxis(c, 3, 2).reshape(c.shape[0], -1, WARP)
    parts = target.parts if isinstance(target, Pack) else (target,)
    found = [total[:, row, column] + c[:, number] for number, (row, column) in enumerate(places)]
    for number, part in enumerate(parts):
        if result_kind == "f16":
            low, high = (
                np.asarray(value, np.float16).view(np.uint16).astype(np.uint32) for value in found[2 * number :][:2]
            )
            bits = low | high << np.uint32(16)
        elif result_kind == "f32":
            bits = found[number].astype(np.float32)
        else:
            bits = _integer_sum(found[number], "satfinite" in instruction.modifiers)
        machine.write(part, bits.reshape(-1), active, instruction)
    machine.counters.flops += 2 * rows * columns * depth * int(warps.any(axis=1).sum())


def _integer_sum(value: Array, saturates: bool) -> Array:
    whole = value.astype(np.int64)
    if saturates:
        whole = np.clip(whole, -(1 << 31), (1 << 31) - 1)
    return whole.astype(np.uint32)


def _load_matrices(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``ldmatrix.sync.aligned.m8n8.x4{.trans}.shared.b16``: 8x8 matrices of 16 bits, a row for each of 8 lanes."""
    count = next((int(word[1:]) for word in instruction.modifiers if re.fullmatch(r"x[124]", word)), 0)
    if not count or "m8n8" not in instruction.modifiers or instruction.modifiers[-1] != "b16":
        raise UnsupportedError(f"there is no {instruction.name}", where=place(instruction))
    everyone = (machine.live if active is None else active) & (machine.lane_of < 8 * count)
    access = Access(machine, instruction, instruction.operands[1], everyone, 16, "shared", False)
    rows = np.zeros((machine.lanes, 8), np.uint16)
    for element in range(8):
        rows[access.lanes, element] = access.load("b16", 2 * element)
    matrices = rows.reshape(-1, WARP // 8, 8, 8)
    if "trans" in instruction.modifiers:
        matrices = matrices.swapaxes(2, 3)
    target = instruction.operands[0]
    parts = target.parts if isinstance(target, Pack) else (target,)
    for number, part in enumerate(parts):
        pairs = np.ascontiguousarray(matrices[:, number]).reshape(-1, WARP, 2)
        machine.write(part, pairs.view(np.uint32).reshape(-1), active, instruction)


OPERATIONS: dict[str, Operation] = {"mma": _multiply, "ldmatrix": _load_matrices}
"""Opcode -> what it does."""
