"""Applies an emitted vector function to whole arrays, by a kernel compiled on the spot."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.runtime.cpu.vector import VectorBuilder, intrinsic
from cnnc.runtime.jit.compile import compile_function
from cnnc.runtime.jit.link import link
from cnnc.runtime.jit.memory import map_blob
from cnnc.runtime.jit.target import host_target


def apply(emit: Callable[[VectorBuilder, Any], Any], x: np.ndarray) -> np.ndarray:
    """``emit`` of every element of the float32 array ``x`` (any size; padded to whole vectors here)."""
    target = host_target()
    lanes = target.lanes
    padded = np.zeros(-(-x.size // lanes) * lanes, np.float32)
    padded[: x.size] = x.ravel()
    out = np.zeros_like(padded)

    def emit_at(b: VectorBuilder, dst: Any, src: Any) -> None:
        b.store(emit(b, b.load(src)), dst)

    step = intrinsic(target, emit_at, 2)
    vector_bytes = target.vector_bytes

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        for item in range(begin, end):
            step(args[0] + item * vector_bytes, args[1] + item * vector_bytes)

    address = map_blob(link(compile_function(kernel, target)))
    block = (ctypes.c_int64 * 2)(out.ctypes.data, padded.ctypes.data)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(address)(block, 0, padded.size // lanes, 0)
    return out[: x.size].reshape(x.shape)
