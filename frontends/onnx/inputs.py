"""Types of the graph inputs: unnamed and named unknown sizes become symbols, and ``shapes=`` overrides them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx

from cnnc.dims import Dim, is_symbol_name, symbol
from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.frontends.onnx.dtypes import dtype_of
from cnnc.types import TensorType

Shapes = Mapping[str, Sequence[int | str]]
"""Shape of some inputs by name; a text names a size that stays symbolic."""


def input_types(inputs: Sequence[onnx.ValueInfoProto], shapes: Shapes | None) -> list[TensorType]:
    """Type of each graph input.

    A size called by one ``dim_param`` is one symbol everywhere; fixing it for one input by ``shapes`` fixes it for all.

    Raises:
        UnsupportedError: an input that is not a tensor, or has no rank.
        OptionError: ``shapes`` names no input, has another rank, or contradicts itself.
    """
    wanted = dict(shapes or {})
    unknown = sorted(set(wanted) - {value.name for value in inputs})
    if unknown:
        have = ", ".join(value.name for value in inputs)
        raise OptionError(f"shapes= names {', '.join(unknown)}, but the inputs are {have}")
    naming = _Naming()
    for value in inputs:
        naming.reserve(value)
    for value in inputs:
        if value.name in wanted:
            naming.override(value, tuple(wanted[value.name]))
    return [naming.type_of(value, wanted.get(value.name)) for value in inputs]


class _Naming:
    """Which symbol or number each dim_param stands for."""

    def __init__(self) -> None:
        self._params: dict[str, Dim] = {}
        self._taken: set[str] = set()

    def reserve(self, value: onnx.ValueInfoProto) -> None:
        """Give every dim_param of an input its symbol."""
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param") and dim.dim_param and dim.dim_param not in self._params:
                self._params[dim.dim_param] = self._fresh(dim.dim_param)

    def override(self, value: onnx.ValueInfoProto, shape: tuple[int | str, ...]) -> None:
        """Let the dim_params of an input follow the shape that the caller gives it."""
        where = f"shapes[{value.name!r}]"
        if any(isinstance(size, int) and size < 0 for size in shape):
            raise OptionError(f"{list(shape)} has a negative size", where=where, hint="give a name for an open size")
        declared = value.type.tensor_type.shape.dim
        if not value.type.tensor_type.HasField("shape"):
            return
        if len(declared) != len(shape):
            raise OptionError(f"{list(shape)} has rank {len(shape)}, the input has rank {len(declared)}", where=where)
        fixed: dict[str, int | str] = {}
        for dim, size in zip(declared, shape):
            if not dim.dim_param:
                continue
            if fixed.setdefault(dim.dim_param, size) != size:
                raise OptionError(
                    f"size {dim.dim_param!r} is given twice: {fixed[dim.dim_param]} and {size}", where=where
                )
            old = self._params[dim.dim_param]
            new = size if isinstance(size, int) else self._named(size)
            if isinstance(old, int) and old != new:
                raise OptionError(f"size {dim.dim_param!r} is {old} for another input, {size} here", where=where)
            self._params[dim.dim_param] = new

    def type_of(self, value: onnx.ValueInfoProto, override: Sequence[int | str] | None) -> TensorType:
        where = f"input {value.name!r}"
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            reason = f"it is a {kind.removesuffix('_type')}, not a tensor" if kind else "it has no type"
            raise UnsupportedError(reason, where=where, hint="export the model with tensor inputs")
        tensor = value.type.tensor_type
        try:
            dtype = dtype_of(tensor.elem_type)
        except UnsupportedError as error:
            raise UnsupportedError(error.what, where=where, hint=error.hint) from error
        if override is not None:
            sizes = (size if isinstance(size, int) else self._named(size) for size in override)
            return TensorType(tuple(sizes), dtype)
        if not tensor.HasField("shape"):
            hint = f"give its shape: shapes={{{value.name!r}: (1, 3, 'H', 'W')}}"
            raise UnsupportedError("its rank is unknown", where=where, hint=hint)
        if len(tensor.shape.dim) > 64:
            raise ModelError(f"{len(tensor.shape.dim)} dims are more than an array can have", where=where)
        return TensorType(tuple(self._dim(value, axis) for axis in range(len(tensor.shape.dim))), dtype)

    def _dim(self, value: onnx.ValueInfoProto, axis: int) -> Dim:
        dim = value.type.tensor_type.shape.dim[axis]
        if dim.dim_param:
            return self._params[dim.dim_param]
        # Some exporters write -1 for an open size.
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            return int(dim.dim_value)
        return self._fresh(f"{value.name}_{axis}")

    def _named(self, name: str) -> Dim:
        text = _sanitise(name)
        self._taken.add(text)
        return symbol(text)

    def _fresh(self, hint: str) -> Dim:
        text = name = _sanitise(hint)
        count = 1
        while name in self._taken:
            count += 1
            name = f"{text}_{count}"
        self._taken.add(name)
        return symbol(name)


def _sanitise(name: str) -> str:
    """``name`` with only letters, digits and underscores, changed further if no size may be called so."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return text if is_symbol_name(text) else f"d_{text}"
