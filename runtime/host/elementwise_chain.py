"""elementwise_chain: runs its steps one after the other on whole arrays."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def elementwise_chain(*arrays: Array | None, steps: tuple[tuple[Any, ...], ...]) -> Array:
    """The last result of ``steps``, each (op, operand indices, attributes); see ``cnnc.ops.elementwise_chain``."""
    from cnnc.runtime.host import function

    values: list[Any] = list(arrays)
    for op, operands, attributes in steps:
        read = [None if index < 0 else values[index] for index in operands]
        values.append(function(op)(*read, **dict(attributes)))
    last: Array = values[-1]
    return last
