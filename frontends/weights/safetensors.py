"""The safetensors format, read and laid out.

    0        u64, little-endian   header bytes N
    8        header, JSON         name -> {"dtype", "shape", "data_offsets": [begin, end]}, padded with spaces
    8 + N    elements             row-major and little-endian, without holes; offsets count from here

The package ``safetensors`` (0.8) is the format's home and judges this module in the tests. It is not what reads here:
into NumPy it copies every tensor, it fails on 8-bit floats, of two tensors with one name it drops one in silence, and
it does not say which tensor lies outside the file. What it checks, a damaged header and offsets with holes, overlaps
or the wrong size, is checked here too.

Source: the format's description in the repository huggingface/safetensors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.weights.element_types import ELEMENT_TYPES, by_dtype
from cnnc.frontends.weights.stored_tensor import (
    DAMAGED,
    MAX_TENSOR_BYTES,
    StridedTensor,
    checked_shape,
    contiguous_strides,
)
from cnnc.frontends.weights.weights import Content
from cnnc.runtime.aligned_memory import Bytes

MAX_HEADER_BYTES = 16 << 20
"""Some 150,000 tensors."""
METADATA = "__metadata__"
_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 64


def is_safetensors(start: bytes) -> bool:
    """Whether a file begins like one: a length below 2^40, then an object in JSON.

    The first byte says nothing: a header of 128 bytes begins like a pickle, one of 60 like HTML.
    """
    return start[5 : _LENGTH.size + 1] == b"\0\0\0{"


def has_header(start: bytes) -> bool:
    """Whether an object in JSON stands behind what would be its length, whatever that is."""
    return start[_LENGTH.size :].startswith(b"{")


def read_safetensors(data: Bytes, where: str) -> Content:
    """The tensors in the order of their elements.

    Raises:
        ModelError: the header is damaged, or a tensor's offsets do not fit its shape, the file or the other tensors.
        UnsupportedError: an element type that NumPy and ml_dtypes do not have.
    """
    (length,) = _LENGTH.unpack(data[: _LENGTH.size].tobytes())
    start = _LENGTH.size + length
    if length > MAX_HEADER_BYTES or start > data.size:
        limit = min(MAX_HEADER_BYTES, data.size - _LENGTH.size)
        raise ModelError(f"a header of {length} bytes; expected at most {limit}", where=where, hint=DAMAGED)
    header = _parse(data[_LENGTH.size : start].tobytes(), where)
    header.pop(METADATA, None)
    tensors = [(name, *_tensor(row, start, f"{where}: tensor {name!r:.80}")) for name, row in header.items()]
    tensors.sort(key=lambda found: (found[1].start, found[2]))
    end = start
    for name, tensor, after in tensors:
        if tensor.start != end or after > data.size:
            what = f"it takes bytes {tensor.start} to {after}; expected them to begin at {end} and end by {data.size}"
            raise ModelError(what, where=f"{where}: tensor {name!r:.80}", hint=DAMAGED)
        end = after
    if end != data.size:
        raise ModelError(f"its tensors end at byte {end}, the file at {data.size}", where=where, hint=DAMAGED)
    return Content("safetensors", tuple((name, tensor) for name, tensor, _ in tensors))


def lay_out(tensors: Sequence[tuple[str, np.dtype[Any], tuple[int, ...]]]) -> tuple[bytes, tuple[str, ...]]:
    """What comes before the elements, and the names in the order in which elements follow.

    Types of large elements come first, and the first tensor begins at a multiple of 64: so all are aligned in a mapped
    file.
    """
    header, end = {}, 0
    for name, dtype, shape in sorted(tensors, key=lambda tensor: (-tensor[1].itemsize, tensor[0])):
        begin, end = end, end + prod(shape) * dtype.itemsize
        header[name] = {"dtype": by_dtype()[dtype].safetensors, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(_LENGTH.size + len(text)) % _ALIGNMENT)
    return _LENGTH.pack(len(text)) + text, tuple(header)


def _parse(text: bytes, where: str) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ModelError(f"its header is not JSON ({error!s:.200})", where=where, hint=DAMAGED) from error
    except RecursionError as error:
        raise ModelError("its header is nested too deeply", where=where, hint=DAMAGED) from error
    if not isinstance(header, dict):
        raise ModelError("its header is no table of tensors", where=where, hint=DAMAGED)
    return header


def _tensor(row: Any, start: int, where: str) -> tuple[StridedTensor, int]:
    """The tensor and the byte of the file behind it."""
    match row:
        case {"dtype": str() as element, "shape": list() as dims, "data_offsets": [int() as begin, int() as end]}:
            pass
        case _:
            raise ModelError("its row has no dtype, shape and two data_offsets", where=where, hint=DAMAGED)
    dtype = _dtypes().get(element)
    if dtype is None:
        hint = "convert it to float32 before you save it"
        raise UnsupportedError(f"element type {element!r:.40} is not one that weights have", where=where, hint=hint)
    shape = checked_shape(dims, dtype, where)
    needed = prod(shape) * dtype.itemsize
    if not 0 <= begin <= end < MAX_TENSOR_BYTES:
        raise ModelError("its data_offsets are no range of bytes", where=where, hint=DAMAGED)
    if end - begin != needed:
        what = f"its shape {list(shape)} of {dtype.name} needs {needed} bytes, its data_offsets give {end - begin}"
        raise ModelError(what, where=where, hint=DAMAGED)
    strides = contiguous_strides(shape, dtype.itemsize)
    return StridedTensor(dtype.newbyteorder("<"), shape, strides, start + begin), start + end


@cache
def _dtypes() -> dict[str, np.dtype[Any]]:
    return {element.safetensors: element.numpy for element in ELEMENT_TYPES}


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice!r:.80} occurs twice")
    return table


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
