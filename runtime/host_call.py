"""Host steps, wherever their operands lie: the NumPy function's call, and the symbols that its results bind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnc.dims import Expr, evaluate
from cnnc.errors import InternalError
from cnnc.runtime.plan import HostCall, HostSizes, HostTensor
from cnnc.runtime.program import Program, Tensor
from cnnc.runtime.stages import step_name, unbound

Array = np.ndarray[Any, Any]
Deferred = list[tuple[Tensor, Array]]
"""What a stage's last host step returned for buffers of the next stage."""


def sizes_array(sizes: HostSizes) -> Array:
    """The operand that stands for evaluated sizes: int64, of rank 0 or 1."""
    return np.array(sizes.values[0] if sizes.scalar else sizes.values, np.int64)


def host_results(
    program: Program, call: HostCall, function: Callable[..., Any], operands: Sequence[Array | None]
) -> list[tuple[HostTensor | Tensor, Array]]:
    """What the NumPy function of a host step returns for each output, checked against the output's dtype and shape.

    Raises:
        InternalError: the function returned something else than the program says.
    """
    name = step_name(program, call.step)
    try:
        # NaN and infinities are results like any others.
        with np.errstate(all="ignore"):
            returned = function(*operands, **dict(call.attributes))
    except Exception as error:
        error.add_note(f"while running {name}")
        raise
    results = returned if isinstance(returned, tuple) else (returned,)
    if len(results) < len(call.outputs):
        raise InternalError(f"{name} returned {len(results)} arrays")
    found: list[tuple[HostTensor | Tensor, Array]] = []
    for output, result in zip(call.outputs, results, strict=False):
        if output is None:
            continue
        array = np.asarray(result)
        if array.dtype != output.dtype.numpy:
            raise InternalError(f"{name} returned {array.dtype}, not {output.dtype}")
        if isinstance(output, HostTensor) and array.shape != output.shape:
            raise InternalError(f"{name} returned shape {array.shape}, not {output.shape}")
        found.append((output, array))
    return found


def bind_symbols(program: Program, step: int, deferred: Deferred, bindings: dict[str, int]) -> None:
    """Bind the symbols in deferred shapes to what the host step returned.

    Raises:
        InternalError: an array has another shape than the bound symbols give.
    """
    name = step_name(program, step)
    for tensor, array in deferred:
        if len(tensor.shape) != array.ndim:
            raise InternalError(f"{name} returned rank {array.ndim}, not {len(tensor.shape)}")
        for dim, size in zip(tensor.shape, array.shape, strict=True):
            if isinstance(dim, Expr) and dim.is_atom() and unbound((dim,), set(bindings)) == {str(dim)}:
                bindings[str(dim)] = size
    for tensor, array in deferred:
        missing = unbound(tensor.shape, set(bindings))
        if missing:
            raise InternalError(f"{name}: nothing binds {', '.join(sorted(missing))}")
        if tuple(evaluate(dim, bindings) for dim in tensor.shape) != array.shape:
            raise InternalError(f"{name} returned shape {array.shape}, not ({', '.join(map(str, tensor.shape))})")
