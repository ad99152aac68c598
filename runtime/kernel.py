"""What a compiled kernel is to the rest of cnnc: a name, compile-time parameters, and an argument block.

Every CPU kernel has the C signature ``void kernel(int64_t *args, int64_t begin, int64_t end, int64_t scratch)``. It
processes work items ``begin..end-1`` of the instruction; any split of the items gives the same result bit for bit.
``args`` holds buffer addresses first, then sizes, strides (in elements, unless the name says bytes) and counts.
``scratch`` is the address of ``scratch_bytes`` bytes, 64-byte aligned, private to the calling worker. Its first word is
0 in a worker's first call of an instruction, all else undefined; what a call leaves in it, the worker's next call of
the same instruction finds. A kernel allocates nothing, calls nothing and knows nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.frozen_dataclass import dataclass

Params = Mapping[str, int | str]
"""Compile-time parameters of a kernel: tile sizes, window, stride, prologue and epilogue kind, dtype."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A kernel with its compile-time parameters: what is compiled once and cached."""

    kernel: str
    params: tuple[tuple[str, int | str], ...] = ()

    @staticmethod
    def of(kernel: str, **params: int | str) -> Variant:
        return Variant(kernel, tuple(sorted(params.items())))

    @property
    def options(self) -> dict[str, int | str]:
        return dict(self.params)

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.params)
        return f"{self.kernel}{{{options}}}" if options else self.kernel


@dataclass(frozen=True, slots=True)
class Target:
    """The CPU to compile for: LLVM triple, CPU name and features, and vector width in bytes (64, 32 or 16)."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int

    @property
    def lanes(self) -> int:
        """float32 lanes of one vector."""
        return self.vector_bytes // 4


@dataclass(frozen=True, slots=True)
class Access:
    """A byte range, relative to the address in buffer argument ``buffer``, that a call may touch."""

    buffer: str
    start: int
    stop: int
    writes: bool


TableRefusal = Callable[[Mapping[str, int], Params, Mapping[str, Any]], str | None]
"""Of sizes, compile-time parameters and the bytes of tables, uint8 arrays."""


@dataclass(frozen=True)
class KernelDef:
    """One kernel of the library.

    ``args`` names the slots of the argument block in order; the first ``len(buffers)`` are addresses. ``items`` and
    ``scratch_bytes`` are written with ``+ - *`` and the functions of ``cnnc.dims`` only, so that they serve ints and
    symbolic sizes alike; they see the sizes by name and the compile-time parameters. ``footprint`` gets plain ints and
    must cover every byte that a call over all items touches; guard-page tests prove it. ``writes`` names the buffers
    that it may write; it reads the others only. An optional buffer is given as address 0. ``inplace`` gives (written,
    read) buffers that may be one address for these sizes: their elements lie alike, and the work item that writes an
    element is the only one that reads the element at its place, before it writes. ``tables`` names the buffers whose
    content says what a call touches in its footprint and scratch: they must be constants, and ``table_refusal`` says of
    their bytes, from the given addresses on, what would lead elsewhere; None if nothing. ``build`` imports numba, and
    returns the Python function to be compiled with the signature above.

    A GPU kernel (``cnnc.runtime.cuda``) has two more facts: ``threads`` of a block, its work items being thread blocks,
    and ``resident``, how many blocks a multiprocessor shall hold, which bounds their registers; 0 sets no bound. Its
    function takes a tuple of the slots of the argument block. GPU kernels of the same name as CPU kernels compute
    the same from the same buffers and sizes.
    """

    name: str
    buffers: tuple[str, ...]
    sizes: tuple[str, ...]
    build: Callable[[Target, Params], Callable[..., Any]]
    items: Callable[[Mapping[str, Dim], Params], Dim]
    footprint: Callable[[Mapping[str, int], Params], tuple[Access, ...]]
    scratch_bytes: Callable[[Mapping[str, Dim], Params], Dim] = lambda sizes, params: 0
    writes: tuple[str, ...] = ("y",)
    inplace: Callable[[Mapping[str, Dim], Params], tuple[tuple[str, str], ...]] = lambda sizes, params: ()
    tables: tuple[str, ...] = ()
    table_refusal: TableRefusal = lambda sizes, params, tables: None
    threads: Callable[[Params], int] = lambda params: 0
    resident: Callable[[Params], int] = lambda params: 0

    @property
    def args(self) -> tuple[str, ...]:
        return self.buffers + self.sizes


def kernel_refusal(name: str, thing: Any) -> str | None:
    """Why an object is not the definition of kernel ``name``, or None."""
    if not isinstance(thing, KernelDef):
        return f"it is a {type(thing).__name__}, not a KernelDef"
    return None if thing.name == name else f"the kernel calls itself {thing.name!r}"
