"""Programs from JSON values, as ``program_json`` wrote them.

The reader takes nothing for granted: every value's kind, every index and every text is checked, in time and memory
bounded by the size of the input. Unknown keys are ignored, so that newer writers may add some.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from cnnc.dim_text import parse
from cnnc.dims import Dim
from cnnc.errors import ArtifactError, ModelError
from cnnc.runtime import artifact_format as limits
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import (
    Arg,
    Buffer,
    BufferArg,
    Call,
    Choice,
    HostStep,
    KernelStep,
    Plain,
    Port,
    Program,
    Sizes,
    Step,
    Tensor,
)
from cnnc.types import DType

T = TypeVar("T")
BUFFER_KINDS = ("input", "output", "constant", "arena")
_DTYPES = frozenset(dtype.value for dtype in DType)
_MAX_NAME = 4096
_MAX_RANK = 64
_MAX_DEPTH = 24
_MAX_PRODUCTS = 48
_MAX_PARAM = 1 << 20


def program_from_json(data: Any, where: str) -> Program:
    """The program that a JSON value describes; every index in it is in range.

    Raises:
        ArtifactError: the value is not a program; ``where`` names the file.
    """
    return _ProgramReader(where).program(data)


def variant_from_json(data: Any, where: str) -> Variant:
    """A kernel variant; that the kernel exists is for the caller to check.

    Raises:
        ArtifactError: the value is not a variant.
    """
    return _ProgramReader(where).variant(data)


_LANE_PARAMS = ("lanes", "input_block")
"""Parameters that count lanes of a vector: they widen a kernel's code, but do not repeat it."""


