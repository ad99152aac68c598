"""Sums of 32-bit integers over the threads of a warp, by shuffles. Imports numba."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.byte_access import WORD
from cnnc.runtime.cuda.intrinsics import I32, assembly, device_function
from cnnc.runtime.cuda.target import WARP


def warp_sums(count: int) -> Any:
    """sums(values): a tuple of ``count`` int32, each summed over all threads of the warp, in all of them."""

    def emit(builder: Any, values: Any) -> Any:
        totals = cgutils.unpack_tuple(builder, values)
        distance = WARP // 2
        while distance:
            text = f"shfl.sync.bfly.b32 $0, $1, {distance}, 31, -1;"
            others = [assembly(builder, I32, text, "=r,r", [total], has_effect=True) for total in totals]
            totals = [builder.add(total, other) for total, other in zip(totals, others)]
            distance //= 2
        return cgutils.pack_array(builder, totals)

    kind = types.UniTuple(WORD, count)
    return device_function(kind, [kind], emit)
