"""Convolutions of bytes on the emulator, kernel by kernel, beside their NumPy meaning.

Every image lies apart from the next, with bytes between them that must stay as they are; pad lanes hold anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.ptx import Counters
from cnnc.runtime.cuda.byte_tile import ByteTile
from cnnc.runtime.cuda.byte_tiling import taps_of_step
from cnnc.runtime.cuda.conv_depthwise_bytes import pack_words
from cnnc.runtime.cuda.conv_implicit_gemm_bytes import pack
from cnnc.runtime.cuda.conv_plain_input_bytes import pack_quads
from cnnc.runtime.host.quantized import q_linear_conv
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain

Array = np.ndarray[Any, Any]

X_SCALE, Y_SCALE = np.float32(0.02), np.float32(0.5)
X_GAP, Y_GAP = 48, 24
_NAMES = {"u": "u8", "i": "i8"}


@dataclass(frozen=True)
class Layer:
    """A convolution with one to three spatial axes; bytes of x and y are of type ``dtype``."""

    x_shape: tuple[int, ...]
    w_shape: tuple[int, ...]
    strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    groups: int = 1
    dtype: type = np.uint8
    x_zero: int = 0
    y_zero: int = 5
    seed: int = 0

    @property
    def rank(self) -> int:
        return len(self.x_shape) - 2

    def operands(self) -> tuple[Array, Array, Array, Array]:
        """(x, weights, bias, scales of the weights)."""
        rng, limits, count = np.random.default_rng(self.seed), np.iinfo(self.dtype), self.w_shape[0]
        x = rng.integers(limits.min, limits.max, self.x_shape, dtype=self.dtype, endpoint=True)
        w = rng.integers(-128, 127, self.w_shape, dtype=np.int8, endpoint=True)
        return x, w, rng.integers(-999, 999, count, dtype=np.int32), rng.uniform(0.005, 0.02, count).astype(np.float32)

    def meaning(self) -> Array:
        x, w, bias, scales = self.operands()
        zeros = np.asarray(self.x_zero, self.dtype), np.zeros(len(w), np.int8), np.asarray(self.y_zero, self.dtype)
        attributes = {"pads": self.pads, "strides": self.strides, "dilations": self.dilations, "group": self.groups}
        return q_linear_conv(x, X_SCALE, zeros[0], w, scales, zeros[1], Y_SCALE, zeros[2], bias, **attributes)

    def window_sizes(self, result: tuple[int, ...]) -> dict[str, int]:
        rank = self.rank
        sizes: dict[str, int] = {}
        for names, values, fill in (
            ("D H W", self.x_shape[2:], 1),
            ("OD OH OW", result, 1),
            ("KD KH KW", self.w_shape[2:], 1),
            ("stride_d stride_h stride_w", self.strides or (1,) * rank, 1),
            ("dilation_d dilation_h dilation_w", self.dilations or (1,) * rank, 1),
            ("begin_d begin_h begin_w", self.pads[:rank] or (0,) * rank, 0),
        ):
            sizes |= dict(zip(names.split(), (*(fill,) * (3 - rank), *values)))
        return sizes


def _apart(images: Array, gap: int, fill: int = 99) -> Array:
    """One behind the other, with ``gap`` bytes between them."""
    rows = images.reshape(len(images), -1)
    joined = np.concatenate([rows, np.full((len(rows), gap), fill, rows.dtype)], axis=1).reshape(-1)
    return np.ascontiguousarray(joined[: joined.size - gap])


def _run(
    layer: Layer, variant: Variant, x: Array, weights: Array, sizes: dict[str, int], architecture: str = "sm_80"
) -> tuple[Array, Counters]:
    """y of a kernel, plain."""
    _, w, bias, scales = layer.operands()
    expected, outputs = layer.meaning(), len(w)
    blocks = layer.groups * -(-outputs // layer.groups // 8) if "groups" in sizes else -(-outputs // 8)
    shape = (len(x), blocks, *expected.shape[2:], 8)
    size = int(np.prod(shape[1:]))
    y = np.full(len(x) * size + (len(x) - 1) * Y_GAP, 99, layer.dtype)
    folded, factors = np.zeros(8 * blocks, np.int32), np.zeros(8 * blocks, np.float32)
    folded[:outputs] = bias - layer.x_zero * w.reshape(outputs, -1).sum(1, dtype=np.int32)
    factors[:outputs] = X_SCALE * scales / Y_SCALE
    sizes = sizes | {"images": len(x), "fill": (layer.x_zero & 255) * 0x01010101, "y_zero": layer.y_zero}
    sizes |= {"y_least": int(np.iinfo(layer.dtype).min), "x_image": x[0].size + X_GAP, "y_image": size + Y_GAP}
    buffers = {"y": y, "x": _apart(x, X_GAP), "weights": weights, "bias": folded, "factors": factors}
    counters = launch(variant, buffers, sizes, architecture=architecture)
    rows = np.concatenate([y, np.full(Y_GAP, 99, y.dtype)]).reshape(len(x), -1)
    np.testing.assert_array_equal(rows[:, size:], 99)
    return plain(np.ascontiguousarray(rows[:, :size]).reshape(shape), outputs), counters


def tile_params(tile: ByteTile) -> dict[str, int]:
    return {name: int(getattr(tile, name)) for name in ByteTile.__dataclass_fields__}


def run_implicit_gemm(layer: Layer, tile: ByteTile, architecture: str = "sm_80") -> tuple[Array, Counters]:
    """Of an input in blocks; groups have whole blocks of channels."""
    x, w, _, _ = layer.operands()
    channels, outputs = x.shape[1] // layer.groups, len(w) // layer.groups
    assert layer.groups == 1 or channels % 8 == outputs % 8 == 0
    x_blocks, y_blocks = -(-channels // 8), -(-outputs // 8)
    variant = Variant.of(
        "conv.u8.implicit_gemm",
        **tile_params(tile),
        taps=taps_of_step(x_blocks, tile.blocks),
        axes=3 if layer.rank == 3 else 2 if np.prod(w.shape[2:]) > 1 or any(layer.pads) else 0,
        partial=int(x_blocks % tile.blocks != 0),
        element=_NAMES[x.dtype.kind],
    )
    sizes = layer.window_sizes(layer.meaning().shape[2:])
    sizes |= {"groups": layer.groups, "x_blocks": x_blocks, "y_blocks": y_blocks}
    return _run(layer, variant, blocked(x, pad=77), pack(w, layer.groups, tile), sizes, architecture)


def run_plain_input(layer: Layer, tile: ByteTile) -> tuple[Array, Counters]:
    """Of a plain image."""
    x, w, _, _ = layer.operands()
    window = layer.window_sizes(layer.meaning().shape[2:])
    names = ("H", "W", "OH", "OW", "KH", "stride_h", "stride_w", "dilation_h", "begin_h", "begin_w")
    sizes = {name: window[name] for name in names}
    sizes |= {"C": x.shape[1], "QW": -(-w.shape[3] // 4), "y_blocks": -(-len(w) // 8)}
    aligned = x.shape[3] % 4 == 0
    params = {**tile_params(tile), "element": _NAMES[x.dtype.kind], "aligned": int(aligned)}
    params |= {name: sizes[name] for name in ("KH", "QW")}
    return _run(layer, Variant.of("conv.u8.plain_input", **params), x, pack_quads(w, tile), sizes)


def run_depthwise(layer: Layer, rows: int) -> tuple[Array, Counters]:
    """Of one filter a channel."""
    x, w, _, _ = layer.operands()
    source = blocked(x, pad=77)
    sizes = layer.window_sizes(layer.meaning().shape[2:]) | {"blocks": source.shape[1]}
    variant = Variant.of("conv.u8.depthwise", rows=rows, element=_NAMES[x.dtype.kind])
    return _run(layer, variant, source, pack_words(w, range(len(w)), source.shape[1]), sizes)
