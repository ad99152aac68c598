"""GFLOP/s of each convolution kernel on layers of well-known networks, one thread, and share of the FMA peak.

    python benchmarks/conv_kernels.py [--only NAME]

Times are the best of a dozen runs with warm caches; the peak is measured by a kernel of multiply-adds alone, before
every layer, because the clock of a shared machine moves. The rates of Winograd's and of Strassen's method, and those of
layers with zero weights, count the operations of direct convolution.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.cpu.conv_packing import pack_weights
from cnnc.runtime.cpu.conv_plain_winograd import NAME as PLAIN_WINOGRAD
from cnnc.runtime.cpu.conv_plain_winograd import pack_plain_winograd
from cnnc.runtime.cpu.conv_sparse import NAME as SPARSE
from cnnc.runtime.cpu.conv_tiling import ConvTiling, choose_depthwise_columns
from cnnc.runtime.cpu.plain_winograd_tiling import rank_plain_winograd_tilings
from cnnc.runtime.cpu.pointwise_tiling import PointwiseTiling, choose_pointwise_tiling, tail_halves
from cnnc.runtime.cpu.prologue import PROLOGUE_SIZES
from cnnc.runtime.cpu.sparse_packing import WORD_BYTES, channel_rows, pack_sparse
from cnnc.runtime.cpu.sparse_tiling import SparseLayer, SparseTiling, last_pixels, rank_sparse_tilings
from cnnc.runtime.cpu.strassen_packing import pack_strassen
from cnnc.runtime.cpu.strassen_tiling import StrassenLayer, rank_strassen_tilings
from cnnc.runtime.cpu.window_parts import Axis, format_places, format_ranges, part_ranges, tile_places
from cnnc.runtime.cpu.window_tiling import WindowLayer, rank_plain_tilings, rank_window_tilings
from cnnc.runtime.cpu.winograd_packing import pack_taps, pack_winograd
from cnnc.runtime.cpu.winograd_tiling import WinogradLayer, rank_winograd_tilings
from cnnc.runtime.jit.kernel_library import load_kernel
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from cnnc.tuning.machine_peak import MachinePeak


@dataclass(frozen=True, slots=True)
class Layer:
    """A square convolution: input channels, output channels, input height, window, stride, share of zero weights."""

    net: str
    ic: int
    oc: int
    size: int
    window: int
    stride: int
    residual: bool = False
    depthwise: bool = False
    winograd: bool = False
    strassen: bool = False
    sparsity: float = 0.0

    @property
    def out(self) -> int:
        return (self.size - 1) // self.stride + 1

    @property
    def flops(self) -> int:
        return 2 * self.out**2 * self.oc * (1 if self.depthwise else self.ic) * self.window**2


LAYERS = (
    Layer("resnet50", 3, 64, 224, 7, 2),
    Layer("resnet50", 64, 64, 56, 1, 1),
    Layer("resnet50", 64, 64, 56, 3, 1),
    Layer("resnet50", 64, 256, 56, 1, 1, residual=True),
    Layer("resnet50", 256, 64, 56, 1, 1),
    Layer("resnet50", 128, 128, 56, 3, 2),
    Layer("resnet50", 256, 512, 56, 1, 2),
    Layer("resnet50", 512, 128, 28, 1, 1),
    Layer("resnet50", 128, 128, 28, 3, 1),
    Layer("resnet50", 128, 512, 28, 1, 1, residual=True),
    Layer("resnet50", 1024, 256, 14, 1, 1),
    Layer("resnet50", 256, 256, 14, 3, 1),
    Layer("resnet50", 256, 1024, 14, 1, 1, residual=True),
    Layer("resnet50", 2048, 512, 7, 1, 1),
    Layer("resnet50", 512, 512, 7, 3, 1),
    Layer("resnet50", 512, 2048, 7, 1, 1, residual=True),
    Layer("mobilenetv2", 3, 32, 224, 3, 2),
    Layer("mobilenetv2", 32, 16, 112, 1, 1),
    Layer("mobilenetv2", 16, 96, 112, 1, 1),
    Layer("mobilenetv2", 96, 24, 56, 1, 1),
    Layer("mobilenetv2", 24, 144, 56, 1, 1),
    Layer("mobilenetv2", 192, 32, 28, 1, 1),
    Layer("mobilenetv2", 64, 384, 14, 1, 1),
    Layer("mobilenetv2", 576, 96, 14, 1, 1),
    Layer("mobilenetv2", 160, 960, 7, 1, 1),
    Layer("mobilenetv2", 320, 1280, 7, 1, 1),
    Layer("mobilenetv2", 32, 32, 112, 3, 1, depthwise=True),
    Layer("mobilenetv2", 96, 96, 112, 3, 2, depthwise=True),
    Layer("mobilenetv2", 144, 144, 56, 3, 1, depthwise=True),
    Layer("mobilenetv2", 192, 192, 28, 3, 1, depthwise=True),
    Layer("mobilenetv2", 384, 384, 14, 3, 1, depthwise=True),
    Layer("mobilenetv2", 576, 576, 14, 3, 2, depthwise=True),
    Layer("mobilenetv2", 960, 960, 7, 3, 1, depthwise=True),
    Layer("efficientnet", 240, 240, 28, 5, 1, depthwise=True),
    Layer("efficientnet", 672, 672, 14, 5, 2, depthwise=True),
    Layer("vgg16", 64, 64, 224, 3, 1, winograd=True),
    Layer("vgg16", 256, 256, 56, 3, 1, winograd=True),
    Layer("vgg16", 512, 512, 28, 3, 1, winograd=True),
    Layer("resnet50", 3, 64, 224, 7, 2, winograd=True),
    Layer("resnet50", 64, 64, 56, 3, 1, winograd=True),
    Layer("resnet50", 128, 128, 28, 3, 1, winograd=True),
    Layer("resnet50", 256, 256, 14, 3, 1, winograd=True),
    Layer("resnet50", 512, 512, 7, 3, 1, winograd=True),
    Layer("densenet121", 128, 32, 28, 3, 1, winograd=True),
    Layer("resnet50", 512, 128, 28, 1, 1, strassen=True),
    Layer("resnet50", 128, 512, 28, 1, 1, residual=True, strassen=True),
    Layer("resnet50", 1024, 256, 14, 1, 1, strassen=True),
    Layer("resnet50", 256, 1024, 14, 1, 1, residual=True, strassen=True),
    Layer("mobilenetv1", 512, 512, 14, 1, 1, strassen=True),
    Layer("mobilenetv1", 32, 64, 112, 1, 1, sparsity=0.9),
    Layer("mobilenetv1", 512, 512, 14, 1, 1, sparsity=0.9),
    Layer("resnet50", 64, 256, 56, 1, 1, residual=True, sparsity=0.9),
    Layer("resnet50", 512, 128, 28, 1, 1, sparsity=0.9),
    Layer("resnet50", 1024, 256, 14, 1, 1, sparsity=0.9),
    Layer("resnet50", 512, 2048, 7, 1, 1, residual=True, sparsity=0.9),
    Layer("resnet50", 64, 64, 56, 3, 1, sparsity=0.9),
    Layer("resnet50", 128, 128, 56, 3, 2, sparsity=0.9),
    Layer("resnet50", 256, 256, 14, 3, 1, sparsity=0.9),
    Layer("vgg16", 256, 256, 56, 3, 1, sparsity=0.9),
)


def run_time(variant: Variant, arrays: Mapping[str, Any], sizes: Mapping[str, int], runs: int = 12) -> float:
    """Seconds of one call over all items, the best of ``runs``."""
    kernel = kernel_def(variant.kernel)
    sizes = {name: 0 for name in kernel.sizes if name.endswith("_gap") or name in PROLOGUE_SIZES} | dict(sizes)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(load_kernel(variant))
    scratch = _aligned(int(kernel.scratch_bytes(sizes, variant.options)) // 4 + 16)
    addresses = [arrays[name].ctypes.data if name in arrays else 0 for name in kernel.buffers]
    block = (ctypes.c_int64 * len(kernel.args))(*addresses, *[sizes[name] for name in kernel.sizes])
    items = int(kernel.items(sizes, variant.options))
    best = float("inf")
    for _ in range(runs):
        scratch[:2] = 0.0  # an instruction's first word of scratch
        start = time.perf_counter()
        function(ctypes.addressof(block), 0, items, scratch.ctypes.data)
        best = min(best, time.perf_counter() - start)
    return best


def _aligned(floats: int) -> np.ndarray[Any, Any]:
    raw = np.zeros(floats + 16, np.float32)
    return raw[(-raw.ctypes.data % 64) // 4 :][:floats]


def _random(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    array = _aligned(int(np.prod(shape)))
    array[:] = np.random.default_rng(0).standard_normal(array.size, np.float32)
    return array


def time_depthwise(layer: Layer) -> tuple[str, float]:
    """As ``time_layer``, for depthwise layers."""
    lanes, pad, out = host_target().lanes, layer.window // 2, layer.out
    blocks = layer.oc // lanes
    arrays = {
        "x": _random((layer.oc, layer.size, layer.size)),
        "weights": _random((layer.oc, layer.window, layer.window)),
        "bias": _random((layer.oc,)),
        "y": _random((layer.oc, out, out)),
    }
    sizes = {"N": 1, "CB": blocks, "D": 1, "H": layer.size, "W": layer.size, "OD": 1, "OH": out, "OW": out}
    sizes |= {"KD": 1, "KH": layer.window, "KW": layer.window, "SD": 1, "SH": layer.stride, "SW": layer.stride}
    sizes |= {"DD": 1, "DH": 1, "DW": 1, "PD": 0, "PH": pad, "PW": pad, "item_rows": out, "alpha": 0, "beta": 0}
    columns = choose_depthwise_columns(out, lanes)
    options: dict[str, int | str] = {"columns": columns, "window": layer.window, "stride": layer.stride}
    options |= {"dilation": 1, "activation": "relu", "residual": 0, "lanes": lanes}
    variant = Variant.of("conv.f32.blocked.depthwise", **options)
    return f"depthwise 1x{columns} items {blocks}", run_time(variant, arrays, sizes)


def time_winograd(layer: Layer) -> tuple[str, float]:
    """As ``time_layer``, by Winograd's method with up to 4x4 outputs a tile."""
    lanes, pad, out, window = host_target().lanes, layer.window // 2, layer.out, (layer.window, layer.window)
    ic_blocks, oc_blocks = -(-layer.ic // lanes), -(-layer.oc // lanes)
    shape = WinogradLayer(1, (1, out, out), (1, *window), (1, 1), ic_blocks, oc_blocks, lanes)
    [(_, tiling)] = rank_winograd_tilings(shape, [(2, 2), (3, 3), (4, 4)])
    outputs = (tiling.out_rows, tiling.out_columns)
    w = np.ones((layer.oc, layer.ic, *window), np.float32)
    if tiling.taps:
        packed = pack_taps(w, lanes, tiling.blocks)
    else:
        packed = pack_winograd(w, outputs, lanes, tiling.blocks, tiling.chunk_tiles)
    arrays = {
        "x": _random((ic_blocks * lanes, layer.size, layer.size)),
        "weights": _random(packed.weights.shape),
        "segments": packed.segments,
        "bias": _random((oc_blocks * lanes,)),
        "y": _random((oc_blocks * lanes, out, out)),
    }
    sizes = {"N": 1, "XB": ic_blocks, "D": 1, "H": layer.size, "W": layer.size, "YB": oc_blocks, "OD": 1, "OH": out}
    sizes |= {"OW": out, "KD": 1, "SD": 1, "DD": 1, "DH": 1, "DW": 1, "PD": 0, "PH": pad, "PW": pad, "alpha": 0}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments), "beta": 0}
    sizes |= {"weight_floats": packed.weights.size, "column_tiles": tiling.column_tiles}
    sizes |= {"chunk_tiles": tiling.chunk_tiles, "oc_tiles": tiling.oc_tiles, "fill": 0}
    options: dict[str, int | str] = {"out_rows": outputs[0], "out_columns": outputs[1], "lanes": lanes, "residual": 0}
    options |= {"window_rows": layer.window, "window_columns": layer.window, "activation": "relu"}
    options |= {"columns": tiling.columns, "blocks": tiling.blocks} | ({"taps": 1} if tiling.taps else {})
    variant = Variant.of("conv.f32.blocked.winograd", **options)
    items = kernel_def(variant.kernel).items(sizes, variant.options)
    tile = f"F{outputs[0]} {tiling.columns}x{tiling.blocks}"
    per_item = f"{tiling.column_tiles}/{tiling.chunk_tiles}/{tiling.oc_tiles}"
    return f"winograd {tile} {per_item} items {items}", run_time(variant, arrays, sizes)


