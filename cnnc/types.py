"""Facts about tensors: element type, memory layout, quantization, and ``TensorType`` that joins them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from cnnc.dims import Dim, product
from cnnc.errors import ModelError
from cnnc.frozen_dataclass import dataclass, replace

if TYPE_CHECKING:
    import numpy as np


class DType(enum.Enum):
    """Element types. The value is the name in the text form of the IR."""

    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F64 = "f64"
    I8 = "i8"
    I16 = "i16"
    I32 = "i32"
    I64 = "i64"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    BOOL = "bool"

    @property
    def size(self) -> int:
        """Bytes per element."""
        return 1 if self is DType.BOOL else int(self.value.lstrip("bfiu")) // 8

    @property
    def is_float(self) -> bool:
        return self in (DType.F16, DType.BF16, DType.F32, DType.F64)

    @property
    def is_integer(self) -> bool:
        return not self.is_float and self is not DType.BOOL

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype; bfloat16 comes from ml_dtypes."""
        import numpy as np

        if self is DType.BF16:
            import ml_dtypes

            bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return bfloat16
        plain: np.dtype[Any] = np.dtype(_NUMPY[self.value])
        return plain

    @staticmethod
    def of(dtype: np.dtype[Any]) -> DType:
        """The DType of a NumPy dtype.

        Raises:
            ModelError: strings, complex numbers, objects, and other types that cnnc has no element type for.
        """
        name = dtype.name
        for text, numpy_name in _NUMPY.items():
            if name == numpy_name:
                return DType(text)
        if name == "bfloat16":
            return DType.BF16
        raise ModelError(f"element type {name} has no counterpart in cnnc", hint="cast it to a number type first")


_NUMPY = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "bool": "bool",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a logical element lies in memory. It never changes the logical axis order.

    ``block == 0`` is plain row-major. ``block == B`` stores ``[N][lanes/B][spatial...][B]``: logical channel ``c`` lies
    in physical lane ``lane(c)``. ``pieces`` are channel counts whose sum is C; each piece starts at a multiple of B and
    is padded to one (a concat of 24 and 40 channels is ``pieces=(24, 40)``). Empty pieces mean one piece of all
    channels. Pad lanes hold anything; no kernel lets them reach a result.
    """

    block: int = 0
    pieces: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.block < 0 or (self.pieces and not self.block) or any(piece <= 0 for piece in self.pieces):
            raise ModelError(f"layout block={self.block} pieces={self.pieces} makes no sense")

    @property
    def is_blocked(self) -> bool:
        return self.block > 0

    def lanes(self, channels: int) -> list[int]:
        """Physical lane of each logical channel."""
        lanes: list[int] = []
        start = 0
        for piece in self.pieces or (channels,):
            lanes.extend(range(start, start + piece))
            start += -(-piece // self.block) * self.block
        return lanes

    def physical_channels(self, channels: int) -> int:
        """Lanes including padding: a multiple of the block."""
        if not self.block:
            return channels
        return sum(-(-piece // self.block) * self.block for piece in self.pieces or (channels,))

    def __str__(self) -> str:
        if not self.block:
            return "plain"
        pieces = ":" + "+".join(map(str, self.pieces)) if self.pieces else ""
        return f"c{self.block}{pieces}"


PLAIN = Layout()


@dataclass(frozen=True, slots=True)
class Quant:
    """Affine quantization of an integer tensor: real = scale * (stored - zero_point), along ``axis`` if not None."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.zero_point) or (self.axis is None and len(self.scale) != 1):
            raise ModelError(f"{len(self.scale)} scales and {len(self.zero_point)} zero points with axis {self.axis}")


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape (ints and symbolic expressions), element type, layout and quantization of a value."""

    shape: tuple[Dim, ...]
    dtype: DType
    layout: Layout = PLAIN
    quant: Quant | None = None

    def __post_init__(self) -> None:
        for dim in self.shape:
            if isinstance(dim, int) and not 0 <= dim < 2**48:
                raise ModelError(f"shape {self} has a dimension outside 0..2^48")
        if self.quant is not None and not self.dtype.is_integer:
            raise ModelError(f"{self.dtype.value} cannot carry quantization; only integer types can")
        if self.layout.is_blocked and len(self.shape) < 3:
            raise ModelError(f"a blocked layout needs a batch, a channel and a spatial axis, not {self}")
        if self.layout.pieces and self.shape[1] != sum(self.layout.pieces):
            raise ModelError(f"layout {self.layout} does not cover the {self.shape[1]} channels of {self}")

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> Dim:
        """Number of logical elements."""
        return product(self.shape)

    @property
    def physical_shape(self) -> tuple[Dim, ...]:
        """Shape as stored: [N, lanes/B, spatial..., B] for blocked layouts."""
        if not self.layout.is_blocked:
            return self.shape
        channels = self.shape[1]
        if not isinstance(channels, int):
            raise ModelError(f"a blocked layout needs a known channel count, not {channels}")
        lanes = self.layout.physical_channels(channels)
        return (self.shape[0], lanes // self.layout.block, *self.shape[2:], self.layout.block)

    @property
    def bytes(self) -> Dim:
        """Storage in bytes, padding lanes included."""
        return product(self.physical_shape) * self.dtype.size

    @property
    def is_static(self) -> bool:
        return all(isinstance(dim, int) for dim in self.shape)

    def with_shape(self, shape: tuple[Dim, ...]) -> TensorType:
        return replace(self, shape=shape)

    def with_layout(self, layout: Layout) -> TensorType:
        return replace(self, layout=layout)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<code>{escape(str(self))}</code>"

    def __str__(self) -> str:
        text = f"{self.dtype.value}[{', '.join(str(dim) for dim in self.shape)}]"
        return text if self.layout == PLAIN else f"{text}@{self.layout}"
