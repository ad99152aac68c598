"""Kernels of one's own on the emulator: Numba CUDA functions over arrays, as they would be launched on a GPU.

>>> def double(x, y):                                                              # doctest: +SKIP
...     i = cuda.grid(1)
...     if i < x.size:
...         y[i] = 2 * x[i]
>>> profile = launch_arrays(double, 4, 256, [x, y])                                # doctest: +SKIP
>>> profile.counters.sectors / profile.counters.least_sectors                      # doctest: +SKIP
1.0
>>> predict(profile, device_named("a100")).seconds                                 # doctest: +SKIP
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from cnnc.emulation.loops import hottest_loop
from cnnc.emulation.profile import CallProfile, tensor_type
from cnnc.errors import InputError
from cnnc.ptx import Emulator, GlobalMemory, Module, parse_ptx
from cnnc.runtime.cuda.assemble import assemble
from cnnc.runtime.cuda.compile import ENTRY, function_ptx
from cnnc.runtime.cuda.cubin import ResourceUse
from cnnc.runtime.cuda.machine_code import InstructionCounts, listing
from cnnc.runtime.cuda.machine_code import hottest_loop as hottest_machine_loop
from cnnc.runtime.cuda.target import DEFAULT_ARCHITECTURE, cuda_target
from cnnc.runtime.kernel import Variant

Kernel = Callable[..., Any]


def launch_arrays(
    function: Kernel,
    grid: int | tuple[int, ...],
    block: int | tuple[int, ...],
    arguments: Sequence[Any],
    *,
    architecture: str = DEFAULT_ARCHITECTURE,
) -> CallProfile:
    """Compile a kernel for a GPU and run all of its blocks on the emulator.

    Args:
        function: a Python function as ``numba.cuda.jit`` takes it, not decorated. It may call ``cuda.grid``,
            ``cuda.shared.array``, ``cuda.syncthreads`` and what else Numba CUDA has.
        grid, block: blocks, and threads of a block, in one to three dimensions.
        arguments: C-contiguous arrays, which the kernel reads and writes in place, and numbers: ints are int64 to the
            kernel, floats float32.
        architecture: what it is compiled for.

    Returns:
        What a device would be charged with; ``predict`` makes a time of it. All arrays count as bytes that must move
        once.

    Raises:
        OptionError: the compiler or the assembler of GPU kernels is not installed.
        InputError: an argument is neither such an array nor a number, or the sizes of a launch are no such sizes.
        AccessError: a thread touched memory outside of the arrays, or two threads raced for shared memory.
    """
    compiled = compile_arrays(function, arguments, architecture)
    memory = GlobalMemory()
    arrays = {id(argument): argument for argument in arguments if isinstance(argument, np.ndarray)}
    names = {id(argument): name for name, argument in zip(inspect.signature(function).parameters, arguments)}
    addresses = {key: memory.allocate(array, names.get(key, "")) for key, array in arrays.items()}
    slots = [slot for argument in arguments for slot in _slots(argument, addresses.get(id(argument), 0))]
    sizes, threads = _dimensions(grid), _dimensions(block)
    counters = Emulator(compiled.module, memory).launch(ENTRY, sizes, threads, slots)
    entry = compiled.module.entries[ENTRY]
    return CallProfile(
        step=0,
        variant=Variant.of(function.__name__),
        blocks=prod(sizes),
        threads=prod(threads),
        sampled=prod(sizes),
        counters=counters,
        loop=hottest_loop(entry, counters),
        machine_loop=compiled.machine_loop,
        resources=compiled.resources,
        tensor_type=tensor_type(entry),
        constant_bytes=0,
        tensor_bytes=sum(array.nbytes for array in arrays.values()),
    )


class CompiledArrays:
    """A kernel for arguments of certain types.

    Attributes:
        ptx: its text.
        module: the same, parsed.
        resources: what machine code of it takes of a multiprocessor.
        machine_loop: the hottest loop of the machine code.
    """

    def __init__(self, function: Kernel, types: tuple[Any, ...], architecture: str) -> None:
        target = cuda_target(architecture)
        self.ptx: str = function_ptx(function, types, target)
        self.module: Module = parse_ptx(self.ptx)
        cubin = assemble(self.ptx, target)
        self.resources: ResourceUse = cubin.resources
        self.machine_loop: InstructionCounts = hottest_machine_loop(listing(cubin.image))


def compile_arrays(
    function: Kernel, arguments: Sequence[Any], architecture: str = DEFAULT_ARCHITECTURE
) -> CompiledArrays:
    """Compile a kernel for the types of these arguments, once in a process; see ``launch_arrays``.

    Raises:
        OptionError, InputError: as there.
    """
    return _compiled(function, tuple(map(_type, arguments)), architecture)


_compiled = functools.cache(CompiledArrays)


def _type(argument: Any) -> Any:
    """The Numba type of a kernel's parameter."""
    from numba import typeof, types

    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise InputError(
                f"an array of shape {argument.shape} that is not C-contiguous",
                where="launch",
                hint="np.ascontiguousarray makes a copy that is",
            )
        return typeof(argument)
    if isinstance(argument, (int, np.integer)):
        return types.int64
    if isinstance(argument, (float, np.floating)):
        return types.float32
    raise InputError(
        f"{type(argument).__name__} is no argument of a kernel", where="launch", hint="pass arrays, ints and floats"
    )


def _slots(argument: Any, address: int) -> tuple[Any, ...]:
    """The entry's parameters for one argument: Numba passes the fields of an array one by one."""
    if not isinstance(argument, np.ndarray):
        return (argument,)
    owner, parent = 0, 0
    return owner, parent, argument.size, argument.itemsize, address, *argument.shape, *argument.strides


def _dimensions(sizes: int | tuple[int, ...]) -> tuple[int, ...]:
    return (sizes,) if isinstance(sizes, int) else tuple(sizes)
