"""``elementwise.chain``: a chain of element-wise ops, compiled for it: values between the ops stay in registers.

Parameters: ``chain``, a text (``chain_text``), and ``rank``, the number of axes of the iteration, 1 to 6. The axes are
the last of [d0..d4, inner]; every operand and the result has a stride in elements along each, 0 where it is broadcast.
Any broadcast that leaves at most 6 axes once those have been joined that lie back to back for all. Blocked tensors are
iterated over their physical shape, as in ``elementwise.tape``; pad lanes are computed like the others.

A thread computes four neighbours along the inner axis, 16 bytes of float32, or single elements where operands do not
lie so. The result may take the place of an operand whose elements lie alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnc.dims import Dim, product
from cnnc.errors import InternalError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cpu.copy_strided import strided_access
from cnnc.runtime.cpu.elementwise_tape import Operand, merge_axes
from cnnc.runtime.cpu.tape_encoding import MAX_INPUTS
from cnnc.runtime.cuda.chain_text import Chain, parse_chain
from cnnc.runtime.cuda.flat_grid import THREADS, blocks_for_elements
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

RANK = 6
_AXES = (*(f"d{axis}" for axis in range(RANK - 1)), "inner")
_BUFFERS = ("y", *(f"x{number}" for number in range(MAX_INPUTS)))
_STRIDES = (*(f"s{axis}" for axis in range(RANK - 1)), "step")


@dataclass(frozen=True, slots=True)
class Iteration:
    """Axes that have been joined: their number, the inner stride of every operand as text, and the size slots."""

    rank: int
    steps: tuple[str, ...]
    sizes: Mapping[str, Dim]


def iteration(shape: Sequence[Dim], inputs: Sequence[Operand], output: Operand) -> Iteration:
    """The iteration over ``shape``; strides of a row-major operand: ``elementwise_tape.broadcast_strides``.

    Raises:
        InternalError: more than 6 axes remain, or elements of the result do not lie together along the inner one.
    """
    kept, strides = merge_axes(shape, [operand.strides for operand in (output, *inputs)])
    rank = len(kept)
    if rank > RANK:
        raise InternalError(f"an element-wise chain over {rank} separate axes; elementwise.chain takes {RANK}")
    if strides[0][-1] != 1:
        raise InternalError("the result of an element-wise chain is strided along the inner axis")
    sizes: dict[str, Dim] = {**dict.fromkeys(_AXES, 1), **dict(zip(_AXES[-rank:], kept))}
    for name in _BUFFERS:
        sizes |= {f"{name}_{stride}": 0 for stride in _STRIDES}
    for name, found in zip(_BUFFERS, strides):
        sizes |= {f"{name}_{stride}": step for stride, step in zip(_STRIDES[-rank:], found)}
    steps = tuple("1" if found[-1] == 1 else "0" if found[-1] == 0 else "*" for found in strides[1:])
    return Iteration(rank, steps, sizes)


def _chain(params: Params) -> Chain:
    return parse_chain(str(params["chain"]))


def _element_bytes(kind: str) -> int:
    return 4 if kind == "f" else 1


def _operands(chain: Chain) -> list[tuple[str, str]]:
    """(buffer, type) of the result and of the operands."""
    return list(zip(_BUFFERS, (chain.result, *(text[0] for text in chain.operands))))


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return blocks_for_elements(product(sizes[axis] for axis in _AXES), 4)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    shape = [sizes[axis] for axis in _AXES]
    return tuple(
        strided_access(
            name, shape, [sizes[f"{name}_{stride}"] for stride in _STRIDES], _element_bytes(kind), name == "y"
        )
        for name, kind in _operands(_chain(params))
    )


def _inplace(sizes: Mapping[str, Dim], params: Params) -> tuple[tuple[str, str], ...]:
    """Over operands of its type whose elements lie alike: a thread reads all its elements before it writes them."""
    (_, result), *operands = _operands(_chain(params))
    return tuple(
        ("y", name)
        for name, kind in operands
        if kind == result and all(sizes[f"y_{stride}"] == sizes[f"{name}_{stride}"] for stride in _STRIDES)
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.chain_code import Slots, chain_code

    chain, rank, slots = _chain(params), int(params["rank"]), list(KERNEL.args)

    def slots_of(name: str) -> Slots:
        return Slots(slots.index(name), tuple(slots.index(f"{name}_{stride}") for stride in _STRIDES[-rank:]))

    axes = [slots.index(axis) for axis in _AXES[-rank:]]
    inputs = [slots_of(name) for name in _BUFFERS[1 : 1 + len(chain.operands)]]
    code = chain_code(chain, inputs, slots_of("y"), axes, len(slots))
    has_quads, place_of, one, four = code.has_quads, code.place_of, code.one, code.four
    first_axis, behind_axes = slots.index(_AXES[0]), slots.index(_AXES[-1]) + 1
    block = 4 * THREADS

    def elementwise_chain(args: Any) -> None:
        total = 1
        for size in args[first_axis:behind_axes]:
            total *= size
        begin = cuda.blockIdx.x * block + cuda.threadIdx.x
        end, step = min(cuda.blockIdx.x * block + block, total), THREADS
        if has_quads(args):
            first = cuda.blockIdx.x * block + 4 * cuda.threadIdx.x
            if first + 4 <= total:
                four(args, place_of(args, first))
                return
            begin, end, step = first, total, 1
        for number in range(begin, end, step):
            one(args, place_of(args, number))

    return elementwise_chain


KERNEL = KernelDef(
    name="elementwise.chain",
    buffers=_BUFFERS,
    sizes=(*_AXES, *(f"{name}_{stride}" for name in _BUFFERS for stride in _STRIDES)),
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=_inplace,
    threads=lambda params: THREADS,
)
