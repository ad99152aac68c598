"""Reads what the linker needs from a relocatable 64-bit ELF object (System V ABI, x86-64 supplement)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cnnc.errors import InternalError

SHT_PROGBITS, SHT_SYMTAB, SHT_RELA, SHT_NOBITS = 1, 2, 4, 8
SHF_WRITE, SHF_ALLOC = 1, 2


@dataclass(frozen=True, slots=True)
class Section:
    """One section: ``flags`` are SHF bits, ``data`` its bytes (empty for SHT_NOBITS), ``size`` its bytes in memory."""

    name: str
    kind: int
    flags: int
    size: int
    alignment: int
    link: int
    info: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """``section`` is an index into the sections; 0 means undefined."""

    name: str
    section: int
    value: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """Patch at ``offset`` of section ``target`` towards symbol index ``symbol`` plus ``addend``."""

    target: int
    offset: int
    kind: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True)
class Object:
    """Sections, symbols and relocations of an object file."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]


def read_object(data: bytes) -> Object:
    """Parse a relocatable ELF64 little-endian object.

    Raises:
        InternalError: another kind of file.
    """
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 16)[0] != 1:
        raise InternalError("LLVM emitted something else than a relocatable 64-bit ELF object")
    (table,) = struct.unpack_from("<Q", data, 40)
    entry_size, count, names_index = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + index * entry_size) for index in range(count)]
    names_offset = headers[names_index][4]
    sections = []
    for name, kind, flags, _, offset, size, link, info, alignment, _ in headers:
        content = b"" if kind == SHT_NOBITS else data[offset : offset + size]
        sections.append(Section(_text(data, names_offset + name), kind, flags, size, alignment, link, info, content))
    symbols: list[Symbol] = []
    relocations: list[Relocation] = []
    for section in sections:
        if section.kind == SHT_SYMTAB:
            strings = sections[section.link].data
            for name, _, _, index, value, _ in struct.iter_unpack("<IBBHQQ", section.data):
                symbols.append(Symbol(_text(strings, name), index, value))
        elif section.kind == SHT_RELA:
            for offset, info, addend in struct.iter_unpack("<QQq", section.data):
                relocations.append(Relocation(section.info, offset, info & 0xFFFFFFFF, info >> 32, addend))
    return Object(tuple(sections), tuple(symbols), tuple(relocations))


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()
