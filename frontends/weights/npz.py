"""NumPy's .npz files: a zip archive with one .npy file for each array (numpy.lib.format).

Arrays that ``numpy.savez`` stored are views of the mapped file where they lie aligned; those of
``numpy.savez_compressed`` are unpacked each time they are asked for. Checksums are compared then, as NumPy does.
"""

from __future__ import annotations

import io
import tokenize
import zlib
from math import prod
from typing import Any

import numpy as np
from numpy.lib import format as npy

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.weights.archive import Entry
from cnnc.frontends.weights.element_types import by_dtype
from cnnc.frontends.weights.stored_tensor import DAMAGED, checked_shape, readable
from cnnc.frontends.weights.weights import Content
from cnnc.frozen_dataclass import dataclass
from cnnc.ir.fact import Array
from cnnc.runtime.aligned_memory import Bytes

MAX_HEADER_BYTES = 1 << 14
"""Longest .npy header: NumPy itself reads 10,000 characters."""
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True, slots=True)
class NpyTensor:
    """A .npy file in the archive.

    Attributes:
        header: bytes before the first element.
        fortran_order: whether the first axis is the fastest.
    """

    entry: Entry
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    header: int
    fortran_order: bool

    def array(self, data: Bytes, where: str) -> Array:
        """A view of ``data``, or a copy where the entry is compressed or lies unaligned.

        Raises:
            ModelError: the content is damaged.
        """
        content = self.entry.content(data, self.entry.size, where)
        if len(content) != self.entry.size or zlib.crc32(content) != self.entry.crc:
            what = f"{len(content)} bytes with another checksum than the archive gives for {self.entry.size}"
            raise ModelError(what, where=where, hint=DAMAGED)
        order: Any = "F" if self.fortran_order else "C"
        return readable(np.ndarray(self.shape, self.dtype, content, self.header, order=order))


def read_npz(data: Bytes, entries: tuple[Entry, ...], where: str) -> Content:
    """The arrays of the archive.

    Raises:
        ModelError: an array is damaged.
        UnsupportedError: an array of objects, strings or structures.
    """
    named = ((entry.name.removesuffix(".npy"), entry) for entry in entries)
    tensors = tuple((name, _tensor(entry, data, f"{where}: tensor {name!r:.80}")) for name, entry in named)
    return Content("NumPy .npz", tensors)


def _tensor(entry: Entry, data: Bytes, where: str) -> NpyTensor:
    stream = io.BytesIO(entry.content(data, MAX_HEADER_BYTES, where))
    try:
        version = npy.read_magic(stream)
    except ValueError as error:
        raise ModelError(f"this is no .npy file ({error})", where=where, hint=DAMAGED) from error
    if version not in _HEADER_READERS:
        what = f"version {version[0]}.{version[1]} of the .npy format; 1.0 and 2.0 are read"
        raise UnsupportedError(what, where=where, hint="save plain arrays of numbers")
    try:
        shape, fortran_order, dtype = _HEADER_READERS[version](stream)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise ModelError("its .npy header makes no sense", where=where, hint=DAMAGED) from error
    if dtype.newbyteorder("=") not in by_dtype():
        raise UnsupportedError(
            f"elements of type {dtype} are no numbers that weights have", where=where, hint=_hint(dtype)
        )
    shape = checked_shape(shape, dtype, where)
    needed, got = prod(shape) * dtype.itemsize, entry.size - stream.tell()
    if needed != got:
        what = f"its shape {list(shape)} of {dtype.name} needs {needed} bytes, got {got}"
        raise ModelError(what, where=where, hint=DAMAGED)
    return NpyTensor(entry, dtype, shape, stream.tell(), bool(fortran_order))


def _hint(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "O":
        return "objects are pickles, which are not executed: save arrays of numbers"
    if dtype.kind == "V" and dtype.itemsize <= 2:
        return "was it bfloat16? .npz cannot say so: save it as safetensors, or as float32"
    return "convert it to a number type before you save it"
