"""What an assembled kernel is: machine code for the driver, and what the assembler says it takes."""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What a compiled kernel takes of a multiprocessor.

    Attributes:
        registers: of a thread.
        shared_bytes: static shared memory of a block.
        stack_bytes: local memory of a thread, spilled registers included.
        spill_store_bytes, spill_load_bytes: moved by instructions that spill registers and load them again.
        barriers: of a block.
    """

    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int
    barriers: int

    @property
    def spilled_bytes(self) -> int:
        return self.spill_store_bytes + self.spill_load_bytes


@dataclass(frozen=True, slots=True)
class Cubin:
    """Machine code of one architecture, an ELF image, and what the kernel in it takes."""

    image: bytes
    resources: ResourceUse
