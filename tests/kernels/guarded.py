"""Runs a kernel on buffers that end (or begin) at an inaccessible page, as far as its footprint says."""

from __future__ import annotations

import ctypes
import itertools
import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.jit.kernel_library import load_kernel
from cnnc.runtime.kernel import Variant

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_PAGE = mmap.PAGESIZE


class Guarded:
    """``size`` bytes between two inaccessible pages: touching the last one, or the first one with ``at_start``."""

    def __init__(self, size: int, at_start: bool) -> None:
        inner = -(-max(size, 1) // _PAGE) * _PAGE
        self.length = inner + 2 * _PAGE
        self.base = _libc.mmap(None, self.length, 0, 0x22, -1, 0)
        _libc.mprotect(self.base + _PAGE, inner, 3)
        self.address = self.base + _PAGE + (0 if at_start else inner - size)
        ctypes.memset(self.base + _PAGE, 0xFF, inner)  # NaN everywhere

    def bytes(self, size: int) -> Any:
        return (ctypes.c_uint8 * size).from_address(self.address)

    def free(self) -> None:
        _libc.munmap(self.base, self.length)


def run_kernel(
    variant: Variant,
    arrays: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    splits: int = 1,
    at_start: bool = False,
    one_worker: bool = False,
) -> dict[str, np.ndarray]:
    """Call the kernel over all items in ``splits`` pieces, last one first; arrays as they are afterwards.

    Each piece is run by a worker of its own, with scratch of its own, or all by ``one_worker``.

    Buffers are exactly as large as the footprint, so an array larger than that is an error, and so is an access beyond.
    Where the kernel says that a result may lie over an operand, it is run like that as well.
    """
    result = _run_apart_or_over(variant, arrays, sizes, splits, at_start, {}, one_worker)
    for written, read in kernel_def(variant.kernel).inplace(_with_gaps(variant, sizes), variant.options):
        over = _run_apart_or_over(variant, arrays, sizes, splits, at_start, {written: read}, one_worker)[written]
        got, apart, before, operand = (
            np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            for array in (over, result[written], arrays[written], arrays[read])
        )
        assert np.all((got == apart) | ((apart == before) & (got == operand))), f"{written} over {read} is wrong"
    return result


def _with_gaps(variant: Variant, sizes: Mapping[str, int]) -> dict[str, int]:
    # Tensors of their own unless a test says otherwise.
    return {name: 0 for name in kernel_def(variant.kernel).sizes if name.endswith("_gap")} | dict(sizes)


def _run_apart_or_over(
    variant: Variant,
    arrays: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    splits: int,
    at_start: bool,
    overlay: Mapping[str, str],
    one_worker: bool,
) -> dict[str, np.ndarray]:
    kernel = kernel_def(variant.kernel)
    sizes = _with_gaps(variant, sizes)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(load_kernel(variant))
    stops = dict.fromkeys(kernel.buffers, 0)
    for access in kernel.footprint(sizes, variant.options):
        assert access.start >= 0
        stops[access.buffer] = max(stops[access.buffer], access.stop)
    buffers: dict[str, Guarded] = {}
    for name, stop in stops.items():
        if name in overlay:
            continue
        buffers[name] = Guarded(stop, at_start)
        if name in arrays:
            data = np.ascontiguousarray(arrays[name])
            assert data.nbytes == stop, f"{name}: {data.nbytes} bytes, the footprint says {stop}"
            ctypes.memmove(buffers[name].address, data.ctypes.data, data.nbytes)
    buffers |= {written: buffers[read] for written, read in overlay.items()}
    scratch_size = int(kernel.scratch_bytes(sizes, variant.options))  # type: ignore[call-overload]
    scratch = Guarded(-(-scratch_size // 64) * 64, at_start)
    slots = [buffers[name].address for name in kernel.buffers] + [sizes[name] for name in kernel.sizes]
    block = (ctypes.c_int64 * len(slots))(*slots)
    items = int(kernel.items(sizes, variant.options))  # type: ignore[call-overload]
    bounds = [items * piece // splits for piece in range(splits + 1)]
    for begin, end in reversed(list(itertools.pairwise(bounds))):
        if end == items or not one_worker:
            ctypes.memset(scratch.address, 0xFF, scratch_size)
            ctypes.memset(scratch.address, 0, min(scratch_size, 8))
        function(ctypes.addressof(block), begin, end, scratch.address)
    result = {}
    for name, array in arrays.items():
        raw = np.frombuffer(buffers[name].bytes(array.nbytes), np.uint8).copy()
        result[name] = raw.view(array.dtype).reshape(array.shape)
    for guarded in {id(guarded): guarded for guarded in (*buffers.values(), scratch)}.values():
        guarded.free()
    return result


def float_bits(value: float) -> int:
    """A float32 as it travels in an argument block."""
    return int(np.float32(value).view(np.int32))


def to_blocked(x: np.ndarray, lanes: int, pad: float = np.nan) -> np.ndarray:
    """[N, C, spatial...] as [N, blocks, spatial..., lanes] with ``pad`` in the pad lanes."""
    n, c, *spatial = x.shape
    blocks = -(-c // lanes)
    padded = np.full((n, blocks * lanes, *spatial), pad, x.dtype)
    padded[:, :c] = x
    return np.ascontiguousarray(np.moveaxis(padded.reshape(n, blocks, lanes, *spatial), 2, -1))


def from_blocked(x: np.ndarray, channels: int) -> np.ndarray:
    """The inverse of ``to_blocked``."""
    moved = np.moveaxis(x, -1, 2)
    return moved.reshape(x.shape[0], -1, *moved.shape[3:])[:, :channels]
