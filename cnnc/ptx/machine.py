"""The state of some thread blocks that run together: registers, memory of all spaces, and who is active.

All threads of all blocks are lanes of NumPy arrays, block by block, each block padded to whole warps: an instruction is
a few array operations for all of them. Lanes are what the hardware has as threads; padding lanes never become active.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.errors import InputError, ModelError, UnsupportedError
from cnnc.ptx.counters import WARP, Counters
from cnnc.ptx.lanes import Dimensions, Lanes, special_registers
from cnnc.ptx.memory import LOCAL_WINDOW, SHARED_WINDOW, GlobalMemory
from cnnc.ptx.module import Address, Entry, Float, Instruction, Integer, Module, Operand, Register, Symbol
from cnnc.ptx.races import SharedRaces
from cnnc.ptx.registers import RegisterFile, register_layout
from cnnc.ptx.types import DTYPES, is_float, unsigned

Array = np.ndarray[Any, Any]

MAX_SHARED = 228 << 10
"""Most bytes of shared memory of a block, on any device yet."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Blocks of the grid and threads of a block along x, y and z, and bytes of dynamic shared memory."""

    grid: Dimensions
    block: Dimensions
    dynamic_shared: int = 0

    @property
    def blocks(self) -> int:
        return int(np.prod(self.grid))

    @property
    def threads(self) -> int:
        """Of a block."""
        return int(np.prod(self.block))


