"""Checks of what a caller feeds: names, dtype, rank, shape. One clear error each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnc.dims import Dim, Expr, evaluate, symbols
from cnnc.errors import InputError
from cnnc.runtime.cuda.device_array import DeviceArray
from cnnc.runtime.program import Port

Array = np.ndarray[Any, Any]


def gather_inputs(ports: Sequence[Port], feeds: Mapping[str, Any]) -> list[Any]:
    """The fed arrays in the order of the ports, dtype and rank checked; of NumPy, or on a device.

    Raises:
        InputError: a name is unknown or missing, or an array has another dtype or rank than its port.
    """
    wanted = [port.name for port in ports]
    unknown = [name for name in feeds if name not in wanted]
    if unknown:
        raise InputError(
            f"there is no input {_quoted(unknown)}",
            hint=_closest(unknown[0], wanted, f"the inputs are {_quoted(wanted)}"),
        )
    missing = [name for name in wanted if name not in feeds]
    if missing:
        raise InputError(f"no array is fed for input {_quoted(missing)}", hint=f"feed all of {_quoted(wanted)}")
    return [_checked(port, feeds[port.name]) for port in ports]


def _checked(port: Port, value: Any) -> Array | DeviceArray:
    array = value if isinstance(value, (np.ndarray, DeviceArray)) else np.asarray(value)
    expected = port.dtype.numpy
    if array.dtype != expected:
        # Big-endian arrays compare unequal too; astype mends both.
        raise InputError(
            f"expected dtype {expected}, got {array.dtype}",
            where=f"input {port.name!r}",
            hint=f"convert it with .astype('{expected.name}')",
        )
    if array.ndim != len(port.shape):
        raise InputError(
            f"expected rank {len(port.shape)}, shape {shape_text(port.shape)}, "
            f"got rank {array.ndim}, shape {array.shape}",
            where=f"input {port.name!r}",
            hint="add or drop axes with numpy.expand_dims or numpy.squeeze",
        )
    return array


def bind_shapes(ports: Sequence[Port], arrays: Sequence[Array | DeviceArray]) -> dict[str, int]:
    """Sizes of all symbols in the ports' shapes.

    Raises:
        InputError: a fixed dimension differs, or one symbol meets two sizes.
    """
    bindings: dict[str, int] = {}
    first_seen: dict[str, str] = {}
    for port, array in zip(ports, arrays, strict=True):
        for axis, (dim, size) in enumerate(zip(port.shape, array.shape, strict=True)):
            if isinstance(dim, int) or not dim.is_atom() or str(dim) not in symbols(dim):
                continue
            name = str(dim)
            known = bindings.setdefault(name, size)
            place = first_seen.setdefault(name, f"axis {axis} of input {port.name!r}")
            if known != size:
                raise InputError(
                    f"dimension {name} is {known} at {place} but {size} at axis {axis}, shape {array.shape}",
                    where=f"input {port.name!r}",
                    hint=f"feed arrays that agree on {name}",
                )
    for port, array in zip(ports, arrays, strict=True):
        for axis, (dim, size) in enumerate(zip(port.shape, array.shape, strict=True)):
            expected = _expected(dim, bindings)
            if expected is not None and expected != size:
                raise InputError(
                    f"expected {expected} at axis {axis} of shape {shape_text(port.shape)}, got shape {array.shape}",
                    where=f"input {port.name!r}",
                    hint="resize or pad the input, or compile the model with a symbolic dimension",
                )
    return bindings


def _expected(dim: Dim, bindings: Mapping[str, int]) -> int | None:
    if isinstance(dim, Expr) and not symbols(dim) <= bindings.keys():
        return None
    return evaluate(dim, bindings)


def select_outputs(names: Iterable[str] | None, ports: Sequence[Port]) -> list[int]:
    """Indices of the wanted outputs; all for None.

    Raises:
        InputError: an output does not exist.
    """
    if names is None:
        return list(range(len(ports)))
    index = {port.name: position for position, port in enumerate(ports)}
    wanted = list(names)
    for name in wanted:
        if name not in index:
            known = list(index)
            raise InputError(
                f"there is no output {name!r}", hint=_closest(name, known, f"the outputs are {_quoted(known)}")
            )
    return [index[name] for name in wanted]


def shape_text(shape: Sequence[Dim]) -> str:
    """A shape as users write it: (N, 3, 224, 224)."""
    inner = ", ".join(str(dim) for dim in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _closest(name: str, known: list[str], otherwise: str) -> str:
    import difflib  # on the way to an error only

    matches = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(map(repr, matches))}? {otherwise}" if matches else otherwise
