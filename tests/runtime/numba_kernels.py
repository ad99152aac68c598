"""Small kernels and programs for tests of the runtime, compiled by Numba directly."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from cnnc.dims import Dim, symbol
from cnnc.runtime import worker_loop
from cnnc.runtime.executable import Executable
from cnnc.runtime.executor import Resolvers
from cnnc.runtime.kernel import Access, KernelDef, Params, Target, Variant
from cnnc.runtime.pool import Pool, loop_entry
from cnnc.runtime.program import Buffer, BufferArg, Call, Choice, KernelStep, Port, Program
from cnnc.types import DType

TARGET = Target("x86_64-unknown-linux-gnu", "host", "", 16)
BLOCK = 16
"""Elements of one work item of the test kernels."""


def _blocks(sizes: Any, params: Params) -> Any:
    return (sizes["count"] + BLOCK - 1) // BLOCK


def _floats(count: int, *names: str, writes: str) -> tuple[Access, ...]:
    return (*(Access(name, 0, 4 * count, False) for name in names), Access(writes, 0, 4 * count, True))


def _build_affine(target: Target, params: Params) -> Any:
    import numba

    block, pointer = BLOCK, _pointer_intrinsic()

    def affine(args: Any, begin: Any, end: Any, scratch: Any) -> None:
        count = args[2]
        x = numba.carray(pointer(args[0]), count)
        y = numba.carray(pointer(args[1]), count)
        for i in range(begin * block, min(end * block, count)):
            y[i] = x[i] * numba.float32(args[3]) + numba.float32(args[4])

    return affine


def _build_add(target: Target, params: Params) -> Any:
    import numba

    block, pointer = BLOCK, _pointer_intrinsic()

    def add(args: Any, begin: Any, end: Any, scratch: Any) -> None:
        count = args[3]
        a = numba.carray(pointer(args[0]), count)
        b = numba.carray(pointer(args[1]), count)
        y = numba.carray(pointer(args[2]), count)
        for i in range(begin * block, min(end * block, count)):
            y[i] = a[i] + b[i]

    return add


def _build_scratch_sum(target: Target, params: Params) -> Any:
    """y[item] = sum of 16 inputs, staged through scratch."""
    import numba

    block, pointer = BLOCK, _pointer_intrinsic()

    def scratch_sum(args: Any, begin: Any, end: Any, scratch: Any) -> None:
        count = args[2]
        x = numba.carray(pointer(args[0]), count)
        y = numba.carray(pointer(args[1]), (count + block - 1) // block)
        stage = numba.carray(pointer(scratch), block)
        for item in range(begin, end):
            for k in range(block):
                stage[k] = x[item * block + k] if item * block + k < count else 0.0
            total = numba.float32(0.0)
            for k in range(block):
                total += stage[k]
            y[item] = total

    return scratch_sum


def _build_first_tag(target: Target, params: Params) -> Any:
    """y[block] = the tag that this worker's first call of the instruction left in scratch."""
    import numba

    block, pointer = BLOCK, _pointer_intrinsic()

    def first_tag(args: Any, begin: Any, end: Any, scratch: Any) -> None:
        y = numba.carray(pointer(args[0]), args[1])
        held = numba.carray(pointer(scratch), 2)
        if held[0] == 0.0 and held[1] == 0.0:
            held[0] = args[2]
        for i in range(begin * block, min(end * block, args[1])):
            y[i] = held[0]

    return first_tag


@functools.cache
def _pointer_intrinsic() -> Any:
    from numba.core import types
    from numba.extending import intrinsic

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    def typing(typingctx: Any, address: Any) -> Any:
        return types.CPointer(types.float32)(address), generate

    return intrinsic(typing)


KERNELS = {
    kernel.name: kernel
    for kernel in (
        KernelDef(
            "test.affine",
            ("x", "y"),
            ("count", "scale", "shift"),
            _build_affine,
            _blocks,
            lambda sizes, params: _floats(sizes["count"], "x", writes="y"),
        ),
        KernelDef(
            "test.add",
            ("a", "b", "y"),
            ("count",),
            _build_add,
            _blocks,
            lambda sizes, params: _floats(sizes["count"], "a", "b", writes="y"),
        ),
        KernelDef(
            "test.scratch_sum",
            ("x", "y"),
            ("count",),
            _build_scratch_sum,
            _blocks,
            lambda sizes, params: (
                Access("x", 0, 4 * sizes["count"], False),
                Access("y", 0, 4 * _blocks(sizes, params), True),
            ),
            lambda sizes, params: 4 * BLOCK,
        ),
        KernelDef(
            "test.first_tag",
            ("y",),
            ("count", "tag"),
            _build_first_tag,
            _blocks,
            lambda sizes, params: _floats(sizes["count"], writes="y"),
            lambda sizes, params: 64,
        ),
        worker_loop.KERNEL,
    )
}


@functools.cache
def _compiled(variant: Variant) -> Any:
    import numba
    from numba.core import types

    function = KERNELS[variant.kernel].build(TARGET, variant.options)
    i64 = types.int64
    return numba.cfunc(types.void(types.CPointer(i64), i64, i64, i64), error_model="numpy")(function)


def load_kernel(variant: Variant) -> int:
    """Address of a compiled test kernel."""
    return int(_compiled(variant).address)


@functools.cache
def pool_of(threads: int) -> Pool:
    """A pool of a given size, whatever the machine has."""
    return Pool(loop_entry(load_kernel(Variant.of("worker_loop"))), threads)


def resolvers(threads: int = 1, host: dict[str, Any] | None = None) -> Resolvers:
    """Tables of test kernels and host functions."""
    return Resolvers(load_kernel, KERNELS.__getitem__, (host or {}).__getitem__, lambda: pool_of(threads))


def affine(x: int, y: int, count: Dim, scale: int, shift: int, macs: Dim = 0, offset: Dim = 0) -> KernelStep:
    """y = x * scale + shift over ``count`` floats."""
    call = Call(Variant.of("test.affine"), (BufferArg(x), BufferArg(y, offset), count, scale, shift), _ceil(count))
    return KernelStep((Choice((call,)),), (x,), (y,), f"affine{y}", "affine", macs)


def add(a: int, b: int, y: int, count: Dim, macs: Dim = 0) -> KernelStep:
    """y = a + b."""
    call = Call(Variant.of("test.add"), (BufferArg(a), BufferArg(b), BufferArg(y), count), _ceil(count))
    return KernelStep((Choice((call,)),), (a, b), (y,), f"add{y}", "add", macs)


def _ceil(count: Dim) -> Dim:
    return (count + BLOCK - 1) // BLOCK


def floats(count: Dim) -> Dim:
    """Bytes of ``count`` floats."""
    return count * 4


def chain(length: int = 3, macs: Dim = 0) -> Program:
    """x[N] -> ``length`` affine steps (y = 2x + 1) through arena buffers -> y[N]."""
    n = symbol("N")
    buffers = [Buffer("x", "input", floats(n))]
    buffers += [Buffer(f"t{i}", "arena", floats(n)) for i in range(1, length)]
    buffers.append(Buffer("y", "output", floats(n)))
    steps = tuple(affine(i, i + 1, n, 2, 1, macs) for i in range(length))
    return Program((Port("x", 0, (n,), DType.F32),), (Port("y", length, (n,), DType.F32),), tuple(buffers), steps)


def executable(program: Program, *constants: np.ndarray) -> Executable:
    """A program with constants, as the compiler would hand it over."""
    return Executable(program, tuple(constant.reshape(-1).view(np.uint8) for constant in constants))
