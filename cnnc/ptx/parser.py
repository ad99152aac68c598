"""PTX text -> ``Module``: what NVIDIA's compiler writes for kernels, and what one writes by hand for tests.

Taken are one or several entries with parameters, registers, shared, local, global and constant variables, guarded
instructions, labels and nested scopes (inline PTX opens such). Debug sections and pragmas are skipped. Functions and
calls are refused: kernels are compiled with everything inlined. The grammar is that of the PTX ISA manual, chapters 4
and 5.

The text is not trusted: numbers and sizes are bounded, and every error is a ``ModelError`` that names the line.
"""

from __future__ import annotations

import struct
from typing import NoReturn

from cnnc.errors import ModelError, UnsupportedError
from cnnc.ptx.module import (
    Address,
    Entry,
    Float,
    Instruction,
    Integer,
    Module,
    Operand,
    Pack,
    Register,
    Symbol,
    Variable,
)
from cnnc.ptx.tokens import Token, tokens
from cnnc.ptx.types import DTYPES, size_of

MAX_REGISTERS = 1 << 20
MAX_VARIABLE = 1 << 28
"""Most bytes of a variable."""

_MAX_SCOPES = 16
_LINKAGE = frozenset((".visible", ".weak", ".extern", ".common"))
_SPACES = frozenset((".param", ".shared", ".local", ".global", ".const"))
_LIMITS = {".maxntid": 3, ".reqntid": 3, ".minnctapersm": 1, ".maxnreg": 1, ".maxclusterrank": 1}
"""Performance directives of an entry, with how many numbers they take at most."""


