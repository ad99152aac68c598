"""Facts shared by kernels that work along one axis: x seen as [outer, axis, inner] in plain float32.

Reductions over several neighbouring axes (the last, the first or middle ones) have such a view, too: ``axis_view``.
Work item: 64 positions of the inner axis of one outer index; where the inner axis has size 1, one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnc.dims import Dim, ceil_div, product
from cnnc.runtime.kernel import Params

COLUMNS = 64
SIZES = ("outer", "axis", "inner")


def axis_view(shape: Sequence[Dim], axes: Sequence[int]) -> dict[str, Dim] | None:
    """Sizes of the view for a reduction over ``axes``; None if axes that are kept lie between them."""
    rank = len(shape)
    chosen = {axis % rank for axis in axes}
    wide = [axis for axis in range(rank) if shape[axis] != 1]
    reduced = [axis for axis in wide if axis in chosen]
    if not reduced:
        return {"outer": product(shape), "axis": 1, "inner": 1}
    first, last = reduced[0], reduced[-1]
    if any(first < axis < last and axis not in chosen for axis in wide):
        return None
    return {
        "outer": product(shape[:first]),
        "axis": product(shape[first : last + 1]),
        "inner": product(shape[last + 1 :]),
    }


def items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """Chunks of columns of every outer index."""
    return sizes["outer"] * ceil_div(sizes["inner"], COLUMNS)


def elements(sizes: Mapping[str, int]) -> int:
    """Elements of x."""
    return sizes["outer"] * sizes["axis"] * sizes["inner"]
