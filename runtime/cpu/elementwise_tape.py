"""``elementwise.tape``: a chain of element-wise ops, run tile by tile so that what lies between ops stays in L1.

Takes: up to 8 inputs and 4 outputs, float32 or bool in memory (``tape_encoding.KINDS``), float32 between; any broadcast
that leaves at most 6 iteration dims after merging. Blocked tensors are iterated over their physical shape; a vector
[C] of a blocked [N, C/L, H, W, L] is an operand of shape [C/L, 1, 1, L]. Pad lanes are computed like the others.

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
_GATHERED = 8 * SLOTS
_TABLE_BYTES = -(-(_GATHERED + 16 * FIRST_TEMPORARY) // 64) * 64
"""Scratch begins with the address of every slot's tile; then, for operands, the memory address that the slot's buffer
was last gathered from (0: nothing that can serve again) and how many elements."""

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
    sizes, strides = merge_axes(shape, [operand.strides for operand in operands])
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


def merge_axes(shape: Sequence[Dim], operands: Sequence[Sequence[Dim]]) -> tuple[list[Dim], list[list[Dim]]]:
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


def _inplace(sizes: Mapping[str, Dim], params: Params) -> tuple[tuple[str, str], ...]:
    """Outputs over inputs whose elements lie alike: the tape writes outputs when all inputs of a tile are read."""
    inputs, outputs = _OPERANDS[:MAX_INPUTS], _OPERANDS[MAX_INPUTS:]
    return tuple(
        (y, x)
        for y in outputs
        for x in inputs
        if sizes[f"{y}_bytes"] != 0 and all(sizes[f"{y}_{field}"] == sizes[f"{x}_{field}"] for field in _FIELDS)
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numba

    from cnnc.runtime.cpu.registers import scalar_access
    from cnnc.runtime.cpu.tape_ops import step_function
    from cnnc.runtime.cpu.tape_rows import row_functions

    run_step = step_function(target)
    rows_of = row_functions(target)
    fill_row, gather_row, scatter_row, repeat_row = rows_of.fill, rows_of.gather, rows_of.scatter, rows_of.repeat
    read, write = scalar_access(target, "i64")
    operand_count, fields, sizes_at = len(_OPERANDS), len(_FIELDS), len(_OPERANDS) + 1
    operands_at, lanes = sizes_at + len(_DIMS) + 3, target.lanes
    jit = numba.njit(error_model="numpy", inline="always")

    @jit  # type: ignore[untyped-decorator]
    def row_address(args: Any, slot: int, row: int, column: int) -> Any:
        """Where an operand's element at ``column`` of flattened outer index ``row`` lies."""
        at, d1, d2 = operands_at + fields * slot, args[sizes_at + 1], args[sizes_at + 2]
        d3, d4 = args[sizes_at + 3], args[sizes_at + 4]
        i4, rest = row % d4, row // d4
        i3, rest = rest % d3, rest // d3
        i2, rest = rest % d2, rest // d2
        offset = rest // d1 * args[at] + rest % d1 * args[at + 1] + i2 * args[at + 2] + i3 * args[at + 3]
        return args[slot] + args[at + 6] * (offset + i4 * args[at + 4] + column * args[at + 5])

    @jit  # type: ignore[untyped-decorator]
    def move_rows(args: Any, slot: int, row: int, column: int, rows: int, columns: int, tile: int) -> None:
        """Gather an input's rows into its tile, or scatter an output's tile."""
        at, d4 = operands_at + fields * slot, args[sizes_at + 4]
        size, row_step = args[at + 6], args[at + 6] * args[at + 4]
        step, kind = args[at + 5] * size, int(size != 4)
        done = 0
        while done < rows:
            # Rows of one outer index lie evenly apart.
            address = row_address(args, slot, row + done, column)
            run, place = min(rows - done, d4 - (row + done) % d4), tile + 4 * done * columns
            done += run
            if slot >= MAX_INPUTS:
                for number in range(run):
                    scatter_row(address + number * row_step, place + 4 * number * columns, step, columns, kind)
            elif row_step == 0 and step == 4 and kind == 0 and columns == lanes:
                repeat_row(place, address, run)
            elif row_step == 0 and step == 0:
                gather_row(place, address, 0, run * columns, kind)
            else:
                for number in range(run):
                    gather_row(place + 4 * number * columns, address + number * row_step, step, columns, kind)

    @jit  # type: ignore[untyped-decorator]
    def is_gathered(args: Any, slot: int, row: int, column: int, rows: int, columns: int, note: int) -> bool:
        """Whether an input's tile holds these rows from before; notes them for the next time.

        Rows that all come from one place (a per-channel vector, a scalar) serve tile after tile.
        """
        d4 = args[sizes_at + 4]
        repeats = rows == 1 or (args[operands_at + fields * slot + 4] == 0 and row % d4 + rows <= d4)
        address = row_address(args, slot, row, column) if repeats else 0
        if repeats and read(note) == address and read(note + 8) >= rows * columns:
            return True
        write(note, address)
        write(note + 8, rows * columns)
        return False

    def elementwise_tape(args: Any, begin: int, end: int, scratch: int) -> None:
        tape = args[operand_count]
        outer = args[sizes_at] * args[sizes_at + 1] * args[sizes_at + 2] * args[sizes_at + 3] * args[sizes_at + 4]
        inner, columns, rows = args[sizes_at + 5], args[sizes_at + 6], args[sizes_at + 7]
        chunks = (inner + columns - 1) // columns
        constants, instructions = read(tape + 16), read(tape + 24)
        buffers = scratch + _TABLE_BYTES
        for slot in range(FIRST_TEMPORARY, SLOTS):
            write(scratch + 8 * slot, buffers + slot * _SLOT_BYTES)
        for slot in range(FIRST_TEMPORARY):
            write(scratch + _GATHERED + 16 * slot, 0)
        for number in range(constants):
            entry = tape + 8 * (HEADER_WORDS + CONSTANT_WORDS * number)
            fill_row(buffers + read(entry) * _SLOT_BYTES, read(entry + 8), rows * columns)
        code = tape + 8 * (HEADER_WORDS + CONSTANT_WORDS * constants)
        for item in range(begin, end):
            row, column = item // chunks * rows, item % chunks * columns
            row_count, column_count = min(rows, outer - row), min(columns, inner - column)
            for slot in range(operand_count):
                at = operands_at + fields * slot
                if args[at + 6] == 4 and args[at + 7] != 0:
                    write(scratch + 8 * slot, args[slot] + 4 * (row * inner + column))
                elif args[at + 6] == 4 and row_count == 1 and args[at + 5] == 1:
                    write(scratch + 8 * slot, row_address(args, slot, row, column))
                elif args[at + 6] != 0:
                    buffer, note = buffers + slot * _SLOT_BYTES, scratch + _GATHERED + 16 * slot
                    write(scratch + 8 * slot, buffer)
                    if slot >= MAX_INPUTS or is_gathered(args, slot, row, column, row_count, column_count, note):
                        continue
                    move_rows(args, slot, row, column, row_count, column_count, buffer)
            for number in range(instructions):
                word = code + 8 * INSTRUCTION_WORDS * number
                run_step(
                    read(word),
                    read(scratch + 8 * read(word + 8)),
                    read(scratch + 8 * read(word + 16)),
                    read(scratch + 8 * read(word + 24)),
                    read(scratch + 8 * read(word + 32)),
                    read(word + 40),
                    row_count * column_count,
                )
            for slot in range(MAX_INPUTS, operand_count):
                buffer = buffers + slot * _SLOT_BYTES
                if args[operands_at + fields * slot + 6] != 0 and read(scratch + 8 * slot) == buffer:
                    move_rows(args, slot, row, column, row_count, column_count, buffer)

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
    inplace=_inplace,
)
