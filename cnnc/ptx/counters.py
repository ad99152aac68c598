"""What a launch is charged with: instructions by class, memory transactions, bank conflicts, divergence.

Counts are per warp, as the hardware issues instructions for a warp at a time. Memory moves in sectors of 32 bytes;
shared memory has 32 banks of 4 bytes, and serves 128 bytes a cycle: accesses of 8 or 16 bytes take a half or a quarter
of a warp at a time (NVIDIA, CUDA C++ Best Practices Guide, sections on coalesced access and on shared memory).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnc.ptx.module import Instruction

Array = np.ndarray[Any, Any]

WARP = 32
SECTOR_BYTES = 32
BANKS = 32
BANK_BYTES = 4

_CLASSES = {
    "fma": "fma",
    "mad": "integer",
    "mma": "tensor",
    "bra": "control",
    "brx": "control",
    "ret": "control",
    "exit": "control",
    "bar": "barrier",
    "barrier": "barrier",
    "cvt": "conversion",
    "mov": "move",
    "cvta": "move",
    "shfl": "warp",
    "vote": "warp",
    "atom": "atomic",
    "red": "atomic",
    "dp4a": "dot",
    "dp2a": "dot",
    "setp": "compare",
    "selp": "compare",
    "set": "compare",
}
_SPECIAL = frozenset(("ex2", "lg2", "sin", "cos", "rcp", "rsqrt", "sqrt", "tanh", "div"))


def instruction_class(opcode: str, modifiers: tuple[str, ...]) -> str:
    """The class an instruction is counted in."""
    floats = any(word in ("f16", "f16x2", "bf16", "bf16x2", "f32", "f64") for word in modifiers)
    if opcode in ("ld", "st", "ldu", "ldmatrix", "cp"):
        space = next((word for word in modifiers if word in ("global", "shared", "local", "param", "const")), "global")
        return f"{'store' if opcode == 'st' else 'load'} {space}"
    if opcode in _SPECIAL and floats:
        return "special"
    if opcode == "mad" and floats:
        return "fma"
    if opcode in _CLASSES:
        return _CLASSES[opcode]
    return "float" if floats else "integer"


@dataclass
class Counters:
    """Of one launch.

    Attributes:
        issued: instructions issued for a warp, by class.
        by_index: the same by index of the instruction in its entry.
        flops: floating-point operations of active threads, two for a multiply-add; matrix products included.
        sectors, least_sectors: of global memory, and what the bytes asked for would need at least.
        shared_cycles, least_shared_cycles: of shared memory, and without bank conflicts.
        branches, divergent_branches: issued for a warp, and those whose threads went both ways.
        barriers: of blocks.
    """

    issued: Counter[str] = field(default_factory=Counter)
    by_index: Counter[int] = field(default_factory=Counter)
    flops: int = 0
    sectors: int = 0
    least_sectors: int = 0
    shared_cycles: int = 0
    least_shared_cycles: int = 0
    branches: int = 0
    divergent_branches: int = 0
    barriers: int = 0

    @property
    def conflicts(self) -> int:
        """Cycles of shared memory that bank conflicts cost."""
        return self.shared_cycles - self.least_shared_cycles

    def add(self, other: Counters) -> None:
        """Add those of another part of the launch."""
        self.issued += other.issued
        self.by_index += other.by_index
        for name in (
            *("flops", "sectors", "least_sectors", "shared_cycles", "least_shared_cycles"),
            *("branches", "divergent_branches", "barriers"),
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))


_FLOPS = {"add": 1, "sub": 1, "mul": 1, "fma": 2, "mad": 2, "min": 1, "max": 1, "div": 1, "rcp": 1, "sqrt": 1}


def charge(counters: Counters, index: int, instruction: Instruction, warps: int, threads: int) -> None:
    """Charge instruction ``index`` of an entry: issued for ``warps`` warps, executed by ``threads`` threads."""
    kind = instruction_class(instruction.opcode, instruction.modifiers)
    counters.issued[kind] += warps
    counters.by_index[index] += warps
    flops = _FLOPS.get(instruction.opcode, 0)
    if flops and kind in ("float", "fma", "special"):
        pair = 2 if any(word.endswith("x2") for word in instruction.modifiers) else 1
        counters.flops += flops * pair * threads


def sectors(addresses: Array, size: int, warps: Array) -> tuple[int, int]:
    """(sectors that accesses of ``size`` bytes touch, the least that their bytes need), warp by warp.

    ``addresses`` of the active threads, ``warps`` the warp of each.
    """
    first, last = addresses // SECTOR_BYTES, (addresses + size - 1) // SECTOR_BYTES
    span = int(last.max()) + 1
    touched = np.unique(np.concatenate([warps * span + first, warps * span + last]))
    distinct = np.unique(warps * (span * SECTOR_BYTES) + addresses)
    bytes_of = np.bincount(distinct // (span * SECTOR_BYTES)) * size
    return int(touched.size), int(np.sum(-(-bytes_of // SECTOR_BYTES)))


def bank_cycles(addresses: Array, size: int, warps: Array, lanes: Array) -> tuple[int, int]:
    """(cycles that accesses to shared memory take, cycles without bank conflicts), warp by warp.

    Threads that read the same word share it.
    """
    phases = max(1, size // BANK_BYTES)
    group = warps * phases + lanes // (WARP // phases)  # threads that are served together
    words = [addresses // BANK_BYTES + part for part in range(phases)]
    span = int(words[-1].max()) + 1
    distinct = np.unique(np.concatenate([group * span + word for word in words]))
    owner, bank = distinct // span, distinct % span % BANKS
    loads = np.bincount(owner * BANKS + bank)
    loads = np.pad(loads, (0, -len(loads) % BANKS)).reshape(-1, BANKS)
    cycles = loads.max(axis=1)
    return int(cycles.sum()), int(np.count_nonzero(cycles))
