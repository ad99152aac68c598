"""The tensors of a weight file by name, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from cnnc.errors import ModelError, OptionError
from cnnc.frontends.weights.element_types import is_float
from cnnc.frontends.weights.stored_tensor import DAMAGED, StoredTensor
from cnnc.frozen_dataclass import dataclass
from cnnc.ir.fact import Array
from cnnc.runtime.aligned_memory import Bytes
from cnnc.types import DType

MAX_NAME = 1024
"""Characters of a tensor's name."""
MAX_GROWTH = 32
"""Tensors together may be this many times as large as their file, where they are compressed, tied or expanded."""
GROWTH_ALLOWANCE = 256 << 20
"""Bytes that they may take besides."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a reader found in a file.

    Attributes:
        kind: the format in words.
        tensors: names and places, in the order of the file.
        entry: the part of a checkpoint that was chosen, as "model/state_dict"; empty for the whole file.
        left_out: what else the file holds: other parts of a checkpoint, and values that are no tensors.
    """

    kind: str
    tensors: tuple[tuple[str, StoredTensor], ...]
    entry: str = ""
    left_out: tuple[str, ...] = ()


class Weights(Mapping[str, Array]):
    """The tensors of a file by name, in its order: read-only, aligned arrays of native byte order.

    An array is made each time it is asked for. Elements are not copied where the file has them uncompressed, aligned
    and in this machine's byte order: the array is then a view of the mapped file, with the strides that the file gives.

    Attributes:
        origin: path of the file.
        entry: the part of a checkpoint that was chosen; empty for the whole file.
        left_out: names of what else the file holds.
    """

    def __init__(self, origin: str, data: Bytes, content: Content, float_dtype: DType | None = None) -> None:
        """
        Args:
            data: the file's bytes.
            float_dtype: the type that floating-point tensors are converted to; None leaves them as they are.

        Raises:
            ModelError: a name that is none or that occurs twice, or tensors of many times the file's size.
            OptionError: ``float_dtype`` is no floating-point type.
        """
        if float_dtype is not None and not float_dtype.is_float:
            what = f"float_dtype is {float_dtype.value}, which is no floating-point type"
            raise OptionError(what, where=origin, hint="give DType.F32, for example")
        self.origin = origin
        self.entry = content.entry
        self.left_out = content.left_out
        self._kind = content.kind
        self._data = data
        self._float_dtype = None if float_dtype is None else float_dtype.numpy
        self._tensors: dict[str, StoredTensor] = {}
        for name, tensor in content.tensors:
            self._check_name(name)
            self._tensors[name] = tensor
        self._check_sizes()

    def __getitem__(self, name: str) -> Array:
        tensor = self._tensors[name]
        array = tensor.array(self._data, f"{self.origin}: tensor {name!r}")
        if self._float_dtype is None or array.dtype == self._float_dtype or not is_float(array.dtype):
            return array
        # A float64 beyond the range of float32 becomes an infinity, as everywhere.
        with np.errstate(over="ignore"):
            converted: Array = array.astype(self._float_dtype)
        converted.flags.writeable = False
        return converted

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return self._tensors[name].shape

    def stored_dtype(self, name: str) -> np.dtype[Any]:
        """Element type that the file has for a tensor."""
        return self._tensors[name].dtype.newbyteorder("=")

    def __str__(self) -> str:
        """One line: file, format, number of tensors, and which part of a checkpoint they are."""
        chosen = f" of its entry {self.entry!r}" if self.entry else ""
        rest = f"; not read: {_listed(self.left_out)}" if self.left_out else ""
        return f"{self.origin} ({self._kind}): {len(self)} {'tensor' if len(self) == 1 else 'tensors'}{chosen}{rest}"

    def _check_name(self, name: str) -> None:
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            what = f"{name!r:.80} is no name for a tensor: expected 1 to {MAX_NAME} printable characters"
            raise ModelError(what, where=self.origin, hint=DAMAGED)
        if name in self._tensors:
            hint = "save the file again, each tensor under a name of its own"
            raise ModelError(f"there are two tensors named {name!r}", where=self.origin, hint=hint)

    def _check_sizes(self) -> None:
        total = sum(prod(tensor.shape) * tensor.dtype.itemsize for tensor in self._tensors.values())
        limit = MAX_GROWTH * self._data.size + GROWTH_ALLOWANCE
        if total > limit:
            what = f"its tensors take {total} bytes; a file of {self._data.size} may unpack to {limit} at most"
            hint = "save them uncompressed, and without views of one tensor many times as large"
            raise ModelError(what, where=self.origin, hint=hint)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(f"{name!r:.60}" for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
