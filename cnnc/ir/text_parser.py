"""Reads the text form of the IR (see ``cnnc.ir.text``) into a graph.

Nothing of the text is trusted: it may be a user's file. Types are inferred anew and must agree with the printed ones,
sizes are bounded, and every error is a ``ModelError`` that names the line.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from cnnc import dims
from cnnc.dim_text import parse as parse_dim
from cnnc.dims import Dim
from cnnc.errors import ModelError, UserError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.ir.node import Value
from cnnc.ir.table import OpTable
from cnnc.ir.text import BARE_NAME, MAX_INLINE_ELEMENTS, parse_floats, type_text
from cnnc.ir.verify import ILLEGAL_ONCE_NORMALISED, STAGES, stage_index, types_agree
from cnnc.types import PLAIN, DType, Layout, Quant, TensorType

MAX_TEXT = 64 << 20
"""Longest text that is read, in characters."""

_MAX_RANK = 64
_MAX_DEPTH = 16

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_DIM = re.compile(r"'([^']*)'")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?(?:inf|nan|\d+(?:\.\d*)?(?:e[+-]?\d+)?)(?![A-Za-z0-9_])")
_INTEGER = re.compile(r"-?\d+")
_LAYOUT = re.compile(r"(plain|c(\d+)(?::(\d+(?:\+\d+)*))?)(?![A-Za-z0-9_])")
_KEY = re.compile(r"sha256:([0-9a-f]{16})\b")
_SHAPE = re.compile(r"\[([^\]]*)\]")
_DTYPES = frozenset(dtype.value for dtype in DType)


def parse_graph(text: str, table: OpTable, constants: Mapping[str, Array] | None = None) -> Graph:
    """The graph that ``print_graph`` printed.

    Args:
        text: one graph; blank lines and lines that start with ``#`` are skipped.
        table: the op table, ``cnnc.ops.OPS``.
        constants: arrays by ``constant_key``, for constants that the text gives by hash.

    Raises:
        ModelError: anything wrong with the text; names the line.
    """
    if len(text) > MAX_TEXT:
        raise ModelError(f"the text has {len(text)} characters, more than {MAX_TEXT}", hint="split the model")
    lines = _lines(text)
    try:
        header = next(lines)
    except StopIteration:
        raise ModelError('the text is empty; it must start with: graph "name" stage=imported {') from None
    builder = _Builder(table, constants or {})
    builder.run(header, builder.header)
    last = header
    for line in lines:
        if builder.closed:
            raise line.error("nothing may follow the closing }")
        builder.run(line, builder.statement)
        last = line
    if not builder.closed:
        raise last.error("the text ends before the closing }")
    return builder.graph


class _Line:
    """One line with a cursor."""

    def __init__(self, number: int, text: str) -> None:
        self.number, self.text, self.at = number, text, 0

    def error(self, what: str) -> ModelError:
        return ModelError(what, where=f"line {self.number}", hint=f"look at {self.text.strip()[:100]!r}")

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self.skip()
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def accept(self, mark: str) -> bool:
        self.skip()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def expect(self, mark: str) -> None:
        if not self.accept(mark):
            raise self.error(f"expected {mark!r} at column {self.at + 1}")

    def need(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        found = self.take(pattern)
        if found is None:
            raise self.error(f"expected {what} at column {self.at + 1}")
        return found

    def string(self) -> str:
        text: str = json.loads(self.need(_STRING, "a string in double quotes").group())
        return text

    def end(self) -> None:
        self.skip()
        if self.at != len(self.text):
            raise self.error(f"left over at column {self.at + 1}: {self.text[self.at : self.at + 40]!r}")


def _lines(text: str) -> Iterator[_Line]:
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.rstrip("\r \t")
        if stripped and not stripped.lstrip().startswith("#"):
            yield _Line(number, stripped)


class _Builder:
    """Adds one statement after the other to the graph."""

    def __init__(self, table: OpTable, constants: Mapping[str, Array]) -> None:
        self.table = table
        self.constants = constants
        self.graph = Graph(table)
        self.closed = False
        self.outputs: list[Value] = []
        self.output_names: list[str] = []

    def run(self, line: _Line, step: Callable[[_Line], None]) -> None:
        """Read one line; whatever goes wrong becomes a ModelError that names it."""
        try:
            step(line)
        except UserError as error:
            if error.where.startswith("line "):
                raise
            place = f"line {line.number}" + (f", {error.where}" if error.where else "")
            raise ModelError(error.what, where=place, hint=error.hint) from error
        except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            # Operands of a kind that the op's rules do not expect, such as a string for strides.
            raise line.error(f"makes no sense: {type(error).__name__}: {str(error)[:200]}") from error

    def header(self, line: _Line) -> None:
        line.expect("graph")
        self.graph.name = line.string()
        line.expect("stage=")
        stage = line.need(_WORD, "a stage").group()
        if stage not in STAGES:
            raise line.error(f"there is no stage {stage!r}; stages are {', '.join(STAGES)}")
        self.graph.stage = stage
        line.expect("{")
        line.end()

    def statement(self, line: _Line) -> None:
        if line.accept("%"):
            line.at -= 1
            self._node(line)
        elif line.accept("}"):
            self.graph.set_outputs(self.outputs, self.output_names)
            self.closed = True
        elif line.accept("input "):
            name, type = self._declaration(line)
            self.graph.add_input(name, type)
        elif line.accept("const "):
            self._constant(line)
        elif line.accept("output "):
            self.output_names.append(line.string())
            line.expect("=")
            self.outputs.append(self._operand(line))
        else:
            raise line.error("expected input, const, output, a node or }")
        line.end()

    def _declaration(self, line: _Line) -> tuple[str, TensorType]:
        """``%name: type`` of a value that is not in the graph yet."""
        name = _name(line)
        line.expect(":")
        type = _type(line)
        if self.graph.has_value(name):
            raise line.error(f"two values are called {name!r}")
        if type.layout.is_blocked and self._is_normalised and self.graph.stage != "placed":
            raise line.error(f"%{name} has layout {type.layout}, but in stage {self.graph.stage} none is assigned")
        return name, type

    @property
    def _is_normalised(self) -> bool:
        return stage_index(self.graph.stage) >= stage_index("normalised")

    def _operand(self, line: _Line) -> Value:
        name = _name(line)
        if not self.graph.has_value(name):
            raise line.error(f"%{name} is used before it is defined")
        return self.graph.value(name)

    def _constant(self, line: _Line) -> None:
        name, type = self._declaration(line)
        line.expect("=")
        if not type.is_static:
            raise line.error(f"a constant needs a shape of numbers, not {type}")
        shape = tuple(int(dim) for dim in type.shape if isinstance(dim, int))
        key = line.take(_KEY)
        if key is not None:
            array = self.constants.get(key.group(1))
            if array is None:
                raise line.error(f"no array is given for the content {key.group()}")
            if array.shape != shape or array.dtype != type.dtype.numpy:
                raise line.error(f"the array given for {key.group()} is {array.dtype.name}{list(array.shape)}")
        else:
            array = _inline_array(line, type.dtype, shape)
        value = self.graph.add_constant(array, name)
        value.type = type

    def _node(self, line: _Line) -> None:
        declared = [self._declaration(line)]
        while line.accept(","):
            declared.append(self._declaration(line))
        names = [name for name, _ in declared]
        if len(set(names)) != len(names):
            raise line.error("two results of one node have the same name")
        line.expect("=")
        op = line.need(_WORD, "an op").group()
        if op not in self.table:
            raise line.error(f"there is no op {op!r} in the IR")
        if op in ILLEGAL_ONCE_NORMALISED and self._is_normalised:
            raise line.error(f"op {op!r} is not legal in stage {self.graph.stage}")
        operands = self._operands(line)
        kind = self.table[op].attrs
        attrs = _Attributes(line).fields(kind, "}") if line.accept("{") else _make(line, kind, {})
        loc: list[str] = []
        if line.accept("@"):
            loc.append(line.string())
            while line.accept(","):
                loc.append(line.string())
        node = self.graph.add_node(op, operands, attrs, outputs=len(names), names=names, loc=tuple(loc))
        for value, (name, type) in zip(node.outputs, declared, strict=True):
            if not types_agree(type, value.type):
                raise line.error(f"%{name} is printed as {type_text(type)}, but its operands give {value.type}")
            value.type = type

    def _operands(self, line: _Line) -> list[Value | None]:
        line.expect("(")
        operands: list[Value | None] = []
        while not line.accept(")"):
            if operands:
                line.expect(",")
            operands.append(None if line.accept("none") else self._operand(line))
        return operands


def _name(line: _Line) -> str:
    line.expect("%")
    bare = BARE_NAME.match(line.text, line.at)
    if bare is not None:
        line.at = bare.end()
        return bare.group()
    name = line.string()
    if not name:
        raise line.error("a value needs a name")
    return name


def _type(line: _Line) -> TensorType:
    dtype = line.need(_WORD, "an element type").group()
    if dtype not in _DTYPES:
        raise line.error(f"there is no element type {dtype!r}; types are {', '.join(sorted(_DTYPES))}")
    shape = tuple(_dims(line.need(_SHAPE, "a shape").group(1)))
    if len(shape) > _MAX_RANK:
        raise line.error(f"a tensor of rank {len(shape)}; ranks go up to {_MAX_RANK}")
    layout = _layout(line) if line.accept("@") else PLAIN
    quant = _quant(line) if line.accept("quant(") else None
    return TensorType(shape, DType(dtype), layout, quant)


def _dims(text: str) -> Iterator[Dim]:
    """The dims of a shape, split at the commas that stand outside parentheses."""
    depth, start = 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield parse_dim(text[start:at])
            start = at + 1
    if text.strip():
        yield parse_dim(text[start:])


def _layout(line: _Line) -> Layout:
    found = line.need(_LAYOUT, "a layout such as plain or c16")
    if found.group(1) == "plain":
        return PLAIN
    pieces = found.group(3)
    return Layout(int(found.group(2)), tuple(map(int, pieces.split("+"))) if pieces else ())


def _quant(line: _Line) -> Quant:
    scales = _numbers(line, _NUMBER, ";")
    zeros = _numbers(line, _INTEGER, ";")
    axis = None if line.accept("none") else int(line.need(_INTEGER, "an axis").group())
    line.expect(")")
    return Quant(tuple(map(float, scales)), tuple(map(int, zeros)), axis)


def _numbers(line: _Line, pattern: re.Pattern[str], closing: str) -> list[str]:
    parts: list[str] = []
    while not line.accept(closing):
        if parts:
            line.expect(",")
        parts.append(line.need(pattern, "a number").group())
    return parts


def _inline_array(line: _Line, dtype: DType, shape: tuple[int, ...]) -> Array:
    line.expect("[")
    if dtype is DType.BOOL:
        parts = _numbers(line, re.compile("true|false"), "]")
        flat: Array = np.array([part == "true" for part in parts], np.bool_)
    elif dtype.is_float:
        flat = parse_floats(_numbers(line, _NUMBER, "]"), dtype.numpy)
    else:
        flat = np.array([int(part) for part in _numbers(line, _INTEGER, "]")], dtype.numpy)
    if flat.size > MAX_INLINE_ELEMENTS:
        raise line.error(f"{flat.size} values are written out; more than {MAX_INLINE_ELEMENTS} go by sha256")
    if flat.size != dims.product(shape):
        raise line.error(f"{flat.size} values for the shape {list(shape)}")
    return flat.reshape(shape)


class _Attributes:
    """Values of attributes; nested attribute classes are those that the field's default or annotation names."""

    def __init__(self, line: _Line) -> None:
        self.line = line

    def fields(self, attrs: type[Attrs], closing: str, depth: int = 0) -> Attrs:
        """``name=value, ...`` up to ``closing``."""
        known = {field.name: field for field in dataclasses.fields(attrs)}
        values: dict[str, Any] = {}
        while not self.line.accept(closing):
            if values:
                self.line.expect(",")
            name = self.line.need(_WORD, "an attribute's name").group()
            if name not in known or name in values:
                raise self.line.error(f"attribute {name!r} is given twice or is none of {', '.join(known) or 'none'}")
            self.line.expect("=")
            values[name] = self._value(_nested(attrs, known[name]), depth + 1)
        return _make(self.line, attrs, values)

    def _value(self, nested: Mapping[str, type[Attrs]], depth: int) -> Any:
        line = self.line
        if depth > _MAX_DEPTH:
            raise line.error(f"attributes are nested deeper than {_MAX_DEPTH}")
        if line.accept("("):
            return self._tuple(nested, depth)
        if line.accept("@"):
            return _layout(line)
        symbolic = line.take(_DIM)
        if symbolic is not None:
            return parse_dim(symbolic.group(1))
        number = line.take(_NUMBER)
        if number is not None:
            text = number.group()
            return int(text) if _INTEGER.fullmatch(text) else float(text)
        if line.accept('"'):
            line.at -= 1
            return line.string()
        return self._word(nested, depth)

    def _tuple(self, nested: Mapping[str, type[Attrs]], depth: int) -> tuple[Any, ...]:
        items: list[Any] = []
        while not self.line.accept(")"):
            items.append(self._value(nested, depth + 1))
            if not self.line.accept(","):
                self.line.expect(")")
                break
        return tuple(items)

    def _word(self, nested: Mapping[str, type[Attrs]], depth: int) -> Any:
        word = self.line.need(_WORD, "an attribute's value").group()
        if word in nested:
            self.line.expect("(")
            return self.fields(nested[word], ")", depth)
        if word in _DTYPES:
            return DType(word)
        plain = {"none": None, "true": True, "false": False}
        if word not in plain:
            raise self.line.error(f"{word!r} is not a value for this attribute")
        return plain[word]


def _nested(attrs: type[Attrs], field: dataclasses.Field[Any]) -> dict[str, type[Attrs]]:
    """Attribute classes that may stand in a field, by name."""
    found: dict[str, type[Attrs]] = {}
    pending: list[Any] = [type(field.default), typing.get_type_hints(attrs)[field.name]]
    while pending:
        hint = pending.pop()
        pending.extend(typing.get_args(hint))
        if isinstance(hint, type) and issubclass(hint, Attrs):
            found[hint.__name__] = hint
    return found


def _make(line: _Line, attrs: type[Attrs], values: dict[str, Any]) -> Attrs:
    for field in dataclasses.fields(attrs):
        if field.default is dataclasses.MISSING and field.name not in values:
            raise line.error(f"attribute {field.name!r} is missing")
    return attrs(**values)
