"""resolve-auto-pad: SAME and VALID padding become numbers where the sizes are known.

Before:

    %y: f32[N, 8, 14, 14] = conv(%x, %w) {auto_pad="SAME_UPPER", strides=(2, 2)}

After, for a 28x28 input and 3x3 weights:

    %y: f32[N, 8, 14, 14] = conv(%x, %w) {pads=(0, 0, 1, 1), strides=(2, 2)}

Conditions: the padding is a number on every spatial axis. It is for stride 1 with any size, and for known sizes.
Transposed convolutions with an ``output_shape`` get padding as well, where they need no more output than they make.

Numerics: exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cnnc.dims import Dim
from cnnc.ir import Attrs, Graph, Node, Notes, Patch
from cnnc.ops.conv import ConvAttrs, ConvTransposeAttrs, transpose_window
from cnnc.ops.pool import AveragePoolAttrs, LpPoolAttrs, MaxPoolAttrs
from cnnc.ops.window import resolve_pads
from cnnc.passes.base import Pass
from cnnc.passes.local_rewrite import rewrite_locally

PoolAttrs = MaxPoolAttrs | AveragePoolAttrs | LpPoolAttrs


@dataclass(frozen=True)
class ResolveAutoPad(Pass):
    """Write the padding out."""

    name: ClassVar[str] = "resolve-auto-pad"

    def run(self, graph: Graph, notes: Notes) -> bool:
        windows = ("conv", "conv_transpose", "max_pool", "average_pool", "lp_pool")
        return rewrite_locally(graph, notes, self.name, dict.fromkeys(windows, (_resolve,)))


def _resolve(node: Node, patch: Patch) -> bool:
    attrs = _resolved(node)
    if attrs is None:
        return False
    made = patch.node_outputs(node.op, node.inputs, attrs, loc=node.loc, outputs=len(node.outputs))
    if any(old.type.shape != new.type.shape for old, new in zip(node.outputs, made, strict=True)):
        return False
    for old, new in zip(node.outputs, made, strict=True):
        patch.replace(old, new)
    return True


def _resolved(node: Node) -> Attrs | None:
    spatial = node.input(0).type.shape[2:]
    match node.attrs:
        case ConvAttrs() as conv if conv.auto_pad != "NOTSET":
            pads = _numbers(*resolve_pads(conv, spatial, node.input(1).type.shape[2:]))
            return None if pads is None else replace(conv, auto_pad="NOTSET", pads=pads)
        case (MaxPoolAttrs() | AveragePoolAttrs() | LpPoolAttrs()) as pool if pool.auto_pad != "NOTSET":
            pads = _numbers(*resolve_pads(pool, spatial, pool.kernel_shape))
            # With auto_pad the output size does not follow ceil_mode.
            return None if pads is None else replace(pool, auto_pad="NOTSET", pads=pads, ceil_mode=0)
        case ConvTransposeAttrs() as conv if conv.auto_pad != "NOTSET" or conv.output_shape:
            window = transpose_window(conv, node.input(0).type.shape, node.input(1).type.shape)
            pads = _numbers(window.begins, window.ends)
            return None if pads is None else replace(conv, auto_pad="NOTSET", pads=pads, output_shape=())
    return None


def _numbers(begins: Sequence[Dim], ends: Sequence[Dim]) -> tuple[int, ...] | None:
    """ONNX ``pads``: all begins, then all ends; () where there is no padding; None where a size is not known."""
    pads = tuple(pad for pad in (*begins, *ends) if isinstance(pad, int))
    if len(pads) != len(begins) + len(ends):
        return None
    return pads if any(pads) else ()