class Machine:
    """Some blocks of a launch.

    Args:
        blocks: their numbers in the grid, x fastest.
        params: the launch's arguments as bytes, laid out as the entry declares them.
        constants: addresses of the module's global and constant variables.
        extra: bytes of a warp behind its registers.
    """

    def __init__(
        self,
        module: Module,
        entry: Entry,
        launch: Launch,
        blocks: Sequence[int],
        memory: GlobalMemory,
        params: bytes,
        constants: Mapping[str, int],
        extra: int = 0,
    ) -> None:
        self.module, self.entry, self.launch, self.memory = module, entry, launch, memory
        self.counters = Counters()
        self.padded = -(-launch.threads // WARP) * WARP
        self.block_count = len(blocks)
        self.lanes = self.block_count * self.padded
        self.places = Lanes(blocks, self.padded)
        self.live = np.tile(np.arange(self.padded) < launch.threads, self.block_count)
        self.registers = RegisterFile(register_layout(entry), self.lanes // WARP, extra)
        self.params = np.frombuffer(params, np.uint8)
        self.symbols = dict(constants)
        self._place_variables()
        self._specials: dict[str, Array] = {}
        self._special_values = special_registers(
            self.places, launch.grid, launch.block, self.static_shared, launch.dynamic_shared
        )
        self.races = SharedRaces(self.places, self.shared_bytes)

    @property
    def block_of(self) -> Array:
        """See ``Lanes``; so are the following."""
        return self.places.block_of

    @property
    def lane_of(self) -> Array:
        return self.places.lane_of

    @property
    def warp_of(self) -> Array:
        return self.places.warp_of

    def _place_variables(self) -> None:
        offset = 0
        for variable in self.entry.params:
            offset = -(-offset // variable.align) * variable.align
            self.symbols[variable.name] = offset
            offset += variable.size
        shared = local = 0
        dynamic = []
        for variable in (*self.module.variables.values(), *self.entry.variables):
            if variable.space == "shared" and variable.size:
                shared = -(-shared // variable.align) * variable.align
                self.symbols[variable.name] = shared
                shared += variable.size
            elif variable.space == "shared":
                dynamic.append(variable)
            elif variable.space == "local":
                local = -(-local // variable.align) * variable.align
                self.symbols[variable.name] = local
                local += variable.size
        for variable in dynamic:
            self.symbols[variable.name] = -(-shared // variable.align) * variable.align
        self.static_shared = shared
        if dynamic:
            shared = max(self.symbols[variable.name] for variable in dynamic) + self.launch.dynamic_shared
        if shared > MAX_SHARED:
            raise InputError(
                f"a block needs {shared} bytes of shared memory, devices have {MAX_SHARED}", where=self.entry.name
            )
        # Undefined bytes are those of a NaN. Rows are whole words of 16 bytes, so that they can be seen as any type.
        self.shared_bytes, self.local_bytes = shared, local
        self.shared = np.full((self.block_count, -(-max(shared, 1) // 16) * 16), 0xFF, np.uint8)
        self.local = np.full((self.lanes, -(-local // 16) * 16), 0xFF, np.uint8)

    # Operands

    def read(self, operand: Operand, kind: str, where: Instruction) -> Array:
        """The operand's values as ``kind``, in every lane or one for all."""
        dtype = DTYPES[kind]
        if isinstance(operand, Register):
            value = self.registers.read(operand.name)
            return ~value if operand.negated else as_kind(value, kind)
        if isinstance(operand, Integer):
            if is_float(kind):
                return np.asarray(operand.value, dtype)
            if kind == "pred":
                return np.asarray(bool(operand.value))
            return np.asarray(operand.value & ((1 << 8 * dtype.itemsize) - 1), unsigned(kind)).view(dtype)
        if isinstance(operand, Float):
            stored = np.asarray(operand.bits, f"u{operand.width // 8}")
            if is_float(kind):
                return stored.view(f"f{operand.width // 8}").astype(dtype)
            return as_kind(stored, kind)
        if isinstance(operand, Symbol):
            return as_kind(self.special(operand.name, where), kind)
        if isinstance(operand, Address) and isinstance(operand.base, Symbol):
            return as_kind(self.special(operand.base.name, where) + np.uint64(operand.offset), kind)
        raise UnsupportedError(f"{where.name} cannot read such an operand", where=place(where))

    def special(self, name: str, where: Instruction) -> Array:
        """The value of a special register, or the address of a variable in its space."""
        if name in self._special_values and name not in self._specials:
            self._specials[name] = np.asarray(self._special_values[name]()).astype(np.uint32)
        if name in self._specials:
            return self._specials[name]
        if name in ("%clock", "%clock_hi", "%clock64", "%globaltimer"):
            return np.asarray(sum(self.counters.issued.values()), np.uint64)
        if name in self.symbols:
            return np.asarray(self.symbols[name], np.uint64)
        raise ModelError(f"there is no {name}", where=place(where))

    def write(self, operand: Operand, value: Array, active: Array | None, where: Instruction) -> None:
        """Set a register in the active lanes; ``active`` None stands for all of them."""
        if isinstance(operand, Symbol) and operand.name == "_":
            return
        if not isinstance(operand, Register) or operand.name not in self.registers.slots:
            raise ModelError(f"{where.name} writes to no register", where=place(where))
        self.registers.write(operand.name, as_kind(value, self.entry.registers[operand.name]), active)

    def spread(self, value: Array) -> Array:
        """The values in every lane."""
        return np.broadcast_to(value, (self.lanes,))

    # Addresses

    def addresses(self, operand: Operand, where: Instruction) -> Array:
        """Addresses in every lane, as int64."""
        if not isinstance(operand, Address):
            raise ModelError(f"{where.name} has no address", where=place(where))
        if operand.base is None:
            return self.spread(np.asarray(operand.offset, np.int64))
        if isinstance(operand.base, Register):
            base = self.read(operand.base, self.entry.registers[operand.base.name], where)
        else:
            base = self.special(operand.base.name, where)
        return self.spread(base.astype(np.int64)) + operand.offset

    def window(self, addresses: Array, active: Array, where: Instruction) -> tuple[str, Array]:
        """The state space that generic addresses lie in, and the addresses in it.

        Raises:
            UnsupportedError: they lie in several.
        """
        used = addresses[active]
        spaces = np.where(used >= LOCAL_WINDOW, 2, np.where(used >= SHARED_WINDOW, 1, 0))
        if spaces.size and spaces.min() != spaces.max():
            raise UnsupportedError(
                "generic addresses of one instruction lie in several state spaces", where=place(where)
            )
        space = int(spaces[0]) if spaces.size else 0
        return ("global", "shared", "local")[space], addresses - (0, SHARED_WINDOW, LOCAL_WINDOW)[space]


def place(instruction: Instruction) -> str:
    """Where an error is."""
    return f"PTX line {instruction.line}, {instruction.name}"


def as_kind(value: Array, kind: str) -> Array:
    """The bits of ``value`` as another type: cut to its size, or extended by the value's sign or by zeros."""
    dtype = DTYPES[kind]
    if value.dtype == dtype:
        return value
    if kind == "pred":
        return np.asarray(value != 0)
    if value.dtype == bool:
        return value.astype(dtype)
    if value.dtype.itemsize == dtype.itemsize:
        return value.view(dtype)
    if value.dtype.kind == "f":
        value = value.view(f"u{value.dtype.itemsize}")
    wide = value.astype(f"{value.dtype.kind}{dtype.itemsize}")
    return np.asarray(wide.view(dtype))
