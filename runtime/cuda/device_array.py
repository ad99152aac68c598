"""An array in a GPU's memory: what sessions on a GPU take and give without a copy.

Other libraries see it by the CUDA Array Interface, version 3, and by DLPack; ``foreign_array`` sees theirs.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.runtime.aligned_memory import bytes_of

if TYPE_CHECKING:
    from cnnc.runtime.cuda.device import Device

Array = np.ndarray[Any, Any]


class DeviceArray:
    """A C-contiguous array of a device; its content is there: whoever made it has waited.

    Attributes:
        address: of the first element.
        owner: whatever keeps the memory.
    """

    def __init__(self, device: Device, address: int, shape: tuple[int, ...], dtype: np.dtype[Any], owner: Any) -> None:
        self.device = device
        self.address = address
        self.shape = shape
        self.dtype = dtype
        self.owner = owner

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def numpy(self) -> Array:
        """A copy on the host."""
        array = np.empty(self.shape, self.dtype)
        if array.size:
            self.device.download(bytes_of(array), self.address)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        found = self.numpy()
        return found if dtype is None else found.astype(dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address if self.size else 0, False),
            "strides": None,
            "stream": None,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        from cnnc.runtime.cuda.dlpack import CUDA

        return CUDA, self.device.number

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule; ``stream`` need not wait for anything.

        Raises:
            BufferError: a copy or another device is asked for.
        """
        from cnnc.runtime.cuda.dlpack import capsule_of

        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("this array is given without a copy, on its own device")
        return capsule_of(self)

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={self.device.name!r})"