class _ProgramReader:
    def __init__(self, where: str) -> None:
        self._where = where
        self._parsed: dict[str, Dim] = {}
        self._text_budget = limits.MAX_DISTINCT_TEXT
        self._buffers = 0
        self._variants: tuple[Variant, ...] = ()

    def program(self, data: Any) -> Program:
        buffers = self._many(self._key(data, "buffers"), self._read_buffer, "buffers", limits.MAX_BUFFERS)
        self._buffers = len(buffers)
        self._variants = self._many(self._key(data, "variants"), self.variant, "variants", limits.MAX_STEPS)
        inputs = self._many(self._key(data, "inputs"), self._read_port, "inputs", limits.MAX_BUFFERS)
        outputs = self._many(self._key(data, "outputs"), self._read_port, "outputs", limits.MAX_BUFFERS)
        steps = self._many(self._key(data, "steps"), self._read_step, "steps", limits.MAX_STEPS)
        bound = [port.buffer for port in inputs]
        wanted = [index for index, buffer in enumerate(buffers) if buffer.kind == "input"]
        if sorted(bound) != wanted:
            raise self._error("inputs and input buffers do not match")
        for names in ([port.name for port in inputs], [port.name for port in outputs]):
            if len(set(names)) != len(names):
                raise self._error("two inputs or two outputs have the same name")
        return Program(inputs, outputs, buffers, steps)

    def variant(self, data: Any) -> Variant:
        kernel, params = self._fields(data, 2, "a kernel variant")
        read = self._many(params, self._param, "kernel parameters", 64)
        numbers = [(name, value) for name, value in read if isinstance(value, int)]
        unrolled = math.prod(abs(value) for name, value in numbers if value and name not in _LANE_PARAMS)
        lanes = [value for name, value in numbers if name in _LANE_PARAMS]
        if unrolled > limits.MAX_UNROLLED or any(value > limits.MAX_LANES for value in lanes):
            raise self._error(f"the parameters of kernel {kernel!r:.80} are too large")
        return Variant(self._text(kernel), read)

    def _param(self, data: Any) -> tuple[str, int | str]:
        name, value = self._fields(data, 2, "a kernel parameter")
        if isinstance(value, str):
            return self._text(name), self._text(value)
        return self._text(name), self._int(value, -_MAX_PARAM, _MAX_PARAM)

    def _read_buffer(self, data: Any) -> Buffer:
        name, kind, size, constant = self._fields(data, 4, "a buffer")
        if kind not in BUFFER_KINDS:
            raise self._error(f"buffer kind {kind!r:.40} does not exist")
        if kind == "constant" and not isinstance(size, int):
            raise self._error("a constant's size is not a number")
        return Buffer(self._text(name), kind, self._dim(size), self._int(constant, -1, limits.MAX_SECTIONS))

    def _read_port(self, data: Any) -> Port:
        name, buffer, shape, dtype = self._fields(data, 4, "an input or output")
        return Port(self._text(name), self._buffer(buffer), self._shape(shape), self._dtype(dtype))

    def _read_step(self, data: Any) -> Step:
        if not isinstance(data, dict):
            raise self._error("a step is no object")
        label, op = self._text(data.get("label", "")), self._text(data.get("op", ""))
        if "host" in data:
            inputs = self._many(self._key(data, "inputs"), self._operand, "inputs of a step", limits.MAX_BUFFERS)
            outputs = self._many(self._key(data, "outputs"), self._tensor, "outputs of a step", limits.MAX_BUFFERS)
            attributes = self._many(self._key(data, "attributes"), self._attribute, "attributes", 256)
            return HostStep(self._text(data["host"]), attributes, inputs, outputs, label, op)
        choices = self._many(self._key(data, "choices"), self._choice, "choices of a step", 64)
        if not choices or choices[-1].when:
            raise self._error("the last choice of a step has a guard, or there is none")
        reads = self._many(self._key(data, "reads"), self._buffer, "reads", limits.MAX_BUFFERS)
        writes = self._many(self._key(data, "writes"), self._buffer, "writes", limits.MAX_BUFFERS)
        inplace = self._many(data.get("inplace", []), self._pair, "in-place buffers", limits.MAX_BUFFERS)
        if any(written == read or written not in writes or read not in reads for written, read in inplace):
            raise self._error("a step is in place over buffers that it does not write and read")
        return KernelStep(choices, reads, writes, label, op, self._dim(self._key(data, "macs")), inplace)

    def _pair(self, data: Any) -> tuple[int, int]:
        written, read = self._fields(data, 2, "an in-place pair")
        return self._buffer(written), self._buffer(read)

    def _choice(self, data: Any) -> Choice:
        when = self._shape(self._key(data, "when"))
        calls = self._many(self._key(data, "calls"), self._call, "calls of a step", 4096)
        if not calls:
            raise self._error("a choice calls nothing")
        return Choice(calls, when)

    def _call(self, data: Any) -> Call:
        variant, args, items, scratch = self._fields(data, 4, "a call")
        index = self._int(variant, 0, len(self._variants) - 1)
        read = self._many(args, self._arg, "arguments", 4096)
        return Call(self._variants[index], read, self._dim(items), self._dim(scratch))

    def _arg(self, data: Any) -> Arg:
        if isinstance(data, list):
            buffer, offset = self._fields(data, 2, "an address")
            return BufferArg(self._buffer(buffer), self._dim(offset))
        if isinstance(data, int):  # any 64 bits: an argument may be the bits of a float
            return self._int(data, -(2**63), 2**63 - 1)
        return self._dim(data)

    def _operand(self, data: Any) -> Tensor | Sizes | None:
        if isinstance(data, dict):
            dims = self._many(self._key(data, "sizes"), self._dim, "sizes", _MAX_NAME)
            scalar = self._key(data, "scalar")
            if not isinstance(scalar, bool) or (scalar and len(dims) != 1):
                raise self._error("a size operand is neither a scalar nor a vector")
            return Sizes(dims, scalar)
        return self._tensor(data)

    def _tensor(self, data: Any) -> Tensor | None:
        if data is None:
            return None
        buffer, shape, dtype, offset = self._fields(data, 4, "a tensor")
        return Tensor(self._buffer(buffer), self._shape(shape), self._dtype(dtype), self._dim(offset))

    def _attribute(self, data: Any) -> tuple[str, Plain]:
        name, value = self._fields(data, 2, "an attribute")
        return self._text(name), self._read_plain(value, 0)

    def _read_plain(self, value: Any, depth: int) -> Plain:
        if depth > _MAX_DEPTH:
            raise self._error("an attribute is nested too deeply")
        if isinstance(value, list):
            return tuple(self._read_plain(item, depth + 1) for item in value)
        if isinstance(value, dict):
            text = value.get("float")
            if text not in ("inf", "-inf", "nan"):
                raise self._error("an attribute is no plain value")
            return float(text)
        if isinstance(value, (str, int, float, bool)) or value is None:
            return value
        raise self._error("an attribute is no plain value")

    def _shape(self, data: Any) -> tuple[Dim, ...]:
        return self._many(data, self._dim, "dimensions", _MAX_RANK)

    def _dim(self, data: Any) -> Dim:
        if isinstance(data, str):
            found = self._parsed.get(data)
            return self._parse(data) if found is None else found
        return self._int(data, -(2**62), 2**62)

    def _parse(self, text: str) -> Dim:
        """Parse canonical text only: it costs little to parse, which arbitrary text of the same length may not."""
        self._text_budget -= len(text)
        if len(text) > limits.MAX_TEXT or self._text_budget < 0:
            raise self._error("expressions are too long")
        if text.count("*") > _MAX_PRODUCTS or _depth(text) > _MAX_DEPTH:
            raise self._error(f"expression {text[:60]!r} is too deep or has too many products")
        try:
            dim = parse(text)
        except ModelError as error:
            raise self._error(f"bad expression: {error.what}") from error
        if isinstance(dim, int) or str(dim) != text:
            raise self._error(f"expression {text[:60]!r} is not in canonical form")
        self._parsed[text] = dim
        return dim

    def _dtype(self, data: Any) -> DType:
        if not isinstance(data, str) or data not in _DTYPES:
            raise self._error(f"element type {data!r:.40} does not exist")
        return DType(data)

    def _buffer(self, data: Any) -> int:
        return self._int(data, 0, self._buffers - 1)

    def _int(self, data: Any, low: int, high: int) -> int:
        if type(data) is not int or not low <= data <= high:
            raise self._error(f"{str(data)[:40]} is no integer between {low} and {high}")
        return data

    def _text(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > _MAX_NAME:
            raise self._error("a name is no text, or longer than 4096 characters")
        return data

    def _key(self, data: Any, key: str) -> Any:
        if not isinstance(data, dict) or key not in data:
            raise self._error(f"{key!r} is missing")
        return data[key]

    def _fields(self, data: Any, count: int, what: str) -> list[Any]:
        if not isinstance(data, list) or len(data) != count:
            raise self._error(f"{what} does not have {count} fields")
        return data

    def _many(self, data: Any, read: Callable[[Any], T], what: str, most: int) -> tuple[T, ...]:
        if not isinstance(data, list) or len(data) > most:
            raise self._error(f"{what} are no list of at most {most}")
        return tuple(read(item) for item in data)

    def _error(self, what: str) -> ArtifactError:
        return ArtifactError(what, where=self._where, hint="the file is damaged: compile the model again")


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest
