"""``byte.elementwise``: quantize, dequantize, add and multiply, element by element of tensors that lie alike.

Buffers, sizes, formulas and parameters are those of the CPU kernel; gates have the 8 lanes of a block. A block of
threads takes 16384 elements of a plane, a thread four neighbours at a time where all addresses allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import byte_elementwise
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import KernelDef, Params, Target

THREADS = 256
_ITEM = 16384
_BINARY = ("add", "mul")


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["images"] * sizes["planes"] * ceil_div(sizes["count"], _ITEM)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.byte_access import as_word, load_byte, store_byte, word_access
    from cnnc.runtime.cuda.byte_formula import byte_formula
    from cnnc.runtime.cuda.integers import divide, float_of_bits

    takes_floats, gives_floats = params["element"] == "f32", params["result"] == "f32"
    element, result = 4 if takes_floats else 1, 4 if gives_floats else 1
    is_binary, is_gated = params["kind"] in _BINARY, bool(params["gate"])
    of_one, of_four = byte_formula(params, 1), byte_formula(params, 4)
    one, four = word_access(1), word_access(4)
    load_word, store_word, load_four, store_four = one.load, one.store, four.load, four.store

    def byte_elementwise_kernel(args: Any) -> None:
        y, a, b, _, planes, count, a_gap, b_gap, y_gap = args[:9]
        a_scale, a_zero, b_scale, b_zero, addend, y_scale, y_zero, y_least = args[9:]
        scales = (float_of_bits(a_scale), float_of_bits(b_scale), float_of_bits(addend), float_of_bits(y_scale))
        zeros = (as_word(a_zero), as_word(b_zero), as_word(y_zero), as_word(y_least))
        chunks = (count + _ITEM - 1) // _ITEM
        plane, chunk = divide(cuda.blockIdx.x, chunks)
        image, _ = divide(plane, planes)
        at = plane * count + chunk * _ITEM
        out, first = y + (at + image * y_gap) * result, a + (at + image * a_gap) * element
        second = b + (plane * LANES if is_gated else at) + image * b_gap
        size = min(_ITEM, count - chunk * _ITEM)
        aligned = out % (4 * result) == 0 and first % (4 * element) == 0
        if is_binary:
            aligned = aligned and second % 4 == 0
        whole = size // 4 if aligned else 0
        thread = cuda.threadIdx.x
        for number in range(thread, whole, THREADS):
            other = load_word(second + (number % 2 if is_gated else number) * 4) if is_binary else zeros[0]
            if takes_floats:
                store_word(out + 4 * number, of_four(load_four(first + 16 * number), other, scales, zeros))
            elif gives_floats:
                store_four(out + 16 * number, of_four(load_word(first + 4 * number), other, scales, zeros))
            else:
                store_word(out + 4 * number, of_four(load_word(first + 4 * number), other, scales, zeros))
        for number in range(4 * whole + thread, size, THREADS):
            other = load_byte(second + (number % LANES if is_gated else number)) if is_binary else zeros[0]
            if takes_floats:
                store_byte(out + number, of_one(load_word(first + 4 * number), other, scales, zeros))
            elif gives_floats:
                store_word(out + 4 * number, of_one(load_byte(first + number), other, scales, zeros))
            else:
                store_byte(out + number, of_one(load_byte(first + number), other, scales, zeros))

    return byte_elementwise_kernel


KERNEL = KernelDef(
    name="byte.elementwise",
    buffers=byte_elementwise.KERNEL.buffers,
    sizes=byte_elementwise.SIZES,
    build=_build,
    items=_items,
    footprint=byte_elementwise.KERNEL.footprint,
    inplace=byte_elementwise.KERNEL.inplace,
    threads=lambda params: THREADS,
)
