"""Quantization by hand: a tensor as bytes, a layer in integers, its rescaling without floats; then observers at work.

python examples/lesson_09_quantization/lesson.py
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

import cnnc
from cnnc import frontends, interp
from cnnc.quantization import Settings
from cnnc.runtime.host import function
from cnnc.tuning.turns import time_in_turns

EXAMPLES = Path(__file__).resolve().parent.parent
MEAN, STD = 0.2860, 0.3530
METHODS = ("minmax", "percentile", "mse", "entropy")
PLAIN = Settings(clip_weights=False, rounding="nearest", correct_bias=False)
"""Weights simply rounded: what differs between the rows are the ranges of activations alone."""


@dataclass(frozen=True)
class Layer:
    """LeNet-5's second convolution on 100 images: y = conv(x, weights, bias), 5x5 without padding.

    x float32 [N, 6, 14, 14], weights [16, 6, 5, 5], bias [16], y [N, 16, 10, 10].
    """

    x: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Images:
    """Prepared images float32 [N, 1, 28, 28] and their classes, and those to calibrate on."""

    pixels: np.ndarray
    labels: np.ndarray
    samples: np.ndarray


def images() -> Images:
    """300 bundled images of the test set, and 100 of the training set as samples."""
    with np.load(EXAMPLES / "images" / "fashion_quantization.npz") as data:
        return Images(prepared(data["images"][:300]), data["labels"][:300], prepared(data["samples"]))


def prepared(pixels: np.ndarray) -> np.ndarray:
    """uint8 [N, 28, 28] as the models take them."""
    return (pixels[:, None].astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)


def second_convolution(samples: np.ndarray) -> Layer:
    """The layer, with what it reads and writes."""
    graph = frontends.import_onnx(EXAMPLES / "models" / "lenet5_fashion.onnx")
    [node] = [node for node in graph.nodes if node.op == "conv" and node.input(0).producer is not None]
    names = [node.input(0).name, node.output.name]
    found = interp.run(graph, {"input": samples}, capture=names)
    weights, bias = (np.asarray(node.input(position).array) for position in (1, 2))
    return Layer(found[names[0]], weights, bias, found[names[1]])


def affine(low: float, high: float) -> tuple[np.float32, int]:
    """Scale and zero point of unsigned bytes for a range: real = scale * (stored - zero point)."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255)
    return scale, int(np.clip(np.rint(-low / scale), 0, 255))


def store(values: np.ndarray, scale: np.float32, zero_point: int) -> np.ndarray:
    """Floats as bytes; what lies outside the range saturates."""
    return np.clip(np.rint(values / scale) + zero_point, 0, 255).astype(np.uint8)


def restore(stored: np.ndarray, scale: np.float32, zero_point: int) -> np.ndarray:
    """Bytes as floats."""
    return scale * (stored.astype(np.float32) - zero_point)


def sqnr(truth: np.ndarray, got: np.ndarray) -> float:
    """Signal-to-quantization-noise ratio in dB: every bit more of precision is worth 6."""
    noise = np.square(truth.astype(np.float64) - got).sum()
    return float(10 * np.log10(np.square(truth.astype(np.float64)).sum() / max(noise, 1e-300)))


