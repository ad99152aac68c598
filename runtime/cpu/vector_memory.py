"""Loads and stores of vectors, scalars and bytes at addresses."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from cnnc.runtime.cpu.vector_values import F32, I8, I32, I64, VectorValues


class VectorMemory(VectorValues):
    """Addresses are 64-bit integers; offsets are in bytes, and constants or 64-bit integers."""

    def pointer(self, address: ir.Value, kind: ir.Type, offset: int | ir.Value = 0) -> ir.Value:
        """A pointer to ``kind`` at integer ``address`` + ``offset`` bytes."""
        base = self.ir.inttoptr(address, ir.PointerType(I8))
        if isinstance(offset, int):
            offset = self.index(offset)
        place = self.ir.gep(base, [offset], source_etype=I8)
        return self.ir.bitcast(place, ir.PointerType(kind))

    def load(self, address: ir.Value, offset: int | ir.Value = 0, aligned: bool = False) -> ir.Value:
        """A vector of floats."""
        align = self.target.vector_bytes if aligned else 4
        return self.ir.load(self.pointer(address, self.vector, offset), align=align)

    def store(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0, aligned: bool = False) -> None:
        align = self.target.vector_bytes if aligned else 4
        self.ir.store(value, self.pointer(address, value.type, offset), align=align)

    def load_masked(self, address: ir.Value, mask: ir.Value, offset: int | ir.Value = 0, size: int = 4) -> ir.Value:
        """A vector of floats, or of single bytes with ``size`` 1, with zeros where the mask is false.

        Those lanes' memory is not touched.
        """
        vector, name = (self.vector, "f32") if size == 4 else (self.bytes, "i8")
        pointer = self.pointer(address, vector, offset)
        kind = ir.FunctionType(vector, [ir.PointerType(vector), I32, self.mask, vector])
        function = self.declare(f"llvm.masked.load.v{self.lanes}{name}.p0", kind)
        return self.ir.call(function, [pointer, ir.Constant(I32, size), mask, ir.Constant(vector, None)])

    def store_masked(self, value: ir.Value, address: ir.Value, mask: ir.Value, offset: int | ir.Value = 0) -> None:
        """Stores the lanes where the mask is true, floats or bytes; the other lanes' memory is not touched."""
        size, name = (4, "f32") if value.type == self.vector else (1, "i8")
        pointer = self.pointer(address, value.type, offset)
        kind = ir.FunctionType(ir.VoidType(), [value.type, ir.PointerType(value.type), I32, self.mask])
        function = self.declare(f"llvm.masked.store.v{self.lanes}{name}.p0", kind)
        self.ir.call(function, [value, pointer, ir.Constant(I32, size), mask])

    def load_scalar(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        return self.ir.load(self.pointer(address, F32, offset), align=4)

    def store_scalar(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0) -> None:
        self.ir.store(value, self.pointer(address, F32, offset), align=4)

    def load_integers(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        """A vector of 32-bit integers."""
        return self.ir.load(self.pointer(address, self.integers, offset), align=4)

    def load_word(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        """A 32-bit integer at any address."""
        return self.ir.load(self.pointer(address, I32, offset), align=1)

    def store_word(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0) -> None:
        """A 32-bit integer at any address."""
        self.ir.store(value, self.pointer(address, I32, offset), align=1)

    def load_bytes(
        self, address: ir.Value, signed: bool, offset: int | ir.Value = 0, mask: ir.Value | None = None
    ) -> ir.Value:
        """As many bytes as there are lanes, each widened to a 32-bit integer; ``mask`` as in ``load_masked``."""
        if mask is None:
            stored = self.ir.load(self.pointer(address, self.bytes, offset), align=1)
        else:
            stored = self.load_masked(address, mask, offset, size=1)
        return self.ir.sext(stored, self.integers) if signed else self.ir.zext(stored, self.integers)

    def store_bytes(
        self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0, mask: ir.Value | None = None
    ) -> None:
        """The low byte of every 32-bit lane; ``mask`` as in ``store_masked``."""
        low = self.ir.trunc(value, self.bytes)
        if mask is not None:
            self.store_masked(low, address, mask, offset)
        else:
            self.ir.store(low, self.pointer(address, self.bytes, offset), align=1)

    def load_index(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        """A 64-bit integer."""
        return self.ir.load(self.pointer(address, I64, offset), align=8)

    def store_index(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0) -> None:
        self.ir.store(value, self.pointer(address, I64, offset), align=8)

    def broadcast(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        """One float of memory in every lane."""
        return self.splat(self.load_scalar(address, offset))

    def clobber_memory(self) -> None:
        """An empty inline assembly that LLVM moves no load across: keeps broadcasts folded into their multiply-adds."""
        self.ir.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], side_effect=True)

    def prefetch(self, address: ir.Value, offset: int = 0, near: bool = True, writes: bool = False) -> None:
        """Ask for the cache line at ``address`` + ``offset`` to be on its way; it may lie outside of all memory.

        It goes to the first-level cache if ``near``, else to the second. ``writes``: no other core keeps a copy.
        """
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(I8), I32, I32, I32])
        function = self.declare("llvm.prefetch.p0", kind)
        read, keep, data = (ir.Constant(I32, value) for value in (int(writes), 3 if near else 2, 1))
        self.ir.call(function, [self.pointer(address, I8, offset), read, keep, data])

    def stack_vectors(self, count: int) -> ir.Value:
        """The address of room for ``count`` vectors on the stack, aligned, undefined; LLVM keeps it in memory."""
        slots = cgutils.alloca_once(self.ir, self.vector, size=count)
        slots.align = self.target.vector_bytes
        address = self.ir.ptrtoint(slots, I64)
        return self.ir.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [address], side_effect=False)
