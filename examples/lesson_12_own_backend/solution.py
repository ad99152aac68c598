"""Exercise 12, solved."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import ClassVar

from lesson_12_own_backend.c_backend import CBackend
from lesson_12_own_backend.c_code import RULES, CRule, Shape, conv, loops, no_plain_window, window

from cnnc.ir import Node
from cnnc.ops.activation import Activation


def average_pool(node: Node, shape: Shape) -> str:
    """The mean of each window."""
    (n, ch, h, w), (*_, oh, ow) = shape(node.input(0)), shape(node.output)
    kernel = node.attrs.kernel_shape
    pixels = f"{prod(kernel)}" if node.attrs.count_include_pad else "count"
    return f"""{loops(i=n * ch, y=oh, x=ow)} {{
        float sum = 0;
        long count = 0;
        {window(node, shape, kernel, f"sum += in0[(i * {h} + r) * {w} + c]; count++;")}
        out[(i * {oh} + y) * {ow} + x] = sum / {pixels};
    }}"""


def concat(node: Node, shape: Shape) -> str:
    """Each operand's piece of each image."""
    images, total = shape(node.output)[0], prod(shape(node.output)[1:])
    text, first = "", 0
    for position in range(len(node.inputs)):
        size = prod(shape(node.input(position))[1:])
        copy = f"out[n * {total} + {first} + j] = in{position}[n * {size} + j];"
        text += f"{loops(n=images, j=size)} {copy}\n    "
        first += size
    return text


def formula(activation: Activation) -> str | None:
    """An activation of ``sum`` in C, or None."""
    alpha, beta = activation.alpha, activation.beta
    known = {
        "none": "sum",
        "relu": "sum > 0 ? sum : 0",
        "leaky_relu": f"sum > 0 ? sum : {alpha}f * sum",
        "clip": f"fminf(fmaxf(sum, {alpha}f), {beta}f)",
    }
    return known.get(activation.kind)


def fused_conv(node: Node, shape: Shape) -> str:
    """The convolution of the lesson, whose last line stores the activation."""
    return conv(node, shape).replace("= sum;", f"= {formula(node.attrs.activation)};")


def refusal(node: Node) -> str | None:
    """What the plain convolution refuses, but for the activations that have a formula."""
    if not node.attrs.activation.is_identity:
        kind = node.attrs.activation.kind
        return None if formula(node.attrs.activation) else f"there is no C for the activation {kind}"
    return no_plain_window(node)


class FusingBackend(CBackend):
    """ReLU, clip and leaky ReLU behind a convolution are computed while its sum is at hand."""

    fusions = f"{CBackend.fusions},fuse-conv-activation"
    rules: ClassVar[Mapping[str, CRule]] = {**RULES, "conv": CRule(fused_conv, refusal)}
