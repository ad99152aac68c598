"""What the kernels of products with sparse weights touch besides their weights: rows of A, bias, factors, rows of Y."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.runtime.cpu.tile_table import element_bytes
from cnnc.runtime.kernel import Access, Params


def product_accesses(s: Mapping[str, int], params: Params, *weights: Access) -> tuple[Access, ...]:
    """M rows of K words of A and of N results, a_row and y_row elements apart, and ``weights``; none of no results."""
    if not s["M"] or not s["N"]:
        return ()
    accesses = [
        Access("a", 0, ((s["M"] - 1) * s["a_row"] + s["K"]) * 4, False),
        *weights,
        Access("bias", 0, s["N"] * 4, False),
        Access("y", 0, ((s["M"] - 1) * s["y_row"] + s["N"]) * element_bytes(params), True),
    ]
    if params["activation"] == "requantize":
        accesses.append(Access("slopes", 0, s["N"] * 4, False))
    return tuple(accesses)
