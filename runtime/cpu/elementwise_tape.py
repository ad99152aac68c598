"""``elementwise.tape``: a chain of element-wise ops, run tile by tile so that what lies between ops stays in L1.

Takes: up to 8 inputs and 4 outputs, float32 or bool in memory (``tape_encoding.KINDS``), float32 between; any broadcast
that leaves at most 6 iteration dims after merging. Blocked tensors are iterated over their physical shape; a vector
[C] of a blocked [N, C/L, H, W, L] is an operand of shape [C/L, 1, 1, L]. Ops in
``tape_encoding.NON_FINITE_FROM_FINITE`` must be followed by ``keep`` where a blocked result has pad lanes.

The iteration space is [d0..d4, inner]: dims in front with a stride for every operand, and an inner run. A tile is up to
1024 elements: a piece of one run, or several short runs. An operand that is contiguous over the tile is used where it
lies; others are gathered into a buffer first (results scattered afterwards). Work item: a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnc.dims import Dim, ceil_div, floor_div, maximum, minimum, product
from cnnc.errors import InternalError
from cnnc.runtime.cpu.copy_strided import strided_access
from cnnc.runtime.cpu.tape_encoding import (
    CONSTANT_WORDS,
    FIRST_TEMPORARY,
    HEADER_WORDS,
    INSTRUCTION_WORDS,
    MAX_INPUTS,
    MAX_OUTPUTS,
    SLOTS,
)
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

RANK = 6
_OUTER = RANK - 1
_TILE = 1024
_SLOT_BYTES = 4 * _TILE + 64  # not a multiple of 4 KiB: slots would alias in L1
_TABLE_BYTES = -(-8 * SLOTS // 64) * 64

_DIMS = tuple(f"d{axis}" for axis in range(_OUTER))
_OPERANDS = (*(f"x{i}" for i in range(MAX_INPUTS)), *(f"y{i}" for i in range(MAX_OUTPUTS)))
"""In the order of their slots."""
_FIELDS = (*(f"s{axis}" for axis in range(_OUTER)), "step", "bytes", "dense")
"""Of every operand: strides in elements, of the inner run last; bytes per element (0: unused); whether its elements lie
back to back in the order of iteration."""


@dataclass(frozen=True, slots=True)
class Operand:
    """Strides in elements over the iteration shape (0: broadcast) and bytes per element (4 for f32, 1 for bool)."""

    strides: tuple[Dim, ...]
    element_bytes: int = 4


def arguments(
    shape: Sequence[Dim], inputs: Sequence[Operand], outputs: Sequence[Operand], tape_words: int
) -> dict[str, Dim]:
    """Size slots for an iteration over ``shape``; see ``broadcast_strides`` for the strides of a row-major operand.

    Raises:
        InternalError: more than 6 dims remain after merging, or too many operands.
    """
    if len(inputs) > MAX_INPUTS or len(outputs) > MAX_OUTPUTS:
        raise InternalError(f"{len(inputs)} inputs and {len(outputs)} outputs in one chain")
    operands = [*inputs, *outputs]
    sizes, strides = _merge(shape, [operand.strides for operand in operands])
    if len(sizes) > RANK:
        raise InternalError(f"an element-wise chain over {len(sizes)} separate dims; elementwise.tape takes {RANK}")
    missing = RANK - len(sizes)
    sizes = [*[1] * missing, *sizes]
    inner = sizes[-1]
    slots: dict[str, Dim] = dict(zip(_DIMS, sizes))
    slots["inner"] = inner
    slots["columns"] = maximum(minimum(inner, _TILE), 1)
    slots["rows"] = maximum(floor_div(_TILE, maximum(inner, 1)), 1)
    names = [*_OPERANDS[: len(inputs)], *_OPERANDS[MAX_INPUTS : MAX_INPUTS + len(outputs)]]
    for name in _OPERANDS:
        slots.update({f"{name}_{field}": 0 for field in _FIELDS})
    for name, operand, kept in zip(names, operands, strides):
        steps: list[Dim] = [*[0] * missing, *kept]
        slots.update({f"{name}_{field}": step for field, step in zip(_FIELDS, steps)})
        slots[f"{name}_bytes"] = operand.element_bytes
        slots[f"{name}_dense"] = int(_is_dense(sizes, steps))
    slots["tape_words"] = tape_words
    return slots


def broadcast_strides(shape: Sequence[Dim], over: Sequence[Dim]) -> tuple[Dim, ...]:
    """Strides of a row-major array of ``shape`` that NumPy's rules broadcast to ``over``; 0 along broadcast axes."""
    strides: list[Dim] = [0] * len(over)
    step: Dim = 1
    for axis in range(1, len(shape) + 1):
        if shape[-axis] != 1:
            strides[-axis] = step
        step = step * shape[-axis]
    return tuple(strides)


def _merge(shape: Sequence[Dim], operands: Sequence[Sequence[Dim]]) -> tuple[list[Dim], list[list[Dim]]]:
    """Sizes and, per operand, strides once axes have been joined that lie back to back for every operand."""
    sizes: list[Dim] = []
    strides: list[list[Dim]] = [[] for _ in operands]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if sizes and all(kept[-1] == given[axis] * size for kept, given in zip(strides, operands)):
            sizes[-1] = sizes[-1] * size
            for kept, given in zip(strides, operands):
                kept[-1] = given[axis]
            continue
        sizes.append(size)
        for kept, given in zip(strides, operands):
            kept.append(given[axis])
    if not sizes:
        return [1], [[1] for _ in operands]
    return sizes, strides


