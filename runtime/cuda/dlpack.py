"""DLPack, the memory layout by which array libraries hand arrays to each other (dlpack.h, version 0.8).

A capsule holds the address of a ``DLManagedTensor``. Who consumes it renames the capsule and calls the tensor's deleter
in the end; a capsule that nobody consumed calls it itself.
"""

from __future__ import annotations

import ctypes
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnc.errors import InputError

if TYPE_CHECKING:
    from cnnc.runtime.cuda.device_array import DeviceArray

CUDA = 2
"""The device type of memory that the driver allocated on a GPU."""

_KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}
_BFLOAT = 4
_NAME = b"dltensor"


class _Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_uint64),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _ManagedTensor(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_ManagedTensor))
_ManagedTensor._fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))

_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Destructor)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
# By address: the capsule is on its way out, and must not be referred to.
_is_unconsumed = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_dying_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_given: dict[int, tuple[Any, ...]] = {}
"""What consumers hold: tensors by address, with their arrays and sizes."""


class Foreign(NamedTuple):
    """What a capsule describes."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_contiguous: bool


def capsule_of(array: DeviceArray) -> Any:
    """A capsule of an array, which lives as long as the capsule or who consumes it."""
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    is_bfloat = array.dtype.name == "bfloat16"
    kind = _DataType(_BFLOAT if is_bfloat else _KINDS[array.dtype.kind], 8 * array.dtype.itemsize, 1)
    device = _Device(*array.__dlpack_device__())
    sizes = ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
    managed = _ManagedTensor(_Tensor(array.address, device, array.ndim, kind, sizes, None, 0), None, _DELETER)
    address = ctypes.addressof(managed)
    _given[address] = (managed, shape, array)
    return _new_capsule(address, _NAME, _DESTRUCTOR)


def _delete(managed: Any) -> None:
    _given.pop(ctypes.addressof(managed.contents), None)


def _end_capsule(capsule: int) -> None:
    if _is_unconsumed(capsule, _NAME):
        _given.pop(_dying_pointer(capsule, _NAME), None)


_DELETER, _DESTRUCTOR = _Deleter(_delete), _Destructor(_end_capsule)


def foreign_tensor(capsule: Any) -> Foreign:
    """What a capsule describes. The memory is there as long as the capsule is, which is not consumed.

    Raises:
        InputError: its elements are of no type that cnnc has.
    """
    managed = ctypes.cast(_pointer_of(capsule, _NAME), ctypes.POINTER(_ManagedTensor)).contents
    tensor: _Tensor = managed.tensor
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    strides = tuple(tensor.strides[axis] for axis in range(tensor.ndim)) if tensor.strides else None
    address = tensor.data + tensor.byte_offset
    return Foreign(address, shape, _dtype(tensor.dtype), strides is None or is_contiguous(shape, strides))


def _dtype(kind: _DataType) -> np.dtype[Any]:
    if kind.code == _BFLOAT and kind.bits == 16 and kind.lanes == 1:
        import ml_dtypes

        bfloat: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat
    letter = {code: letter for letter, code in _KINDS.items()}.get(kind.code)
    if letter is None or kind.lanes != 1 or kind.bits not in (8, 16, 32, 64):
        raise InputError(
            f"DLPack type {kind.code} of {kind.bits} bits and {kind.lanes} lanes is unknown", hint="convert the array"
        )
    return np.dtype(np.bool_) if letter == "b" else np.dtype(f"{letter}{kind.bits // 8}")


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether strides, in elements, are those of a C-contiguous array; those of axes of size 1 do not matter."""
    if 0 in shape:
        return True
    return all(
        size == 1 or stride == prod(shape[axis + 1 :])
        for axis, (size, stride) in enumerate(zip(shape, strides, strict=True))
    )
