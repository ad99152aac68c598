"""Where a pool's windows lie, for Numba CUDA code. Sizes: ``cnnc.runtime.cpu.pool_window``.

Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from numba.cuda import types

from cnnc.runtime.cuda.integers import divide
from cnnc.runtime.cuda.intrinsics import INT, inlined


def _taps(start: int, dilation: int, kernel: int, size: int) -> tuple[int, int]:
    before, reach = max(-start, 0), max(size - start, 0)
    if dilation > 1:  # alike for all threads, and rare: divisions are slow
        before, _ = divide(before + dilation - 1, dilation)
        reach, _ = divide(reach + dilation - 1, dilation)
    return before, max(min(kernel, reach), before)


taps: Any = inlined(types.UniTuple(INT, 2), [INT] * 4, _taps)
"""taps(start, dilation, kernel, size): (first, stop) of a window that starts at ``start``, negative in the padding: its
taps from first to stop - 1 lie inside of [0, size)."""


def _counted(span: Any, start: int, dilation: int, kernel: int, padded_size: int, include_pad: int) -> Any:
    if include_pad == 0:
        return span[1] - span[0]
    return taps(start, dilation, kernel, padded_size)[1]


counted: Any = inlined(INT, [types.UniTuple(INT, 2), *[INT] * 5], _counted)
"""counted(taps, start, dilation, kernel, padded size, include_pad): taps that an average's divisor counts."""
