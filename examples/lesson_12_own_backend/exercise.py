"""Exercise 12: C for two more ops, and a backend whose convolutions end in an activation.

Replace the bodies, then: python examples/course.py check 12
"""

from __future__ import annotations

from lesson_12_own_backend.c_backend import CBackend
from lesson_12_own_backend.c_code import Shape

from cnnc.ir import Node


def average_pool(node: Node, shape: Shape) -> str:
    """C for ``average_pool`` over two axes: ``in0`` [N, C, H, W] to ``out`` [N, C, OH, OW].

    The mean of the pixels of each window. Where a window hangs over the border it divides by the pixels that it holds,
    or with ``node.attrs.count_include_pad`` by KH * KW: the windows of the checks end inside the padded image.
    """
    raise NotImplementedError("exercise: return C like that of max_pool, with a sum and a count")


def concat(node: Node, shape: Shape) -> str:
    """C for ``concat`` along axis 1 of any number of operands ``in0``, ``in1``, ..., all of rank 2 or more.

    Operand k is [N, Ck, ...], the result [N, C0 + C1 + ..., ...]. For each image the elements of an operand lie in one
    piece, here as there.
    """
    raise NotImplementedError("exercise: return C that copies each operand's piece of each image")


class FusingBackend(CBackend):
    """A C backend that fuses: ReLU, clip and leaky ReLU behind a convolution are computed while its sum is at hand.

    Exercise: give it ``fusions`` that also run cnnc's pass fuse-conv-activation, and ``rules`` whose convolution writes
    activation(sum). ``node.attrs.activation`` has a kind ("none", "relu", "clip", "leaky_relu", ...), and alpha and
    beta as ``cnnc.ops.activation.Activation`` says. The rule refuses other kinds by a sentence that names the kind.
    """