def integer_sums(x: np.ndarray, zero_point: int, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The sums of a convolution in int64: x uint8 [N, IC, H, W], weights int8, bias int32 -> [N, OC, OH, OW].

    One product of matrices for each tap of the window.
    """
    centred = x.astype(np.int64) - zero_point
    kernel = weights.shape[2]
    size = x.shape[2] - kernel + 1
    total = np.zeros((x.shape[0], weights.shape[0], size, size), np.int64) + bias.reshape(1, -1, 1, 1)
    for row in range(kernel):
        for column in range(kernel):
            window = centred[:, :, row : row + size, column : column + size]
            total += np.einsum("nchw,oc->nohw", window, weights[:, :, row, column].astype(np.int64), optimize=True)
    return total


def fixed_point(multiplier: float) -> tuple[int, int]:
    """(mantissa, shift) with mantissa / 2**shift = multiplier, the mantissa of 31 bits."""
    fraction, exponent = np.frexp(multiplier)
    return int(np.rint(fraction * 2**31)), 31 - int(exponent)


def rescaled(sums: np.ndarray, multiplier: float) -> np.ndarray:
    """sums * multiplier rounded to whole numbers, in integers only: a product, half a unit, a shift."""
    mantissa, shift = fixed_point(multiplier)
    return (sums * mantissa + (1 << (shift - 1))) >> shift


def show_tensor(layer: Layer) -> None:
    """One activation as bytes."""
    scale, zero_point = affine(float(layer.y.min()), float(layer.y.max()))
    print(f"    range {layer.y.min():.3f} .. {layer.y.max():.3f}, scale {scale:.5f}, zero point {zero_point}")
    few = layer.y[0, 3, 4, :6]
    stored = store(few, scale, zero_point)
    print(f"    floats   {' '.join(f'{value:8.4f}' for value in few)}")
    print(f"    bytes    {' '.join(f'{value:8}' for value in stored)}")
    print(f"    restored {' '.join(f'{value:8.4f}' for value in restore(stored, scale, zero_point))}")
    everything = restore(store(layer.y, scale, zero_point), scale, zero_point)
    worst = np.abs(everything - layer.y).max() / scale
    print(f"    largest error {worst:.2f} steps; SQNR {sqnr(layer.y, everything):.1f} dB")


def show_layer(layer: Layer) -> None:
    """The layer in integers, against the op of the IR that does it, and against the floats."""
    x_scale, x_zero = affine(float(layer.x.min()), float(layer.x.max()))
    y_scale, y_zero = affine(float(layer.y.min()), float(layer.y.max()))
    w_scales = (np.abs(layer.weights).max(axis=(1, 2, 3)) / 127).astype(np.float32)
    weights = np.rint(layer.weights / w_scales.reshape(-1, 1, 1, 1)).astype(np.int8)
    bias = np.rint(layer.bias / (x_scale * w_scales).astype(np.float64)).astype(np.int32)
    x = store(layer.x, x_scale, x_zero)
    sums = integer_sums(x, x_zero, weights, bias)
    print(f"    sums lie in {sums.min()} .. {sums.max()}: {int(np.abs(sums).max()).bit_length() + 1} bits")

    multipliers = (x_scale * w_scales / y_scale).reshape(1, -1, 1, 1)
    by_hand = np.clip(np.rint(sums * multipliers.astype(np.float64)) + y_zero, 0, 255).astype(np.uint8)
    zeros = np.uint8(x_zero), np.zeros(len(w_scales), np.int8), np.uint8(y_zero)
    own = function("q_linear_conv")(x, x_scale, zeros[0], weights, w_scales, zeros[1], y_scale, zeros[2], bias)
    print(f"    against q_linear_conv: {np.sum(by_hand != own)} of {own.size} bytes differ")
    real = restore(by_hand, y_scale, y_zero)
    close = np.mean(np.abs(real - layer.y) <= y_scale)
    print(f"    against the floats: {close:.1%} within a step; SQNR {sqnr(layer.y, real):.1f} dB")

    shifted = np.stack([rescaled(sums[:, c], float(multipliers[0, c, 0, 0])) for c in range(len(w_scales))], axis=1)
    in_integers = np.clip(shifted + y_zero, 0, 255).astype(np.uint8)
    mantissa, shift = fixed_point(float(multipliers[0, 0, 0, 0]))
    print(f"    without floats: channel 0 times {multipliers[0, 0, 0, 0]:.7f} = {mantissa} / 2^{shift}")
    print(f"    {np.sum(in_integers != own)} of {own.size} bytes differ from q_linear_conv")


def show_observers(data: Images) -> None:
    """A small MobileNetV2 by every method, calibrated on good samples, and with one pixel of 78400 spoiled."""
    path = EXAMPLES / "models" / "mbv2mini_fashion-bn.onnx"
    floats = cnnc.compile(path)
    truth = floats.run({"input": data.pixels})["logits"]

    def judged(model: cnnc.CompiledModel) -> str:
        got = model.run({"input": data.pixels})["logits"]
        return f"{np.mean(got.argmax(1) == data.labels):.1%} right, {sqnr(truth, got):5.1f} dB"

    print(f"    float32: {np.mean(truth.argmax(1) == data.labels):.1%} of {len(truth)} images are right")
    spoiled = data.samples.copy()
    spoiled[17, 0, 3, 3] = (255 - MEAN) / STD
    print(f"    {'method':11} {'good samples':22}   one pixel not divided by 255")
    for method in METHODS:
        settings = replace(PLAIN, method=method)
        graphs = [cnnc.quantize(path, [{"input": seen}], settings).graph for seen in (data.samples, spoiled)]
        cells = [judged(cnnc.compile(graph)) for graph in graphs]
        print(f"    {method:11} {cells[0]}   {cells[1]}")
    compiled = {
        "float32": floats,
        "integers": cnnc.compile(cnnc.quantize(path, [{"input": data.samples}]).graph),
    }
    print(f"    all that cnnc does for weights, minmax: {judged(compiled['integers'])}")
    feeds = {"input": data.pixels[:1]}
    calls = {name: partial(one.session(threads=1).run, None, feeds) for name, one in compiled.items()}
    for name, seconds in time_in_turns(calls).items():
        print(f"    {name}: {seconds * 1e6:5.1f} microseconds an image on one thread")


def main() -> None:
    """Tell the story."""
    data = images()
    layer = second_convolution(data.samples)
    print("1. A tensor as bytes: what LeNet-5's second convolution gives")
    show_tensor(layer)
    print("\n2. The layer in integers")
    show_layer(layer)
    print("\n3. Where ranges come from: observers, on a small MobileNetV2")
    show_observers(data)


if __name__ == "__main__":
    main()
