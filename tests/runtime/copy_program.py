"""A program of the runtime's own kernels and host functions: x[N, 3] -> copy -> add w -> copy -> y."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.dims import symbol
from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.cpu.copy_strided import arguments
from cnnc.runtime.executable import Executable
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import Buffer, BufferArg, Call, Choice, HostStep, KernelStep, Port, Program, Tensor
from cnnc.types import DType

N = symbol("N")
WEIGHT = np.array([1, 2, 3], np.float32)


def copy_call(source: int, target: int, count: Any, offset: Any = 0) -> Call:
    """copy.strided of ``count`` floats."""
    kernel, variant = kernel_def("copy.strided"), Variant.of("copy.strided", size=4)
    sizes = arguments((count,), (1,), (1,))
    args = {"x": BufferArg(source, offset), "y": BufferArg(target)}
    slots = tuple(args.get(name, sizes.get(name, 0)) for name in kernel.args)
    return Call(variant, slots, kernel.items(sizes, variant.options), kernel.scratch_bytes(sizes, variant.options))


def copy_step(source: int, target: int, count: Any) -> KernelStep:
    return KernelStep((Choice((copy_call(source, target, count),)),), (source,), (target,), f"copy{target}", "copy")


def copy_add_program() -> Program:
    """y = x + w, with a copy on either side of the host step; a second output gets x itself."""
    buffers = (
        Buffer("x", "input", 12 * N),
        Buffer("w", "constant", 12, 0),
        Buffer("t", "arena", 12 * N),
        Buffer("u", "arena", 12 * N),
        Buffer("y", "output", 12 * N),
    )
    shape = (N, 3)
    host = HostStep(
        "add", (), (Tensor(2, shape, DType.F32), Tensor(1, (3,), DType.F32)), (Tensor(3, shape, DType.F32),), "a", "add"
    )
    outputs = (Port("y", 4, shape, DType.F32), Port("echo", 0, shape, DType.F32))
    steps = (copy_step(0, 2, 3 * N), host, copy_step(3, 4, 3 * N))
    return Program((Port("x", 0, shape, DType.F32),), outputs, buffers, steps)


def copy_add() -> Executable:
    """The program with its weight."""
    metadata = (("producer_name", "tests"), ("version", "7"), ("note", "a note"))
    return Executable(copy_add_program(), (WEIGHT.view(np.uint8),), metadata)
