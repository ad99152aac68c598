"""Arrays of other libraries that lie on a GPU, as ``DeviceArray``, without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.errors import InputError
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.cuda.device_array import DeviceArray
from cnnc.runtime.cuda.dlpack import CUDA, Foreign, foreign_tensor, is_contiguous

ALIGNMENT = 16
"""Bytes that kernels load at once."""


def device_view(value: Any, device: Device) -> DeviceArray | None:
    """An array of the device's memory as it lies; None for anything that is not on a GPU.

    The device's stream waits for what its producer has still to do.

    Raises:
        InputError: it is on another GPU, not C-contiguous, or not at a multiple of 16 bytes.
    """
    if isinstance(value, DeviceArray):
        if value.device.number != device.number:
            raise _other_device(value.device.number, device)
        return value
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is not None:
        return _checked(_of_interface(interface, device), device, value)
    location = getattr(value, "__dlpack_device__", None)
    if location is None or isinstance(value, np.ndarray):
        return None
    kind, number = location()
    if kind != CUDA:
        return None
    if number != device.number:
        raise _other_device(number, device)
    capsule = value.__dlpack__(stream=device.stream)
    return _checked(foreign_tensor(capsule), device, (capsule, value))


def _of_interface(interface: dict[str, Any], device: Device) -> Foreign:
    dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
    strides = interface.get("strides")
    elements = None if strides is None else tuple(stride // dtype.itemsize for stride in strides)
    if interface.get("stream") is not None:
        device.wait_for(int(interface["stream"]))
    return Foreign(interface["data"][0], shape, dtype, elements is None or is_contiguous(shape, elements))


def _checked(found: Foreign, device: Device, owner: Any) -> DeviceArray:
    if not found.is_contiguous:
        raise InputError(f"an array on the GPU of shape {found.shape} is not contiguous", hint="copy it first")
    if found.address % ALIGNMENT:
        raise InputError(
            f"an array on the GPU does not begin at a multiple of {ALIGNMENT} bytes",
            hint="copy it: it is part of another array",
        )
    return DeviceArray(device, found.address, found.shape, found.dtype, owner)


def _other_device(number: int, device: Device) -> InputError:
    return InputError(f"an array is on GPU {number}, the session on GPU {device.number}", hint="copy the array there")
