"""In-place steps: which written buffer may take over the bytes of a buffer that the same step reads.

Three parties agree before two buffers share bytes. The kernel says which of its arguments may be one address
(``KernelDef.inplace``). The lowering declares the buffers that follow from it on the step (``KernelStep.inplace``). The
planner uses a declared pair where the read buffer dies at the step that brings the written one to life. The checker
asks the kernel again, with numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from cnnc.dims import Dim
from cnnc.runtime.kernel import KernelDef, Params
from cnnc.runtime.plan import Address, Place
from cnnc.runtime.program import BufferArg, KernelStep, Program


def inplace_pairs(
    kernel: KernelDef, args: Sequence[BufferArg | Address | Dim], params: Params
) -> tuple[tuple[int, int], ...]:
    """(written buffer, read buffer) that one call may have at the same bytes.

    The elements lie at one offset in both, and no other argument of the call looks into either.
    """
    addresses = {name: arg for name, arg in zip(kernel.buffers, args) if isinstance(arg, (BufferArg, Address))}
    sizes = {
        name: arg
        for name, arg in zip(kernel.sizes, args[len(kernel.buffers) :])
        if not isinstance(arg, (BufferArg, Address))
    }
    explained: dict[tuple[int, int], set[str]] = {}
    for written, read in kernel.inplace(sizes, params):
        to, source = addresses.get(written), addresses.get(read)
        if to is not None and source is not None and to.buffer != source.buffer and to.offset == source.offset:
            explained.setdefault((to.buffer, source.buffer), set()).update((written, read))
    return tuple(
        pair
        for pair, names in explained.items()
        if all(name in names for name, address in addresses.items() if address.buffer in pair)
    )


def taken_over(program: Program, places: Mapping[int, Place], filled: Set[int]) -> dict[int, int]:
    """Written buffer -> the buffer whose bytes it takes over; no buffer's bytes are taken twice.

    Args:
        places: the stage's arena buffers with their lifetimes; offsets do not matter.
        filled: buffers that hold data before the stage's first step.
    """
    sources: dict[int, int] = {}
    given: set[int] = set()
    for written, place in places.items():
        step = program.steps[place.first] if place.first < len(program.steps) else None
        if not isinstance(step, KernelStep) or written in filled or place.bytes == 0:
            continue
        for to, source in step.inplace:
            old = places.get(source)
            if to != written or old is None or source in given:
                continue
            if old.first < old.last == place.first and old.bytes == place.bytes:
                sources[written] = source
                given.add(source)
                break
    return sources
