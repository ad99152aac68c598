"""MobileNetV2: inverted residual blocks, at any width, exported to ONNX and compiled.

    cnnc compile examples/mobilenet_v2.py:model -o mobilenet_v2.cnnc
    cnnc bench examples/mobilenet_v2.py:small --against onnxruntime
    python examples/mobilenet_v2.py

Source: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.
"""

from __future__ import annotations

import numpy as np

import cnnc
from cnnc import dsl

# Expansion, output channels, blocks, stride of the first: table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def rounded(channels: float) -> int:
    """The nearest multiple of 8, at most a tenth below ``channels``."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def conv_bn(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> dsl.Sequential:
    """Convolution, normalization, ReLU6."""
    return dsl.Sequential(
        dsl.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        dsl.BatchNorm(out_channels),
        dsl.relu6,
    )


class InvertedResidual(dsl.Module):
    """1x1 to more channels, depthwise 3x3, 1x1 to few; a skip connection between the few."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        inner = in_channels * expansion
        self.has_skip = stride == 1 and in_channels == out_channels
        self.expand = conv_bn(in_channels, inner, 1) if expansion > 1 else None
        self.depthwise = conv_bn(inner, inner, 3, stride=stride, groups=inner)
        self.project = dsl.Sequential(dsl.Conv2d(inner, out_channels, 1, bias=False), dsl.BatchNorm(out_channels))

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, IC, H, W] -> [N, OC, H/stride, W/stride]."""
        inner = x if self.expand is None else self.expand(x)
        result = self.project(self.depthwise(inner))
        return x + result if self.has_skip else result


class MobileNetV2(dsl.Module):
    """[N, 3, H, W] -> class scores [N, classes]."""

    def __init__(self, classes: int = 1000, width: float = 1.0) -> None:
        channels = rounded(32 * width)
        self.stem = conv_bn(3, channels, 3, stride=2)
        self.blocks: list[InvertedResidual] = []
        for expansion, out, count, stride in STAGES:
            for index in range(count):
                following = rounded(out * width)
                self.blocks.append(InvertedResidual(channels, following, 1 if index else stride, expansion))
                channels = following
        last = rounded(1280 * max(1.0, width))
        self.head = conv_bn(channels, last, 1)
        self.classifier = dsl.Linear(last, classes)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """Class scores."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(dsl.flatten(dsl.global_avg_pool(self.head(x))))


model = dsl.model(MobileNetV2(), {"image": ("N", 3, 224, 224)}, name="mobilenet_v2")
small = dsl.model(MobileNetV2(classes=10, width=0.35), {"image": ("N", 3, 96, 96)}, name="mobilenet_v2_small")


def main() -> None:
    """Compile the small one, and compare the graph before and after the passes."""
    compiled = cnnc.compile(small)
    image = np.random.default_rng(0).standard_normal((1, 3, 96, 96), np.float32)
    scores = compiled.run({"image": image})["output"]
    print(f"{model.name}: {model.parameter_count:,} parameters, {model.macs() / 1e6:.0f} million MACs an image")
    print(f"{small.name}: {small.parameter_count:,} parameters, {small.macs() / 1e6:.1f} million MACs an image")
    print(f"{len(small.graph())} nodes became {len(compiled.graph)}; class {scores.argmax()} (the weights are random)")


if __name__ == "__main__":
    main()
