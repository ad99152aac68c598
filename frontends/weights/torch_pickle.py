"""The names that occur in the pickle of a PyTorch state_dict, and the facts that they stand for.

A tensor is pickled as a call of ``torch._utils._rebuild_tensor_v2`` with its storage, offset, shape and strides; a
storage is a reference out of the pickle, to elements that follow it or lie beside it. ``TorchVocabulary`` notes both.
Every other name is refused: a pickle that calls it is a program, not weights.

Source: PyTorch's documentation "Serialization semantics", and what ``torch.save`` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Literal

import numpy as np

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.weights.element_types import ELEMENT_TYPES
from cnnc.frontends.weights.pickle_machine import RESAVE, kind
from cnnc.frontends.weights.stored_tensor import DAMAGED, MAX_RANK, MAX_TENSOR_BYTES, StridedTensor, checked_shape
from cnnc.frozen_dataclass import dataclass

MAX_KEY = 128
"""Characters of a storage's key."""
MAX_ARGUMENTS = 8
"""Of a call, and parts of a reference to a storage: those of ``_rebuild_tensor_v3``."""
MAX_PAIRS = 1 << 20
"""Pairs that all OrderedDicts of a pickle are made of: one list can be handed to many."""


@dataclass(frozen=True, slots=True)
class Name:
    """A function or class that the pickle names. It is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Storage:
    """Elements outside of the pickle; several tensors may share them.

    Attributes:
        dtype: uint8 for an untyped storage.
        count: number of elements.
    """

    key: str
    dtype: np.dtype[Any]
    count: int

    @property
    def bytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class TorchTensor:
    """A tensor as the pickle describes it: nothing is checked but the kinds of the arguments.

    Attributes:
        offset, strides: in elements of ``dtype``.
    """

    storage: Storage
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[object, ...]
    strides: tuple[object, ...]

    def __str__(self) -> str:
        return "a tensor"

    def stored(self, start: int, byte_order: Literal["<", ">"], where: str) -> StridedTensor:
        """Where it lies in the file.

        Args:
            start: byte of the file where its storage begins; all its bytes lie inside the file.
            byte_order: ``<`` or ``>``.

        Raises:
            ModelError: it reaches beyond its storage, or has impossible sizes.
        """
        shape = checked_shape(self.shape, self.dtype, where)
        strides = tuple(stride for stride in self.strides if type(stride) is int and 0 <= stride < MAX_TENSOR_BYTES)
        if len(strides) != len(self.strides) or len(strides) != len(shape):
            what = f"its shape {list(shape)} needs as many strides, none of them negative"
            raise ModelError(what, where=where, hint=DAMAGED)
        is_empty = not prod(shape)
        behind = self.offset + (0 if is_empty else 1 + sum((dim - 1) * step for dim, step in zip(shape, strides)))
        if self.offset < 0 or behind * self.dtype.itemsize > self.storage.bytes:
            what = (
                f"its elements {self.offset} to {behind} lie outside its storage {self.storage.key!r}, "
                f"which has {self.storage.bytes // self.dtype.itemsize} of them"
            )
            raise ModelError(what, where=where, hint=DAMAGED)
        size = self.dtype.itemsize
        # Strides that are never used may be anything: those of axes of one element, and of tensors without elements.
        steps = tuple(step * size if dim > 1 and not is_empty else size for dim, step in zip(shape, strides))
        return StridedTensor(self.dtype.newbyteorder(byte_order), shape, steps, start + self.offset * size)


class TorchVocabulary:
    """Meets a pickle's names, and collects the storages that it refers to.

    Attributes:
        storages: by key.
    """

    def __init__(self, where: str) -> None:
        self.storages: dict[str, Storage] = {}
        self._where = where
        self._pairs = 0

    def name(self, module: str, name: str) -> object:
        """A ``Name`` that ``call`` knows, or the dtype that a storage class or a torch.dtype means."""
        found = Name(module, name)
        if found in _CALLS:
            return found
        if found in _DTYPES:
            return _DTYPES[found]
        what = f"its pickle names {str(found)!r:.120}, which no state_dict of plain tensors needs"
        raise UnsupportedError(f"{what}; nothing of it was executed", where=self._where, hint=RESAVE)

    def call(self, function: object, arguments: tuple[object, ...]) -> object:
        if not isinstance(function, Name):
            what = f"its pickle calls {kind(function)} as if it were a function"
            raise ModelError(what, where=self._where, hint=DAMAGED)
        if len(arguments) > MAX_ARGUMENTS:
            raise self._damaged(f"calls {function} with {len(arguments)} arguments; expected at most {MAX_ARGUMENTS}")
        return _CALLS[function](self, arguments)

    def persistent(self, identity: object) -> object:
        if not isinstance(identity, tuple) or len(identity) > MAX_ARGUMENTS:
            raise self._damaged("refers to something that is no storage")
        match identity:
            case ("storage", np.dtype() as dtype, str() as key, str(), int() as count, *views):
                pass
            case ("module", *_):
                what = "it holds a whole module of PyTorch, not a state_dict"
                raise UnsupportedError(what, where=self._where, hint=RESAVE)
            case _:
                raise self._damaged("refers to something that is no storage")
        if views not in ([], [None]):
            what = f"storage {key!r:.80} is a view of another one, as PyTorch wrote them before 0.4"
            raise UnsupportedError(what, where=self._where, hint=RESAVE)
        if not 0 <= count < MAX_TENSOR_BYTES or not 0 < len(key) <= MAX_KEY:
            raise self._damaged(f"refers to a storage {key!r:.80} of an impossible size or key")
        storage = self.storages.setdefault(key, Storage(key, dtype, count))
        if storage.bytes != count * dtype.itemsize:
            raise self._damaged(f"gives storage {key!r} {storage.bytes} bytes and {count * dtype.itemsize}")
        return Storage(key, dtype, count)

    def tensor(self, arguments: tuple[object, ...]) -> TorchTensor:
        """``_rebuild_tensor(storage, offset, shape, strides)``; v2 adds requires_grad, hooks and metadata."""
        match arguments:
            case (Storage() as storage, int() as offset, tuple() as shape, tuple() as strides, *rest) if len(rest) < 4:
                pass
            case _:
                raise self._damaged("makes a tensor of something else than a storage, an offset, a shape and strides")
        if len(rest) == 3 and rest[2]:
            what = "a tensor has its sign bit set (torch.Tensor.is_neg)"
            raise UnsupportedError(what, where=self._where, hint="save tensor.resolve_neg() instead")
        return TorchTensor(storage, storage.dtype, offset, shape, strides)

    def tensor_of_untyped(self, arguments: tuple[object, ...]) -> TorchTensor:
        """``_rebuild_tensor_v3``: the arguments of v2, the dtype between hooks and metadata."""
        if len(arguments) not in (7, 8) or not isinstance(arguments[6], np.dtype):
            raise self._damaged("makes a tensor of an untyped storage without an element type")
        made = self.tensor((*arguments[:6], *arguments[7:]))
        return TorchTensor(made.storage, arguments[6], made.offset, made.shape, made.strides)

    def parameter(self, arguments: tuple[object, ...]) -> object:
        """``_rebuild_parameter(data, requires_grad, hooks)``: the data."""
        if not arguments or not isinstance(arguments[0], TorchTensor):
            raise self._damaged("makes a parameter of something that is no tensor")
        return arguments[0]

    def ordered_dict(self, arguments: tuple[object, ...]) -> dict[str, object]:
        """``OrderedDict()``; Python 2 gave it a list of pairs."""
        table: dict[str, object] = {}
        match arguments:
            case ():
                return table
            case (list() as pairs,):
                pass
            case _:
                raise self._damaged("makes an OrderedDict of something that is no list")
        self._pairs += len(pairs)
        if self._pairs > MAX_PAIRS:
            raise self._damaged(f"makes OrderedDicts of more than {MAX_PAIRS} pairs")
        for pair in pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2 or type(pair[0]) is not str or pair[0] in table:
                raise self._damaged("makes an OrderedDict of something else than names, each once, and their values")
            table[pair[0]] = pair[1]
        return table

    def size(self, arguments: tuple[object, ...]) -> tuple[object, ...]:
        """``torch.Size``: a tuple."""
        match arguments:
            case (list() | tuple() as sizes,) if len(sizes) <= MAX_RANK:
                return tuple(sizes)
        raise self._damaged(f"makes a torch.Size of something else than a list of at most {MAX_RANK}")

    def _damaged(self, what: str) -> ModelError:
        return ModelError(f"its pickle {what}", where=self._where, hint=DAMAGED)


_CALLS: dict[Name, Callable[[TorchVocabulary, tuple[object, ...]], object]] = {
    Name("collections", "OrderedDict"): TorchVocabulary.ordered_dict,
    Name("torch", "Size"): TorchVocabulary.size,
    Name("torch._utils", "_rebuild_tensor"): TorchVocabulary.tensor,
    Name("torch._utils", "_rebuild_tensor_v2"): TorchVocabulary.tensor,
    Name("torch._utils", "_rebuild_tensor_v3"): TorchVocabulary.tensor_of_untyped,
    Name("torch._utils", "_rebuild_parameter"): TorchVocabulary.parameter,
    Name("torch._utils", "_rebuild_parameter_with_state"): TorchVocabulary.parameter,
}


def _dtype_names() -> dict[Name, np.dtype[Any]]:
    untyped = np.dtype(np.uint8)
    table = {Name("torch.storage", name): untyped for name in ("UntypedStorage", "_UntypedStorage")}
    for element in ELEMENT_TYPES:
        table[Name("torch", element.name)] = element.numpy
        if element.torch_storage:
            for module in ("torch", "torch.cuda"):
                table[Name(module, element.torch_storage)] = element.numpy
    return table


_DTYPES = _dtype_names()
