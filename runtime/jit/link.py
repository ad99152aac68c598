"""A linker for one kernel: code and read-only data of an object become a flat, position-independent blob."""

from __future__ import annotations

import struct

from cnnc.errors import InternalError
from cnnc.runtime.jit import elf
from cnnc.runtime.jit.blob import Blob

ENTRY_SYMBOL = "kernel"

_R_X86_64_PC32, _R_X86_64_PLT32 = 2, 4


def link(data: bytes) -> Blob:
    """Lay out the loaded sections of a relocatable x86-64 object and resolve its PC-relative references.

    Raises:
        InternalError: an undefined symbol, writable data, or a relocation that depends on the load address.
    """
    parsed = elf.read_object(data)
    places: dict[int, int] = {}
    image = bytearray()
    for index, section in enumerate(parsed.sections):
        if not section.flags & elf.SHF_ALLOC or section.name.startswith(".eh_frame") or not section.size:
            continue
        if section.flags & elf.SHF_WRITE or section.kind != elf.SHT_PROGBITS:
            raise InternalError(f"a kernel has writable data ({section.name}, {section.size} bytes)")
        image.extend(b"\xcc" * (-len(image) % max(section.alignment, 1)))
        places[index] = len(image)
        image.extend(section.data)
    for relocation in parsed.relocations:
        if relocation.target in places:
            _apply(image, places, parsed, relocation)
    for symbol in parsed.symbols:
        if symbol.name == ENTRY_SYMBOL and symbol.section in places:
            return Blob(bytes(image), places[symbol.section] + symbol.value)
    raise InternalError(f"a kernel object does not define {ENTRY_SYMBOL}")


def undefined_symbols(data: bytes) -> tuple[str, ...]:
    """Names that an object refers to and does not define."""
    return tuple(symbol.name for symbol in elf.read_object(data).symbols if symbol.section == 0 and symbol.name)


def _apply(image: bytearray, places: dict[int, int], parsed: elf.Object, relocation: elf.Relocation) -> None:
    symbol = parsed.symbols[relocation.symbol]
    if symbol.section not in places:
        raise InternalError(f"a kernel refers to the symbol {symbol.name!r}, which is not part of it")
    if relocation.kind not in (_R_X86_64_PC32, _R_X86_64_PLT32):
        raise InternalError(f"relocation {relocation.kind} to {symbol.name!r} depends on the load address")
    place = places[relocation.target] + relocation.offset
    value = places[symbol.section] + symbol.value + relocation.addend - place
    struct.pack_into("<i", image, place, value)
