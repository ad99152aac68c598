"""Reads a tensor of a running program: from its bytes, blocked or not, to a plain array."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from cnnc.dims import evaluate
from cnnc.ir import Array
from cnnc.lower.builder import Place
from cnnc.runtime.aligned_memory import Bytes


def stored_tensor(memory: Bytes, place: Place, sizes: Mapping[str, int]) -> Array:
    """A copy of the logical elements [N, C, ...] of a value.

    Args:
        memory: bytes of the buffer that the value lies in.
        place: where in it.
        sizes: of all symbols of the place.
    """
    type = place.type
    shape = tuple(evaluate(dim, sizes) for dim in type.physical_shape)
    start, dtype = evaluate(place.offset, sizes), type.dtype.numpy
    if not prod(shape):
        return np.zeros([evaluate(dim, sizes) for dim in type.shape], dtype)
    elements = memory[start : start + (memory.size - start) // dtype.itemsize * dtype.itemsize].view(dtype)
    if not shape:
        return elements[:1].reshape(()).copy()
    image = prod(shape[1:])
    stride = image + evaluate(place.gap, sizes)
    images = np.lib.stride_tricks.as_strided(elements, (shape[0], image), (stride * dtype.itemsize, dtype.itemsize))
    stored = images.reshape(shape)
    if not type.layout.is_blocked:
        return stored.copy()
    lanes = np.moveaxis(stored, -1, 2).reshape(shape[0], -1, *shape[2:-1])
    channels = evaluate(type.shape[1], sizes)
    plain: Array = np.ascontiguousarray(lanes[:, type.layout.lanes(channels)])
    return plain
