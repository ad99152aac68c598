"""Reads tensors of a program while it runs, where they lie, blocked or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from cnnc.compiled_model import CompiledModel
from cnnc.dims import evaluate
from cnnc.ir import Array
from cnnc.lower.builder import Place
from cnnc.runtime.aligned_memory import Bytes
from cnnc.runtime.call import MemoryOf, RunSettings
from cnnc.runtime.executor import Executor
from cnnc.runtime.input_check import bind_shapes, gather_inputs

See = Callable[[int, Array], None]
"""Gets the number of a step and a copy of the result [N, C, ...] that was asked for."""


class WatchedProgram:
    """A program of a CPU that runs step by step on one thread, with the same inputs each time.

    Raises:
        InputError: a name, dtype, rank or shape does not fit.
    """

    def __init__(self, compiled: CompiledModel, feeds: Mapping[str, Array]) -> None:
        self._places = compiled.lowered.places
        self._executor = Executor(compiled.executable)
        self._executor.load_kernels()
        ports = self._executor.program.inputs
        self._arrays = gather_inputs(ports, feeds)
        self._sizes = bind_shapes(ports, self._arrays)

    def run(self, wanted: Mapping[int, str], see: See) -> None:
        """Run the program once.

        Args:
            wanted: by the number of the step after which it is read, the name of a value of known size.
            see: told of every such value.
        """

        def step_done(step: int, memory: MemoryOf) -> None:
            if step in wanted:
                place = self._places[wanted[step]]
                see(step, stored_tensor(memory(place.buffer), place, self._sizes))

        self._executor.run(self._arrays, self._sizes, RunSettings(threads=1), step_done=step_done)


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
