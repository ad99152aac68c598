"""Masks: which elements of a weight are kept, as a bool array of its shape by its name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.errors import InputError
from cnnc.ir import Array, Graph
from cnnc.pruning.patterns import Bools

Masks = Mapping[str, Bools]
"""By name of the weight (the initializer); True: kept."""


def apply_masks(graph: Graph, masks: Masks) -> None:
    """Set what the masks do not keep to 0, in place.

    Raises:
        InputError: a mask is for no constant of the graph, or of another shape or type.
    """
    for name, mask in masks.items():
        value = graph.value(name) if graph.has_value(name) else None
        where = f"mask of {name!r}"
        if value is None or value.array is None:
            raise InputError("the model has no such weight", where=where, hint="name masks as the initializers")
        if mask.shape != value.array.shape or mask.dtype != np.bool_:
            what = f"it is {mask.dtype}{list(mask.shape)}, expected bool{list(value.array.shape)}"
            raise InputError(what, where=where, hint="give True for what is kept, in the shape of the weight")
        graph.set_constant(value, masked(value.array, mask))


def masked(array: Array, mask: Bools) -> Array:
    """The array with 0 where the mask is False."""
    return np.where(mask, array, np.zeros((), array.dtype))
