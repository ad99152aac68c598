"""Variables, loops and branches in emitted code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from cnnc.runtime.cpu.vector_values import I64, VectorValues


class VectorControl(VectorValues):
    """Conditions are single bits, counts and numbers 64-bit integers."""

    def variable(self, initial: ir.Value) -> ir.Value:
        """A stack slot that LLVM turns into a register; read with ``get``, written with ``set``."""
        slot = cgutils.alloca_once(self.ir, initial.type)
        self.ir.store(initial, slot)
        return slot

    def get(self, slot: ir.Value) -> ir.Value:
        return self.ir.load(slot)

    def set(self, slot: ir.Value, value: ir.Value) -> None:
        self.ir.store(value, slot)

    @contextmanager
    def loop(self, count: ir.Value) -> Iterator[ir.Value]:
        """``for i in range(count)``; gives i as a 64-bit integer."""
        with cgutils.for_range(self.ir, count, intp=I64) as loop:
            yield loop.index

    @contextmanager
    def when(self, condition: ir.Value) -> Iterator[None]:
        """``if condition:`` for a single bit."""
        with self.ir.if_then(condition):
            yield

    @contextmanager
    def choose(self, condition: ir.Value) -> Iterator[tuple[Any, Any]]:
        """``if condition: ... else: ...``: gives the contexts of both branches."""
        with self.ir.if_else(condition) as branches:
            yield branches

    @contextmanager
    def switch(self, number: ir.Value, count: int) -> Iterator[Sequence[Any]]:
        """``match number:`` for numbers below ``count``, which it must be: gives the contexts of the cases."""
        after = self.ir.append_basic_block("after")
        blocks = [self.ir.append_basic_block("case") for _ in range(count)]
        switch = self.ir.switch(number, blocks[-1])
        for value, block in enumerate(blocks[:-1]):
            switch.add_case(self.index(value), block)
        yield [self._case(block, after) for block in blocks]
        self.ir.position_at_end(after)

    @contextmanager
    def _case(self, block: ir.Block, after: ir.Block) -> Iterator[None]:
        self.ir.position_at_end(block)
        yield
        self.ir.branch(after)
