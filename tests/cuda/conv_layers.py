"""Convolutions on the emulator by implicit GEMM, of float32 or on tensor cores.

Layers are dicts of ONNX attributes, operands are drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import numpy as np

from cnnc.ptx import Counters
from cnnc.runtime.cpu.conv_transpose import as_convolution
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.conv_grouped import pack_grouped
from cnnc.runtime.cuda.conv_packing import InputBlocks, pack_weights
from cnnc.runtime.cuda.conv_phases import pack_phases, phase_dilation
from cnnc.runtime.cuda.conv_plain_input import NAME as PLAIN
from cnnc.runtime.cuda.conv_plain_input import pack_plain_input
from cnnc.runtime.cuda.tensor_precision import rounded
from cnnc.runtime.cuda.warp_tile import WarpTile, pack_fragments, tile_params
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import launch
from tests.kernels import reference
from tests.kernels.guarded import float_bits

Array = np.ndarray[Any, Any]

TILES = {
    "128x128": (8, 8, 16, 16),
    "64x64": (8, 8, 8, 8),
    "64x128": (8, 8, 8, 16),
    "128x64": (8, 8, 16, 8),
    "32x64": (4, 8, 8, 8),
    "64x32": (8, 4, 8, 8),
    "32x32": (4, 4, 8, 8),
}


TENSOR_TILES = {
    "128x128": (64, 64, 2, 2, 2),
    "128x64": (64, 32, 2, 2, 2),
    "64x64": (32, 32, 2, 2, 4),
    "64x32": (32, 16, 2, 2, 4),
}
"""Of pixels x channels: as of ``WarpTile``."""


@dataclass(frozen=True)
class _Launch:
    """Which kernel runs, and which of its blocks; it takes of operands and options what it has."""

    kernel: str
    architecture: str = "sm_80"
    blocks: Sequence[int] | None = None

    def launch(self, options: dict[str, Any], arrays: Mapping[str, Array | None], sizes: Mapping[str, int]) -> Counters:
        known = kernel_def(self.kernel)
        if "precision" in options:
            options = {name: value for name, value in options.items() if name != "phased"}
        return launch(
            Variant.of(self.kernel, **options),
            {name: arrays[name] for name in known.buffers},
            {name: sizes[name] for name in known.sizes},
            architecture=self.architecture,
            blocks=self.blocks,
        )


@dataclass(frozen=True)
class Outcome:
    """What a layer gave, what it should give, and how many products a result sums."""

    got: Array
    expected: Array
    products: int
    counters: Counters


def lanes_of(pieces: Sequence[int], groups: int = 1) -> tuple[int, ...]:
    """Physical lanes of channels in pieces, each of which begins with a block."""
    lanes: list[int] = []
    first = 0
    for piece in pieces:
        lanes += range(first, first + piece)
        first += -(-piece // 8) * 8
    return tuple(lanes)


def to_lanes(x: Array, lanes: Sequence[int], gap: int = 0) -> Array:
    """[N, C, ...] as [N, blocks, ..., 8] with ``gap`` elements behind each image; all else is NaN."""
    blocks = lanes[-1] // 8 + 1
    whole = np.full((x.shape[0], blocks * 8, *x.shape[2:]), np.nan, np.float32)
    whole[:, list(lanes)] = x
    images = np.moveaxis(whole.reshape(x.shape[0], blocks, 8, *x.shape[2:]), 2, -1).reshape(x.shape[0], -1)
    spaced = np.full((x.shape[0], images.shape[1] + gap), np.nan, np.float32)
    spaced[:, : images.shape[1]] = images
    return spaced


def from_lanes(y: Array, shape: Sequence[int], gap: int = 0) -> Array:
    """The inverse for channels in order."""
    blocks = -(-shape[1] // 8)
    images = y[:, : y.shape[1] - gap].reshape(shape[0], blocks, *shape[2:], 8)
    return np.moveaxis(images, -1, 2).reshape(shape[0], blocks * 8, *shape[2:])[:, : shape[1]]


def channel_vector(values: Array) -> Array:
    """One float a lane; 0 in pad lanes."""
    return np.pad(values, (0, -len(values) % 8))


def _three(values: Sequence[int], fill: int) -> tuple[int, ...]:
    return (fill,) * (3 - len(values)) + tuple(values)


def _sizes(
    x: Array, y_shape: Sequence[int], kernel: Sequence[int], facts: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    found: dict[str, int] = {"N": x.shape[0], "alpha": float_bits(0.25), "beta": float_bits(1.5)}
    groups = {"{}": x.shape[2:], "O{}": y_shape[2:], "K{}": kernel, **facts}
    for form, values in groups.items():
        found |= dict(zip((form.format(axis) for axis in "DHW"), _three(values, 0 if form == "P{}" else 1)))
    return found


def run_conv(
    case: Mapping[str, Any],
    tile: str = "64x64",
    *,
    splits: int = 1,
    activation: str = "none",
    residual: bool = False,
    gap: int = 0,
    prologue: str | None = None,
    blocks: Sequence[int] | None = None,
    seed: int = 0,
    precision: str | None = None,
    architecture: str = "sm_80",
) -> Outcome:
    """A convolution; ``pieces`` of the case are channel counts that begin with a block of their own.

    Results are those before the activation where ``activation`` is ``none``, else of it by ``_ACTIVATIONS``. With a
    precision it runs on tensor cores, ``tile`` being one of ``TENSOR_TILES``, and factors are expected to be rounded.
    """
    rng = np.random.default_rng(seed)
    rank, groups = len(case["x"]) - 2, case.get("groups", 1)
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads = case.get("pads", (0,) * 2 * rank)
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    source = InputBlocks(lanes_of(case.get("pieces", (x.shape[1],))), groups)
    assert source.refusal is None
    arrays: dict[str, Array | None] = dict.fromkeys(("counts", "phases", "slopes", "residual", "input_scale"))
    arrays["input_shift"] = None
    warps = None if precision is None else WarpTile(*TENSOR_TILES[tile], precision)
    transformed, options = x, _tile_params(tile) if warps is None else tile_params(warps)
    if prologue is not None:
        transformed, scales = _prologue(x, prologue, source, rng)
        arrays |= scales
        options["prologue"] = prologue
    if warps is None:
        expected = reference.conv(transformed, w, stride, dilation, pads, groups)
        packed: Array = pack_weights(w, source, options["rows"] * options["row_threads"])
    else:
        factors = rounded(transformed, warps.precision), rounded(w, warps.precision)
        expected = reference.conv(*factors, stride, dilation, pads, groups)
        packed = pack_fragments(w, source, warps)
    sizes = _sizes(x, expected.shape, w.shape[2:], {"S{}": stride, "D{}": dilation, "P{}": pads[:rank]})
    padded = any(pads) or any(size > 1 for size in w.shape[2:])
    options |= {"axes": (3 if rank == 3 else 2) if padded else 0, "phased": 0}
    sizes["phase_count"] = 1
    arrays |= {"x": to_lanes(x, source.lane_of, gap), "weights": packed}
    if prologue is not None:
        sizes |= {"input_alpha": 0, "input_beta": 0}
        sizes["input_image"] = arrays["input_scale"].shape[1] if prologue == "gate" else 0
    kernel = "conv.f32.implicit_gemm" if warps is None else "conv.mma.implicit_gemm"
    run = _Launch(kernel, architecture, blocks)
    return _finish(source, arrays, sizes, options, expected, rng, splits, activation, residual, gap, run, w[0].size)


def run_transpose(case: Mapping[str, Any], tile: str = "32x32", *, splits: int = 1, seed: int = 0) -> Outcome:
    """A transposed convolution; weights are ONNX's [IC, OC/groups, window...]."""
    rng = np.random.default_rng(seed)
    rank, groups = len(case["x"]) - 2, case.get("groups", 1)
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads, extra = case.get("pads", (0,) * 2 * rank), case.get("extra", (0,) * rank)
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    expected = reference.conv_transpose(x, w, stride, dilation, pads, extra, groups)
    ic, oc, *window = w.shape
    turned = w.reshape(groups, ic // groups, oc, *window).swapaxes(1, 2)
    turned = turned.reshape(groups * oc, ic // groups, *_three(window, 1))
    source = InputBlocks(tuple(range(ic)), groups)
    assert source.refusal is None
    options = _tile_params(tile)
    steps, spread = _three(stride, 1), _three(dilation, 1)
    phases = pack_phases(
        turned, source, options["rows"] * options["row_threads"], steps, spread, _three(pads[:rank], 0)
    )
    dilations = [phase_dilation(*facts) for facts in zip(steps, spread)]
    sizes = _sizes(x, expected.shape, (1,) * rank, {"S{}": stride, "D{}": dilations[3 - rank :], "P{}": (0,) * rank})
    sizes["phase_count"] = len(phases.table)
    arrays: dict[str, Array | None] = dict.fromkeys(("slopes", "residual", "input_scale", "input_shift"))
    arrays |= {"x": to_lanes(x, source.lane_of), "weights": phases.weights, "phases": phases.table, "counts": None}
    options |= {"axes": 3 if rank == 3 else 2, "phased": 1}
    products = ic // groups * prod(window)
    run = _Launch("conv.f32.implicit_gemm")
    return _finish(source, arrays, sizes, options, expected, rng, splits, "none", False, 0, run, products)


def run_plain(case: Mapping[str, Any], tile: str = "32x32", *, gap: int = 0, seed: int = 0) -> Outcome:
    """A convolution of a plain image, with a residual and leaky_relu."""
    rng = np.random.default_rng(seed)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads = case.get("pads", (0,) * 2 * rank)
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    expected = reference.conv(x, w, stride, dilation, pads)
    bias, other = rng.standard_normal(w.shape[0], np.float32), rng.standard_normal(expected.shape, np.float32)
    expected += bias.reshape(-1, *(1,) * rank) + other
    options = _tile_params(tile)
    window = w.reshape(*w.shape[:2], *_three(w.shape[2:], 1))
    packed = pack_plain_input(window, options["rows"] * options["row_threads"], _three(dilation, 1))
    sizes = _sizes(x, expected.shape, (1,) * rank, {"S{}": stride, "P{}": pads[:rank]})
    sizes = {name: size for name, size in sizes.items() if name not in ("KD", "KH", "KW")}
    sizes |= {"C": x.shape[1], "YB": -(-w.shape[0] // 8), "steps": len(packed.taps) // 8}
    sizes |= {"x_gap": gap, "y_gap": gap, "residual_gap": 0}
    images = np.pad(x.reshape(len(x), -1), ((0, 0), (0, gap)), constant_values=np.nan)
    channels = range(w.shape[0])
    y = np.full_like(to_lanes(expected, channels, gap), np.nan)
    arrays: dict[str, Array | None] = {"y": y, "x": images, "weights": packed.weights, "taps": packed.taps}
    arrays |= {"bias": channel_vector(bias), "slopes": None, "residual": to_lanes(other, channels)}
    variant = Variant.of(PLAIN, axes=3 if rank == 3 else 2, activation="leaky_relu", residual=1, **options)
    counters = launch(variant, arrays, sizes)
    expected = np.where(expected < 0, expected * 0.25, expected)
    return Outcome(from_lanes(y, expected.shape, gap), expected, w[0].size, counters)


def run_grouped_transpose(case: Mapping[str, Any], *, gap: int = 0, seed: int = 0) -> Outcome:
    """A transposed convolution of any groups, with leaky_relu; the input may lie in ``pieces``."""
    rng = np.random.default_rng(seed)
    rank, groups = len(case["x"]) - 2, case.get("groups", 1)
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads, extra = case.get("pads", (0,) * 2 * rank), case.get("extra", (0,) * rank)
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    expected = reference.conv_transpose(x, w, stride, dilation, pads, extra, groups)
    oc = expected.shape[1]
    bias = rng.standard_normal(oc, np.float32)
    expected += bias.reshape(-1, *(1,) * rank)
    lanes = lanes_of(case.get("pieces", (x.shape[1],)))
    turned = as_convolution(w, groups)
    packed = pack_grouped(turned, groups, lanes)
    facts = {"S{}": stride, "D{}": dilation, "P{}": pads[:rank]}
    facts["T{}"] = [step // gcd(step, spread) for step, spread in zip(stride, dilation)]
    sizes = _sizes(x, expected.shape, turned.shape[2:], facts) | {"XB": lanes[-1] // 8 + 1, "YB": -(-oc // 8)}
    sizes |= {"inputs": turned.shape[1], "x_gap": gap, "y_gap": gap, "residual_gap": 0}
    y = np.full_like(to_lanes(expected, range(oc), gap), np.nan)
    arrays: dict[str, Array | None] = {"x": to_lanes(x, lanes, gap), "y": y, "slopes": None, "residual": None}
    arrays |= {"weights": packed.weights, "lanes": packed.lanes, "bias": channel_vector(bias)}
    options = {"quads": int(packed.quads), "activation": "leaky_relu", "residual": 0, "lanes": 8}
    counters = launch(Variant.of("conv_transpose.f32.grouped", **options), arrays, sizes)
    expected = np.where(expected < 0, expected * 0.25, expected)
    return Outcome(from_lanes(y, expected.shape, gap), expected, turned[0].size, counters)


def _tile_params(tile: str) -> dict[str, Any]:
    return dict(zip(("rows", "columns", "row_threads", "column_threads"), TILES[tile]))


def _prologue(x: Array, kind: str, source: InputBlocks, rng: Any) -> tuple[Array, dict[str, Array]]:
    """The input after its prologue, and the kernel's operands for it."""
    images = x.shape[0] if kind == "gate" else 1
    scale = rng.standard_normal((images, x.shape[1]), np.float32)
    spread = (slice(None), slice(None), *(None,) * (x.ndim - 2))
    if kind == "gate":
        return x * scale[spread], {"input_scale": to_lanes(scale, source.lane_of)}
    assert kind == "relu"
    shift = rng.standard_normal(scale.shape, np.float32)
    transformed = np.maximum(x * scale[spread] + shift[spread], 0)
    return transformed, {"input_scale": to_lanes(scale, source.lane_of), "input_shift": to_lanes(shift, source.lane_of)}


def _finish(
    source: InputBlocks,
    arrays: dict[str, Array | None],
    sizes: dict[str, int],
    options: dict[str, Any],
    expected: Array,
    rng: Any,
    splits: int,
    activation: str,
    residual: bool,
    gap: int,
    run: _Launch,
    products: int,
) -> Outcome:
    oc, spatial = expected.shape[1], (1,) * (expected.ndim - 2)
    y_blocks = -(-oc // 8)
    bias = rng.standard_normal(oc, np.float32)
    slopes = rng.standard_normal(oc, np.float32)
    expected = expected + bias.reshape(-1, *spatial)
    arrays["bias"] = channel_vector(bias)
    sizes |= {"XB": source.blocks * source.groups, "YB": y_blocks, "groups": source.groups, "splits": splits}
    sizes |= {"x_gap": gap, "y_gap": 0 if splits > 1 else gap, "residual_gap": 0}
    sizes |= {name: 0 for name in ("input_alpha", "input_beta", "input_image") if name not in sizes}
    assert arrays["weights"] is not None
    sizes["weight_floats"] = arrays["weights"].size
    if np.any(source.counts % 8):
        arrays["counts"] = source.counts
    options |= {"tail": int(arrays["counts"] is not None), "activation": activation, "residual": int(residual)}
    if residual:
        other = rng.standard_normal(expected.shape, np.float32)
        expected = expected + other
        arrays["residual"] = to_lanes(other, range(oc))
    if activation == "prelu":
        arrays["slopes"] = channel_vector(slopes)
        expected = np.where(expected < 0, expected * slopes.reshape(-1, *spatial), expected)
    elif activation != "none":
        assert activation == "leaky_relu"
        expected = np.where(expected < 0, expected * 0.25, expected)
    y = np.full_like(to_lanes(expected, range(oc), gap), np.nan)
    if splits == 1:
        counters = run.launch({"partial": 0, **options}, {**arrays, "y": y}, sizes)
        return Outcome(from_lanes(y, expected.shape, gap), expected, products, counters)
    partial = np.full((splits, *to_lanes(expected, range(oc)).shape), np.nan, np.float32)
    absent = dict.fromkeys(("bias", "slopes", "residual"))
    plain_options = {**options, "partial": 1, "activation": "none", "residual": 0}
    counters = run.launch(plain_options, {**arrays, **absent, "y": partial}, sizes)
    epilogue = {name: arrays[name] for name in absent}
    sums = {"N": sizes["N"], "YB": y_blocks, "pixels": prod(expected.shape[2:]), "splits": splits, "y_gap": gap}
    sums |= {"residual_gap": 0, "alpha": sizes["alpha"], "beta": sizes["beta"]}
    variant = Variant.of("conv.f32.sum_splits", activation=activation, residual=int(residual))
    launch(variant, {"y": y, "partial": partial, **epilogue}, sums)
    return Outcome(from_lanes(y, expected.shape, gap), expected, products, counters)