def parse_ptx(text: str) -> Module:
    """The module that ``text`` describes.

    Raises:
        ModelError: the text is malformed.
        UnsupportedError: it has functions or calls.
    """
    return _Parser(text).module()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.position = 0

    # Tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def fail(self, what: str) -> NoReturn:
        raise ModelError(what, where=f"PTX line {self.token.line}")

    def at(self, text: str) -> bool:
        return self.token.text == text and self.token.kind != "string"

    def accept(self, text: str) -> bool:
        if not self.at(text):
            return False
        self.position += 1
        return True

    def expect(self, text: str) -> None:
        if not self.accept(text):
            self.fail(f"expected {text!r}, got {self.token.text!r}")

    def word(self) -> str:
        if self.token.kind != "word":
            self.fail(f"expected a name, got {self.token.text!r}")
        self.position += 1
        return self.tokens[self.position - 1].text

    def integer(self, most: int = 1 << 64) -> int:
        sign = -1 if self.accept("-") else 1
        if self.token.kind != "number":
            self.fail(f"expected a number, got {self.token.text!r}")
        try:
            value = int(self.token.text.rstrip("U"), 0)
        except ValueError:
            self.fail(f"expected an integer, got {self.token.text!r}")
        if value > most:
            self.fail(f"{value} is more than {most}")
        self.position += 1
        return sign * value

    # Module

    def module(self) -> Module:
        self.expect(".version")
        version = self.token.text
        self.position += 1
        self.expect(".target")
        target = self.word()
        while self.accept(","):
            self.word()
        variables: dict[str, Variable] = {}
        entries: dict[str, Entry] = {}
        while self.token.kind != "end":
            if self.accept(".address_size"):
                if self.integer() != 64:
                    self.fail("addresses are not of 64 bits")
            elif self.at(".file") or self.at(".loc"):
                self.skip_line()
            elif self.accept(".section"):
                self.skip_section()
            else:
                self.declaration(variables, entries)
        return Module(version, target, variables, entries)

    def declaration(self, variables: dict[str, Variable], entries: dict[str, Entry]) -> None:
        while self.token.text in _LINKAGE:
            self.position += 1
        if self.at(".func") or self.at(".alias"):
            raise UnsupportedError(
                "it has a function", where=f"PTX line {self.token.line}", hint="inline all functions"
            )
        if self.accept(".entry"):
            entry = self.entry()
            if entry.name in entries:
                self.fail(f"there are two entries {entry.name!r}")
            entries[entry.name] = entry
            return
        variable = self.variable()
        self.expect(";")
        variables[variable.name] = variable

    def skip_line(self) -> None:
        line = self.token.line
        while self.token.line == line and self.token.kind != "end":
            self.position += 1

    def skip_section(self) -> None:
        self.word()
        self.expect("{")
        while not self.accept("}"):
            if self.token.kind == "end":
                self.fail("the section does not end")
            self.position += 1

    # Variables

    def variable(self) -> Variable:
        """``.shared .align 4 .b8 name[64] = {..}``, without the semicolon."""
        space = self.word()
        if space not in _SPACES:
            self.position -= 1
            self.fail(f"expected a declaration, got {space!r}")
        align, kind, count = 0, "", 1
        while self.token.text.startswith("."):
            word = self.word()
            if word == ".align":
                align = self.integer(1 << 12)
            elif word[1:] in DTYPES:
                kind = word[1:]
            elif word in (".v2", ".v4"):
                count = int(word[2:])
            elif word == ".ptr":
                while self.token.text in (".global", ".shared", ".const", ".local"):
                    self.position += 1
            else:
                self.fail(f"unknown attribute {word!r}")
        if not kind or kind == "pred":
            self.fail("a variable without a type")
        name = self.word()
        while self.accept("["):
            count *= 0 if self.at("]") else self.integer(MAX_VARIABLE)
            self.expect("]")
        size = count * size_of(kind)
        if size > MAX_VARIABLE:
            self.fail(f"{name} has {size} bytes, more than {MAX_VARIABLE}")
        content = self.initializer(kind, size) if self.accept("=") else b""
        return Variable(name, space[1:], kind, align or size_of(kind), size, content)

    def initializer(self, kind: str, size: int) -> bytes:
        content = bytearray()
        listed = self.accept("{")
        while True:
            operand = self.operand()
            content += self.constant_bytes(operand, kind)
            if not (listed and self.accept(",")):
                break
        if listed:
            self.expect("}")
        if len(content) > size:
            self.fail(f"{len(content)} initial bytes for a variable of {size}")
        return bytes(content).ljust(size, b"\0")

    def constant_bytes(self, operand: Operand, kind: str) -> bytes:
        width = size_of(kind)
        if isinstance(operand, Integer):
            return (operand.value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        if not isinstance(operand, Float) or operand.width != 8 * width:
            self.fail(f"initial values of {kind} must be constants of it")
        return operand.bits.to_bytes(width, "little")

    # Entries

    def entry(self) -> Entry:
        name = self.word()
        params: list[Variable] = []
        if self.accept("("):
            while not self.accept(")"):
                params.append(self.variable())
                if not self.at(")"):
                    self.expect(",")
        most_threads = 0
        while self.token.text in _LIMITS:
            directive = self.word()
            numbers = [self.integer(1 << 20)]
            while self.accept(","):
                numbers.append(self.integer(1 << 20))
            if len(numbers) > _LIMITS[directive]:
                self.fail(f"{directive} takes {_LIMITS[directive]} numbers")
            if directive in (".maxntid", ".reqntid"):
                most_threads = 1
                for number in numbers:
                    most_threads *= number
        body = _Body(self)
        body.parse()
        return Entry(
            name,
            tuple(params),
            body.registers,
            tuple(body.variables),
            tuple(body.instructions),
            body.labels,
            body.tables,
            most_threads,
        )

    def operand(self) -> Operand:
        if self.accept("["):
            return self.address()
        if self.accept("{"):
            parts = [self.operand()]
            while self.accept(","):
                parts.append(self.operand())
            self.expect("}")
            return Pack(tuple(parts))
        if self.accept("!"):
            return Register(self.word(), negated=True)
        if self.at("-") or self.token.kind == "number":
            return self.number()
        word = self.word()
        operand: Operand = Symbol(word)
        if self.accept("|"):
            return Pack((operand, self.operand()))
        if self.accept("+"):
            return Address(Symbol(word), self.integer())  # a variable's address with an offset
        return operand

    def number(self) -> Operand:
        text = self.token.text
        if text[:2] in ("0f", "0F") and len(text) == 10:
            self.position += 1
            return Float(int(text[2:], 16), 32)
        if text[:2] in ("0d", "0D") and len(text) == 18:
            self.position += 1
            return Float(int(text[2:], 16), 64)
        negative = self.accept("-")
        if "." in self.token.text:
            value = float(self.token.text)
            self.position += 1
            return Float(struct.unpack("<Q", struct.pack("<d", -value if negative else value))[0], 64)
        value = self.integer()
        return Integer(-value if negative else value)

    def address(self) -> Address:
        if self.token.kind == "number":
            address = Address(None, self.integer())
        else:
            base, offset = self.word(), 0
            if self.accept("+"):
                offset = self.integer(1 << 32)
            elif self.at("-"):
                offset = self.integer(1 << 32)
            address = Address(Symbol(base), offset)
        self.expect("]")
        return address


class _Body:
    """The body of an entry: nested scopes give their registers and labels names of their own."""

    def __init__(self, parser: _Parser) -> None:
        self.parser = parser
        self.registers: dict[str, str] = {}
        self.variables: list[Variable] = []
        self.instructions: list[Instruction] = []
        self.labels: dict[str, int] = {}
        self.tables: dict[str, tuple[str, ...]] = {}
        self.scopes: list[dict[str, str]] = []
        self.opened = 0

    def parse(self) -> None:
        parser = self.parser
        parser.expect("{")
        self.scopes.append({})
        while self.scopes:
            if parser.accept("{"):
                if len(self.scopes) == _MAX_SCOPES:
                    parser.fail(f"more than {_MAX_SCOPES} nested scopes")
                self.opened += 1
                self.scopes.append({})
            elif parser.accept("}"):
                self.scopes.pop()
            elif parser.token.kind == "end":
                parser.fail("the entry does not end")
            else:
                self.statement()

    def statement(self) -> None:
        parser = self.parser
        token = parser.token
        if token.text == ".reg":
            self.register_declaration()
        elif token.text in _SPACES:
            variable = parser.variable()
            self.variables.append(variable)
            parser.expect(";")
        elif token.text in (".loc", ".file"):
            parser.skip_line()
        elif token.text == ".pragma":
            while not parser.accept(";"):
                parser.position += 1
                if parser.token.kind == "end":
                    parser.fail("the pragma does not end")
        elif token.kind == "word" and parser.tokens[parser.position + 1].text == ":":
            label = parser.word()
            parser.expect(":")
            if parser.accept(".branchtargets"):
                self.branch_table(label)
                return
            if label in self.labels:
                parser.fail(f"label {label!r} stands twice")
            self.labels[label] = len(self.instructions)
        else:
            self.instruction()

    def branch_table(self, name: str) -> None:
        parser = self.parser
        targets = [parser.word()]
        while parser.accept(","):
            targets.append(parser.word())
        parser.expect(";")
        self.tables[name] = tuple(targets)

    def register_declaration(self) -> None:
        parser = self.parser
        parser.expect(".reg")
        kind = parser.word()[1:]
        if kind not in DTYPES and kind != "b128":
            parser.fail(f"there is no type .{kind}")
        while True:
            name = parser.word()
            names = [name]
            if parser.accept("<"):
                names = [f"{name}{number}" for number in range(parser.integer(MAX_REGISTERS))]
                parser.expect(">")
            for each in names:
                own = each if len(self.scopes) == 1 else f"{each}@{self.opened}"
                self.scopes[-1][each] = own
                self.registers[own] = kind
            if len(self.registers) > MAX_REGISTERS:
                parser.fail(f"more than {MAX_REGISTERS} registers")
            if not parser.accept(","):
                break
        parser.expect(";")

    def instruction(self) -> None:
        parser = self.parser
        line = parser.token.line
        guard = None
        if parser.accept("@"):
            negated = parser.accept("!")
            found = self.resolved(Symbol(parser.word()))
            if not isinstance(found, Register):
                parser.fail("the guard is no predicate")
            guard = Register(found.name, negated)
        opcode, *modifiers = parser.word().split(".")
        if opcode == "call":
            raise UnsupportedError("it has a call", where=f"PTX line {line}", hint="inline all functions")
        if not opcode:
            parser.position -= 1
            parser.fail(f"unknown directive {parser.token.text!r}")
        operands: list[Operand] = []
        while not parser.accept(";"):
            if operands:
                parser.expect(",")
            operands.append(self.resolved(parser.operand()))
        self.instructions.append(Instruction(opcode, tuple(modifiers), tuple(operands), guard, line))

    def resolved(self, operand: Operand) -> Operand:
        """Names of registers as registers of the innermost scope that has them."""
        if isinstance(operand, Pack):
            return Pack(tuple(map(self.resolved, operand.parts)))
        if isinstance(operand, Address):
            base = self.resolved(operand.base) if isinstance(operand.base, Symbol) else operand.base
            assert base is None or isinstance(base, Register | Symbol)
            return Address(base, operand.offset)
        if isinstance(operand, Symbol | Register):
            for scope in reversed(self.scopes):
                if operand.name in scope:
                    negated = isinstance(operand, Register) and operand.negated
                    return Register(scope[operand.name], negated)
            if isinstance(operand, Register):
                self.parser.fail(f"there is no predicate {operand.name}")
        return operand
