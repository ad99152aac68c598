"""The register tile of products with lists of weights: one vector of outputs of one row of inputs.

A step takes four positions of a list: their inputs are gathered into a vector of four words, by single loads, which
take less time than a gather instruction where there is one. Where four neighbouring outputs share their positions, the
vector is that of the four outputs instead, and every input meets all of its lanes. Either form needs vectors of four
lanes only, which every CPU has.

Sums of a list live in registers, and are added to those of the lists of earlier panels in memory: the second level of
the sums (see ``tile``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llvmlite import ir

from cnnc.runtime.cpu.gemm_sparse_packing import LIST_SUMS, QUARTET
from cnnc.runtime.cpu.tile import Tile, emit_results, first_sums
from cnnc.runtime.cpu.tile_arithmetic import input_factor, weight_factor
from cnnc.runtime.cpu.vector import F32, I32, I64, VectorBuilder

LISTS_ARGS = (
    "x",  # address of the row of inputs
    "counts",  # address of the counts of the tile's lists
    "positions",  # address of the positions of the first list
    "words",  # address of the weights of the first list
    "panels",  # number of panels
    "x_panel",  # bytes of the inputs of a panel
    "bias",
    "slopes",
    "y",  # address of the tile's outputs
    "lanes",  # outputs left
    "alpha",
    "beta",
)

_AHEAD = 1024
"""Positions ahead of which weights are asked for, into the second-level cache. 25088 x 4096 weights with 90 % zeros
take 1.75 ms so where four outputs share their positions, 2.4 with requests for the first-level cache, 2.9 without any
(one thread, two cores of an AMD EPYC, Zen 4, AVX-512)."""


def emit_lists_tile(b: VectorBuilder, tile: Tile, group: int, *values: ir.Value) -> None:
    """Sum the lists of ``b.lanes`` outputs, of ``group`` outputs each (1 or 4), then finish them as ``tile`` says.

    ``values`` follow ``LISTS_ARGS``. The tile is one pixel of one block.
    """
    a = dict(zip(LISTS_ARGS, values, strict=True))
    quartet = VectorBuilder(b.ir, replace(b.target, vector_bytes=4 * QUARTET))
    lists = _Lists(quartet, tile, group, a)
    memory = quartet.stack_vectors(b.lanes // group)
    for number in range(b.lanes // group):
        quartet.store(tile.arithmetic.zero(quartet), memory, number * 4 * QUARTET, aligned=True)
    counts, x = b.variable(a["counts"]), b.variable(a["x"])
    with b.loop(a["panels"]):
        with b.loop(b.index(b.lanes // group)) as number:
            count = b.ir.zext(b.load_word(b.get(counts)), I64)
            b.set(counts, b.ir.add(b.get(counts), b.index(4)))
            place = b.ir.add(memory, b.ir.mul(number, b.index(4 * QUARTET)))
            with b.when(b.ir.icmp_signed("!=", count, b.index(0))):
                lists.add_list(b.get(x), count, place)
        b.set(x, b.ir.add(b.get(x), a["x_panel"]))
    kind = quartet.integers if tile.is_of_bytes else quartet.vector
    sums = [
        b.ir.load(quartet.pointer(memory, kind, number * 4 * QUARTET), align=4 * QUARTET)
        for number in range(b.lanes // group)
    ]
    if group == 1:
        sums = [_sum_of_each(quartet, sums[first : first + QUARTET]) for first in range(0, len(sums), QUARTET)]
    totals = first_sums(b, tile, a)
    [total] = totals.values()
    b.set(total, _add(b, b.get(total), b.concatenated(sums)))
    zero, one = b.index(0), b.index(1)
    fixed = {"y_row": zero, "y_pixel": zero, "y_block": zero, "rows_valid": one, "columns_valid": one, "residual": zero}
    emit_results(b, tile, a | fixed, totals)


class _Lists:
    """Where the next list lies, and the registers that lists are summed in."""

    def __init__(self, b: VectorBuilder, tile: Tile, group: int, a: dict[str, ir.Value]) -> None:
        self.b, self.tile, self.group = b, tile, group
        self.step = tile.arithmetic
        self.positions = b.variable(a["positions"])
        self.words = b.variable(a["words"])
        self.sums = [b.variable(self.step.zero(b)) for _ in range(LIST_SUMS[group] // (QUARTET // group))]

    def add_list(self, x: ir.Value, count: ir.Value, memory: ir.Value) -> None:
        """Add the products of the next ``count`` positions to the vector at ``memory``."""
        b, add = self.b, self._add_quartet if self.group == 1 else self._add_quartet_of_groups
        for total in self.sums:
            b.set(total, self.step.zero(b))
        at_once = QUARTET * len(self.sums) if self.group == 1 else QUARTET
        with b.loop(b.ir.udiv(count, b.index(at_once))):
            b.prefetch(b.get(self.words), 4 * self.group * _AHEAD, near=False)
            b.prefetch(b.get(self.positions), 2 * _AHEAD, near=False)
            for first in range(at_once // QUARTET):
                add(x, self.sums[first:] + self.sums[:first])
        if at_once > QUARTET:
            with b.when(b.ir.icmp_signed("!=", b.ir.and_(count, b.index(QUARTET)), b.index(0))):
                add(x, self.sums)
        with b.loop(b.ir.and_(count, b.index(QUARTET - 1))):
            self._add_one(x)
        b.clobber_memory()
        total = b.ir.load(b.pointer(memory, b.get(self.sums[0]).type), align=4 * QUARTET)
        for part in self.sums:
            total = _add(b, total, b.get(part))
        b.store(total, memory, aligned=True)

    def _add_quartet(self, x: ir.Value, sums: Sequence[ir.Value]) -> None:
        """Four positions of one output."""
        inputs = [self._input(x, offset) for offset in self._offsets()]
        self._multiply_add(sums[0], self._joined(inputs), 0)
        self._advance(QUARTET)

    def _add_quartet_of_groups(self, x: ir.Value, sums: Sequence[ir.Value]) -> None:
        """Four positions of four outputs."""
        for number, (total, offset) in enumerate(zip(sums, self._offsets(), strict=True)):
            self._multiply_add(total, self.b.splat(self._input(x, offset)), number * 4 * QUARTET)
        self._advance(QUARTET)

    def _add_one(self, x: ir.Value) -> None:
        """One position."""
        b, total = self.b, self.sums[0]
        position = b.ir.load(b.pointer(b.get(self.positions), ir.IntType(16)), align=2)
        value = self._input(x, b.ir.shl(b.ir.zext(position, I64), b.index(2)))
        if self.group == 1:
            weight = b.load_word(b.get(self.words)) if self.tile.is_of_bytes else b.load_scalar(b.get(self.words))
            self._add_products(total, self._joined([weight]), self._joined([value]))
        else:
            self._multiply_add(total, b.splat(value), 0)
        self._advance(1)

    def _offsets(self) -> list[ir.Value]:
        """Bytes from the panel's first input to those of the next four positions: one load for all of them."""
        b = self.b
        four = b.ir.load(b.pointer(b.get(self.positions), I64), align=2)
        mask = b.index(0xFFFF)
        positions = [b.ir.and_(b.ir.lshr(four, b.index(16 * number)), mask) for number in range(QUARTET)]
        return [b.ir.shl(position, b.index(2)) for position in positions]

    def _input(self, x: ir.Value, offset: ir.Value) -> ir.Value:
        return self.step.word(self.b, self.b.ir.add(x, offset), 0)

    def _joined(self, words: Sequence[ir.Value]) -> ir.Value:
        """Words in the first lanes, zeros in the others."""
        joined = self.step.zero(self.b)
        for lane, word in enumerate(words):
            joined = self.b.ir.insert_element(joined, word, ir.Constant(I32, lane))
        return joined

    def _multiply_add(self, total: ir.Value, inputs: ir.Value, offset: int) -> None:
        b = self.b
        place = b.get(self.words)
        words = b.load_integers(place, offset) if self.tile.is_of_bytes else b.load(place, offset)
        self._add_products(total, words, inputs)

    def _add_products(self, total: ir.Value, weights: ir.Value, inputs: ir.Value) -> None:
        b, element = self.b, self.tile.element
        factors = weight_factor(b, element, weights), input_factor(b, element, inputs)
        b.set(total, self.step.multiply_add(b, *factors, b.get(total)))

    def _advance(self, count: int) -> None:
        b = self.b
        b.set(self.positions, b.ir.add(b.get(self.positions), b.index(2 * count)))
        b.set(self.words, b.ir.add(b.get(self.words), b.index(4 * self.group * count)))


def _sum_of_each(b: VectorBuilder, vectors: Sequence[ir.Value]) -> ir.Value:
    """The sums over the lanes of four vectors of four lanes, as one."""

    def lanes(first: ir.Value, second: ir.Value, order: Sequence[int]) -> ir.Value:
        return b.ir.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, QUARTET), list(order)))

    def halves(first: ir.Value, second: ir.Value) -> ir.Value:
        return _add(b, lanes(first, second, (0, 4, 1, 5)), lanes(first, second, (2, 6, 3, 7)))

    low, high = halves(vectors[0], vectors[1]), halves(vectors[2], vectors[3])
    return _add(b, lanes(low, high, (0, 1, 4, 5)), lanes(low, high, (2, 3, 6, 7)))


def _add(b: VectorBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    return b.add(first, second) if first.type.element == F32 else b.int_add(first, second)