def _is_dense(sizes: Sequence[Dim], strides: Sequence[Dim]) -> bool:
    step: Dim = 1
    for size, stride in zip(reversed(sizes), reversed(strides)):
        if size != 1 and stride != step:
            return False
        step = step * size
    return True


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    outer = product(sizes[name] for name in _DIMS)
    return ceil_div(outer, sizes["rows"]) * ceil_div(sizes["inner"], sizes["columns"])


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    shape = [*(sizes[name] for name in _DIMS), sizes["inner"]]
    accesses = [Access("tape", 0, 8 * sizes["tape_words"], False)]
    for name in _OPERANDS:
        size = sizes[f"{name}_bytes"]
        if size:
            strides = [sizes[f"{name}_{field}"] for field in _FIELDS[:RANK]]
            accesses.append(strided_access(name, shape, strides, size, name.startswith("y")))
    return tuple(accesses)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.registers import scalar_access
    from cnnc.runtime.cpu.tape_ops import step_function
    from cnnc.runtime.cpu.tape_rows import row_functions

    run_step = step_function(target)
    rows_of = row_functions(target)
    fill_row, gather_row, scatter_row = rows_of.fill, rows_of.gather, rows_of.scatter
    read, write = scalar_access(target, "i64")
    operand_count, fields, sizes_at = len(_OPERANDS), len(_FIELDS), len(_OPERANDS) + 1
    operands_at = sizes_at + len(_DIMS) + 3

    def elementwise_tape(args: Any, begin: int, end: int, scratch: int) -> None:
        tape = args[operand_count]
        d1, d2, d3, d4 = args[sizes_at + 1], args[sizes_at + 2], args[sizes_at + 3], args[sizes_at + 4]
        inner, columns, rows = args[sizes_at + 5], args[sizes_at + 6], args[sizes_at + 7]
        outer = args[sizes_at] * d1 * d2 * d3 * d4
        chunks = (inner + columns - 1) // columns
        constants, instructions = read(tape + 16), read(tape + 24)
        buffers = scratch + _TABLE_BYTES
        for slot in range(FIRST_TEMPORARY, SLOTS):
            write(scratch + 8 * slot, buffers + slot * _SLOT_BYTES)
        for number in range(constants):
            entry = tape + 8 * (HEADER_WORDS + CONSTANT_WORDS * number)
            fill_row(buffers + read(entry) * _SLOT_BYTES, read(entry + 8), rows * columns)
        code = tape + 8 * (HEADER_WORDS + CONSTANT_WORDS * constants)
        for item in range(begin, end):
            first_row, first_column = item // chunks * rows, item % chunks * columns
            row_count, column_count = min(rows, outer - first_row), min(columns, inner - first_column)
            count = row_count * column_count
            # phase 0 places the operands and gathers inputs, phase 1 runs the tape, phase 2 scatters outputs
            for phase in range(3):
                if phase == 1:
                    for number in range(instructions):
                        word = code + 8 * INSTRUCTION_WORDS * number
                        run_step(
                            read(word),
                            read(scratch + 8 * read(word + 8)),
                            read(scratch + 8 * read(word + 16)),
                            read(scratch + 8 * read(word + 24)),
                            read(scratch + 8 * read(word + 32)),
                            read(word + 40),
                            count,
                        )
                    continue
                for slot in range(operand_count):
                    at = operands_at + fields * slot
                    size = args[at + 6]
                    if size == 0 or (phase == 2 and slot < MAX_INPUTS):
                        continue
                    base, step = args[slot], args[at + 5] * size
                    is_float = size == 4
                    if is_float and args[at + 7] != 0:
                        write(scratch + 8 * slot, base + 4 * (first_row * inner + first_column))
                        continue
                    i4, rest = first_row % d4, first_row // d4
                    i3, rest = rest % d3, rest // d3
                    i2, rest = rest % d2, rest // d2
                    i1, i0 = rest % d1, rest // d1
                    offset = i0 * args[at] + i1 * args[at + 1] + i2 * args[at + 2] + i3 * args[at + 3]
                    address = base + size * (offset + i4 * args[at + 4]) + first_column * step
                    if is_float and row_count == 1 and step == 4:
                        write(scratch + 8 * slot, address)
                        continue
                    buffer = buffers + slot * _SLOT_BYTES
                    write(scratch + 8 * slot, buffer)
                    if phase == 0 and slot >= MAX_INPUTS:
                        continue
                    kind = int(size != 4)
                    for row in range(row_count):
                        if phase == 0:
                            gather_row(buffer + 4 * row * column_count, address, step, column_count, kind)
                        else:
                            scatter_row(address, buffer + 4 * row * column_count, step, column_count, kind)
                        i4 += 1
                        address += size * args[at + 4]
                        if i4 == d4:
                            i4 = 0
                            i3 += 1
                            if i3 == d3:
                                i3 = 0
                                i2 += 1
                                if i2 == d2:
                                    i2 = 0
                                    i1 += 1
                                    if i1 == d1:
                                        i1 = 0
                                        i0 += 1
                            offset = i0 * args[at] + i1 * args[at + 1] + i2 * args[at + 2] + i3 * args[at + 3]
                            address = base + size * offset + first_column * step

    return elementwise_tape


KERNEL = KernelDef(
    name="elementwise.tape",
    buffers=(*_OPERANDS, "tape"),
    sizes=(
        *_DIMS,
        "inner",
        "columns",
        "rows",
        *(f"{name}_{field}" for name in _OPERANDS for field in _FIELDS),
        "tape_words",
    ),
    build=_build,
    items=_items,
    footprint=_footprint,
    scratch_bytes=lambda sizes, params: _TABLE_BYTES + SLOTS * _SLOT_BYTES,
    writes=_OPERANDS[MAX_INPUTS:],
)
