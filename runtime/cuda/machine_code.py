"""Machine code as text, by NVIDIA's nvdisasm, and what its hottest loop is made of."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cnnc.errors import InternalError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda import toolkit

_LABEL = re.compile(r"^(\.L\w+):")
_INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?\w+\s+)?([A-Z][A-Z0-9_]*)([.\w]*)\s*([^;]*);")
_BRANCH_TARGET = re.compile(r"`\((\.L\w+)\)")

_FMA = frozenset({"FFMA", "FFMA2"})
_TENSOR = frozenset({"HMMA", "IMMA", "DMMA", "QMMA", "HGMMA", "IGMMA", "BMMA"})
_BYTES = frozenset({"IDP", "IDP4A"})
_SHARED = frozenset({"LDS", "STS", "LDSM", "STSM", "ATOMS"})
_GLOBAL = frozenset({"LDG", "STG", "LDGSTS", "ATOMG", "RED", "LD", "ST"})
_LOCAL = frozenset({"LDL", "STL"})
_CONTROL = frozenset({"BRA", "BRX", "BSSY", "BSYNC", "EXIT", "CALL", "RET", "WARPSYNC", "BAR", "DEPBAR", "LDGDEPBAR"})


@dataclass(frozen=True, slots=True)
class InstructionCounts:
    """Instructions of a piece of code by class, each counted once as it stands there.

    Attributes:
        total: all of them.
        multiply_adds: of float32; what is two at a time counts once.
        tensor: products of matrices.
        byte_products: four products of bytes.
        shared_memory, global_memory, local_memory: loads, stores and atomics of each kind of memory.
        control: branches, barriers, and where threads meet again.
        other: integer arithmetic, conversions, moves.
    """

    total: int
    multiply_adds: int
    tensor: int
    byte_products: int
    shared_memory: int
    global_memory: int
    local_memory: int
    control: int

    @property
    def other(self) -> int:
        return self.total - self.arithmetic - self.memory - self.control

    @property
    def arithmetic(self) -> int:
        """Instructions that multiply and add: what a kernel is there for."""
        return self.multiply_adds + self.tensor + self.byte_products

    @property
    def memory(self) -> int:
        return self.shared_memory + self.global_memory + self.local_memory

    @property
    def arithmetic_share(self) -> float:
        """Share of multiplying instructions among all, 0 to 1."""
        return self.arithmetic / self.total if self.total else 0.0


def listing(image: bytes) -> str:
    """The code of a cubin, an instruction a line.

    Raises:
        OptionError: nvdisasm is not installed.
        InternalError: the image is malformed.
    """
    with tempfile.TemporaryDirectory(prefix="cnnc-cubin-") as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(image)
        done = toolkit.run("nvdisasm", ["--print-code", str(path)])
    if done.returncode != 0:
        raise InternalError(f"nvdisasm refuses a kernel: {done.stderr.strip()}")
    return done.stdout


def whole_kernel(text: str) -> InstructionCounts:
    """Counts of all of a listing."""
    return _counts([match[1] for line in text.splitlines() if (match := _INSTRUCTION.match(line))])


def hottest_loop(text: str) -> InstructionCounts:
    """Counts of the innermost loop with the most multiplying instructions, else with the most instructions.

    A loop is the code from a label to the last branch back to it; zeros where there is none.
    """
    lines = text.splitlines()
    labels = {match[1]: number for number, line in enumerate(lines) if (match := _LABEL.match(line))}
    ends: dict[int, int] = {}
    for number, line in enumerate(lines):
        instruction = _INSTRUCTION.match(line)
        target = _BRANCH_TARGET.search(line) if instruction and instruction[1] == "BRA" else None
        start = labels.get(target[1], number) if target else number
        # What follows the code is a branch to itself.
        if any(_INSTRUCTION.match(between) for between in lines[start:number]):
            ends[start] = number
    innermost = [
        (start, end)
        for start, end in ends.items()
        if not any(start < inner and inner_end <= end for inner, inner_end in ends.items())
    ]
    found = [whole_kernel("\n".join(lines[start : end + 1])) for start, end in innermost]
    return max(found, key=lambda counts: (counts.arithmetic, counts.total), default=_counts([]))


def _counts(opcodes: Sequence[str]) -> InstructionCounts:
    opcodes = [opcode for opcode in opcodes if opcode != "NOP"]

    def of(names: frozenset[str]) -> int:
        return sum(opcode in names for opcode in opcodes)

    return InstructionCounts(
        total=len(opcodes),
        multiply_adds=of(_FMA),
        tensor=of(_TENSOR),
        byte_products=of(_BYTES),
        shared_memory=of(_SHARED),
        global_memory=of(_GLOBAL),
        local_memory=of(_LOCAL),
        control=of(_CONTROL),
    )