def time_strassen(layer: Layer) -> tuple[str, float]:
    """As ``time_layer``, by Strassen's method."""
    lanes, pixels = host_target().lanes, layer.out**2
    shape = StrassenLayer(1, pixels, layer.ic // lanes, layer.oc // lanes, lanes)
    [(_, tiling)] = rank_strassen_tilings(shape)
    packed = pack_strassen(np.ones((layer.oc, layer.ic), np.float32), lanes, tiling.blocks)
    arrays = _operands(layer, layer.ic, packed.size)
    sizes = {"N": 1, "XB": shape.ic_blocks, "YB": shape.oc_blocks, "pixels": pixels, "weight_floats": packed.size}
    sizes |= {"x_pixels": pixels, "row_pixels": pixels, "row_step": 0, "column_step": 1}
    sizes |= {"pixel_tiles": tiling.pixel_tiles, "oc_tiles": tiling.oc_tiles, "alpha": 0, "beta": 0}
    options: dict[str, int | str] = {"columns": tiling.columns, "blocks": tiling.blocks, "activation": "relu"}
    variant = Variant.of("conv.f32.blocked.strassen", residual=int(layer.residual), lanes=lanes, **options)
    items = kernel_def(variant.kernel).items(sizes, variant.options)
    tile = f"{tiling.columns}x{tiling.blocks} {tiling.pixel_tiles}/{tiling.oc_tiles}"
    return f"strassen {tile} items {items}", run_time(variant, arrays, sizes)


def time_sparse(layer: Layer) -> tuple[str, float]:
    """As ``time_layer``, with zeros anywhere in the weights, by lists of the others."""
    lanes, out = host_target().lanes, layer.out
    ic_blocks, oc_blocks = -(-layer.ic // lanes), -(-layer.oc // lanes)
    rng = np.random.default_rng(0)
    w = rng.standard_normal((layer.oc, layer.ic, layer.window, layer.window), np.float32)
    w *= rng.random(w.shape) >= layer.sparsity
    rows = channel_rows(w, lanes, ic_blocks, range(layer.ic))
    entries = ((1, int(np.count_nonzero(w))),)
    shape = SparseLayer(1, out**2, layer.window**2, rows[0].size // lanes, lanes, oc_blocks, lanes, entries)
    [(_, tiling)] = rank_sparse_tilings(shape)
    row_bytes = tiling.vectors * lanes * WORD_BYTES
    packed = pack_sparse(rows, lanes, oc_blocks, row_bytes, tiling.share, tiling.part_groups)
    arrays = _operands(layer, ic_blocks * lanes, 0) | {"entries": packed.entries, "index": packed.index}
    sizes = _map_sizes(layer) | {"XB": ic_blocks, "YB": oc_blocks, "group_count": len(packed.groups), "fill": 0}
    sizes |= {"parts": packed.parts, "entry_words": packed.entries.size, "oc_blocks": tiling.oc_blocks}
    options: dict[str, int | str] = {"vectors": tiling.vectors, "share": tiling.share, "activation": "relu"}
    options |= {"last": last_pixels(out**2, tiling.vectors, lanes), "residual": int(layer.residual), "lanes": lanes}
    return _timed(Variant.of(SPARSE, **options), tiling, arrays | {"groups": packed.groups}, sizes)


def time_layer(layer: Layer) -> tuple[str, float]:
    """(description of the kernel, seconds)."""
    if layer.sparsity:
        return time_sparse(layer)
    if layer.depthwise:
        return time_depthwise(layer)
    if layer.winograd:
        return time_plain_winograd(layer) if layer.ic <= 4 else time_winograd(layer)
    if layer.strassen:
        return time_strassen(layer)
    if layer.ic <= 4:
        return time_plain_input(layer)
    return time_pointwise(layer) if layer.window == layer.stride == 1 else time_window(layer)


def time_pointwise(layer: Layer) -> tuple[str, float]:
    """As ``time_layer``, for 1x1 layers."""
    lanes, out = host_target().lanes, layer.out
    ic_blocks, oc_blocks = -(-layer.ic // lanes), -(-layer.oc // lanes)
    tiling = choose_pointwise_tiling(out * out, ic_blocks, layer.oc, lanes)
    tail = tail_halves(layer.oc, tiling.blocks, lanes)
    w = np.ones((layer.oc, layer.ic, 1, 1), np.float32)
    packed = pack_weights(w, lanes, tiling.blocks, tail_lanes=tail * lanes // 2)
    arrays = _operands(layer, ic_blocks * lanes, packed.weights.size) | {"segments": packed.segments}
    sizes = {"N": 1, "XB": ic_blocks, "YB": oc_blocks, "pixels": out * out, "alpha": 0, "beta": 0}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size, "slab_tiles": tiling.slab_tiles}
    sizes |= {"pixel_tiles": tiling.pixel_tiles, "oc_tiles": tiling.oc_tiles}
    options: dict[str, int | str] = {"columns": tiling.columns, "blocks": tiling.blocks, "activation": "relu"}
    options |= {"residual": int(layer.residual), "lanes": lanes} | ({"tail": tail} if tail else {})
    return _timed(Variant.of("conv.f32.blocked.pointwise", **options), tiling, arrays, sizes)


def time_window(layer: Layer) -> tuple[str, float]:
    """As ``time_layer``, for blocked layers with a window or a stride."""
    lanes = host_target().lanes
    ic_blocks, oc_blocks = -(-layer.ic // lanes), -(-layer.oc // lanes)
    axes = _axes(layer)
    [(_, tiling)] = rank_window_tilings(WindowLayer(axes, 1, layer.ic, oc_blocks, lanes))
    w = np.ones((layer.oc, layer.ic, layer.window, layer.window), np.float32)
    packed = pack_weights(w, lanes, tiling.blocks)
    arrays = _operands(layer, ic_blocks * lanes, packed.weights.size) | {"segments": packed.segments}
    sizes = _map_sizes(layer) | {"XB": ic_blocks, "YB": oc_blocks, "tile_count": oc_blocks // tiling.blocks}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size, "row_tiles": tiling.row_tiles, "oc_tiles": tiling.oc_tiles}
    options: dict[str, int | str] = {"rows": tiling.rows, "columns": tiling.columns, "blocks": tiling.blocks}
    options |= {"row_parts": format_ranges(part_ranges(axes[1], tiling.rows)), "stride": layer.stride, "lanes": lanes}
    options |= {"column_parts": format_ranges(part_ranges(axes[2], tiling.columns)), "activation": "relu"}
    options |= {"residual": int(layer.residual)}
    return _timed(Variant.of("conv.f32.blocked.window", **options), tiling, arrays, sizes)


def time_plain_input(layer: Layer) -> tuple[str, float]:
    """As ``time_layer``, for first layers."""
    lanes = host_target().lanes
    oc_blocks = -(-layer.oc // lanes)
    axes = _axes(layer)
    [(_, tiling)] = rank_plain_tilings(WindowLayer(axes, 1, layer.ic, oc_blocks, lanes))
    arrays = _operands(layer, layer.ic, oc_blocks * lanes * layer.ic * layer.window**2)
    sizes = _map_sizes(layer) | {"C": layer.ic, "YB": oc_blocks}
    sizes |= {"item_rows": tiling.row_tiles, "oc_tiles": tiling.oc_tiles}
    options: dict[str, int | str] = {"columns": tiling.columns, "blocks": tiling.blocks, "stride": layer.stride}
    options |= {"dilation": 1, "places": format_places(tile_places(axes[2], tiling.columns)), "lanes": lanes}
    options |= {"activation": "relu", "residual": int(layer.residual)}
    return _timed(Variant.of("conv.f32.blocked.plain_input", **options), tiling, arrays, sizes)


def time_plain_winograd(layer: Layer) -> tuple[str, float]:
    """As ``time_layer``, for first layers by Winograd's method."""
    lanes = host_target().lanes
    oc_blocks = -(-layer.oc // lanes)
    [(_, tiling)] = rank_plain_winograd_tilings(_axes(layer), 1, layer.ic, oc_blocks, lanes, [4])
    w = np.ones((layer.oc, layer.ic, layer.window, layer.window), np.float32)
    packed = pack_plain_winograd(w, tiling.outputs, layer.stride, lanes, tiling.blocks)
    arrays = _operands(layer, layer.ic, packed.size)
    names = kernel_def(PLAIN_WINOGRAD).sizes
    sizes = {name: size for name, size in _map_sizes(layer).items() if name in names}
    sizes |= {"C": layer.ic, "YB": oc_blocks, "item_rows": tiling.item_rows}
    options: dict[str, int | str] = {"outputs": tiling.outputs, "window": layer.window, "stride": layer.stride}
    options |= {"columns": tiling.columns, "blocks": tiling.blocks, "lanes": lanes}
    options |= {"activation": "relu", "residual": int(layer.residual)}
    variant = Variant.of(PLAIN_WINOGRAD, **options)
    return f"plain winograd F{tiling.outputs} {tiling.columns}x{tiling.blocks}", run_time(variant, arrays, sizes)


def _axes(layer: Layer) -> tuple[Axis, Axis, Axis]:
    axis = Axis(layer.size, layer.out, layer.window, layer.stride, 1, layer.window // 2)
    return Axis(1, 1, 1, 1, 1, 0), axis, axis


def _map_sizes(layer: Layer) -> dict[str, int]:
    pad, out = layer.window // 2, layer.out
    sizes = {"N": 1, "D": 1, "H": layer.size, "W": layer.size, "OD": 1, "OH": out, "OW": out, "alpha": 0, "beta": 0}
    sizes |= {"KD": 1, "KH": layer.window, "KW": layer.window, "SD": 1, "SH": layer.stride, "SW": layer.stride}
    return sizes | {"DD": 1, "DH": 1, "DW": 1, "PD": 0, "PH": pad, "PW": pad}


def _operands(layer: Layer, input_channels: int, weights: int) -> dict[str, Any]:
    oc_lanes = -(-layer.oc // host_target().lanes) * host_target().lanes
    y = _random((oc_lanes, layer.out, layer.out))
    x = _random((input_channels, layer.size, layer.size))
    return {"x": x, "weights": _random((weights,)), "bias": _random((oc_lanes,)), "residual": y, "y": y}


def _timed(
    variant: Variant,
    tiling: ConvTiling | PointwiseTiling | SparseTiling,
    arrays: Mapping[str, Any],
    sizes: Mapping[str, int],
) -> tuple[str, float]:
    items = kernel_def(variant.kernel).items(sizes, variant.options)
    numbers = "/".join(map(str, astuple(tiling)))
    return f"{variant.kernel.split('.')[-1]} {numbers} items {items}", run_time(variant, arrays, sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="layers of this network")
    only = parser.parse_args().only
    peak = MachinePeak()
    for layer in LAYERS:
        if only and only not in layer.net:
            continue
        top = peak.flops()
        name, seconds = time_layer(layer)
        rate = layer.flops / seconds
        kind = "dw" if layer.depthwise else f"{layer.window}x{layer.window}/{layer.stride}"
        shape = f"{layer.ic:4d}->{layer.oc:4d} at {layer.size:3d} {kind}"
        print(
            f"{layer.net:12s} {shape:24s} {seconds * 1e3:7.3f} ms {rate / 1e9:6.1f} GFLOP/s {rate / top:4.0%}  {name}"
        )


if __name__ == "__main__":
    main()
