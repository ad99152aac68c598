"""What a convolution does to its input while it copies it: act(x * scale + shift), one scale and shift a channel.

This is a batch normalization with an activation that could not fold, because others read the tensor too (DenseNet,
pre-activation residual networks). Kernels that copy their input into scratch do it on the way, so that it costs no pass
over memory. Padding is written as 0 afterwards: it is padding of the transformed tensor.

Or it is x * gate, the gate having an element for each image and channel: squeeze-and-excite. As the gate is the same
for all pixels, it multiplies the weights of an output tile instead, in scratch.

Kernels with products of bfloat16 copy their input anyway, to round it; then a gate multiplies it on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnc.runtime.cpu.tile_table import has_bfloat_products
from cnnc.runtime.kernel import Access, Params, Target

PROLOGUE_BUFFERS = ("input_scale", "input_shift")
PROLOGUE_SIZES = ("input_alpha", "input_beta", "input_image")
"""Slots of kernels that can have a prologue: a float a lane of every channel block of x, the activation's parameters,
and the floats between the scales of two images (0 for one scale for all). The variant parameter ``prologue`` names the
activation, or is ``GATED``, which has no shift; without it the slots are 0."""

GATED = "gate"


def is_gated(params: Params) -> bool:
    """Whether there is a gate."""
    return params.get("prologue") == GATED


def has_prologue(params: Params) -> bool:
    """Whether the variant transforms its input as it copies it."""
    return "prologue" in params and not is_gated(params)


def gates_weights(params: Params) -> bool:
    """Whether the gate multiplies the weights, and not the input."""
    return is_gated(params) and not has_bfloat_products(params)


def copies_input(params: Params) -> bool:
    """Whether the variant copies all of its input: transformed, or rounded to bfloat16."""
    return has_prologue(params) or has_bfloat_products(params)


def prologue_accesses(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    """The vectors of scales and shifts of ``XB`` channel blocks."""
    lane_bytes = s["XB"] * int(params["lanes"]) * 4
    if is_gated(params):
        return (Access("input_scale", 0, (s["N"] - 1) * s["input_image"] * 4 + lane_bytes if s["N"] else 0, False),)
    if not has_prologue(params):
        return ()
    return tuple(Access(buffer, 0, lane_bytes, False) for buffer in PROLOGUE_BUFFERS)


def input_transform(params: Params, gates_input: bool) -> Callable[[Any, Sequence[Any]], Callable[[Any], Any]]:
    """``transform(b, (scale, shift, alpha, beta))``: what a copied vector becomes, but for its rounding.

    ``scale`` and ``shift`` are the addresses of the block's vectors, alpha and beta float bits; they are not read
    without a prologue. ``gates_input``: the kernel multiplies a gate into its input, not into its weights.
    """
    from cnnc.runtime.cpu.epilogue import emit_activation

    def transform(b: Any, parameters: Sequence[Any]) -> Callable[[Any], Any]:
        if is_gated(params) and gates_input:
            gate = b.load(parameters[0])
            return lambda value: b.mul(value, gate)
        if not has_prologue(params):
            return lambda value: value
        scale, shift = b.load(parameters[0]), b.load(parameters[1])
        alpha, beta = b.float_bits(parameters[2]), b.float_bits(parameters[3])
        return lambda value: emit_activation(b, str(params["prologue"]), b.fma(value, scale, shift), alpha, beta)

    return transform


def input_copy(target: Target, params: Params) -> Any:
    """``copy(dst, src, src_step_bytes, count, scale, shift, alpha, beta)`` for Numba code.

    Writes ``count`` vectors of one channel block, transformed, to consecutive places, rounded to bfloat16 where the
    variant's products are. ``scale`` and ``shift`` are the addresses of the block's vectors, alpha and beta float bits;
    they are not read without a prologue.
    """
    from cnnc.runtime.cpu.bfloat_products import rounded
    from cnnc.runtime.cpu.vector import intrinsic

    transform = input_transform(params, gates_input=not gates_weights(params))

    def copy(b: Any, dst: Any, src: Any, step: Any, count: Any, *parameters: Any) -> None:
        transformed = transform(b, parameters)
        with b.loop(count) as number:
            value = transformed(b.load(src, b.ir.mul(number, step)))
            stored = rounded(b, value) if has_bfloat_products(params) else value
            b.store(stored, dst, b.ir.mul(number, b.index(copied_bytes)))

    copied_bytes = target.vector_bytes // 2 if has_bfloat_products(params) else target.vector_bytes
    return intrinsic(target, copy, 8)


def gated_weights(target: Target) -> Any:
    """``gate(dst, src, step, count, gates)`` for Numba code: weights of ``count`` input channels times their gates.

    ``step`` is the bytes of a channel's weights, a multiple of half a vector; ``gates`` the address of its gate.
    """
    from cnnc.runtime.cpu.vector import intrinsic

    def multiply(b: Any, dst: Any, src: Any, step: Any, count: Any, gates: Any) -> None:
        half = b.halved()
        pieces = b.ir.sdiv(step, b.index(half.target.vector_bytes))
        with b.loop(count) as channel:
            gate = half.broadcast(gates, b.ir.mul(channel, b.index(4)))
            first = b.ir.mul(channel, step)
            with b.loop(pieces) as piece:
                place = b.ir.add(first, b.ir.mul(piece, b.index(half.target.vector_bytes)))
                half.store(half.mul(half.load(src, place), gate), dst, place)

    return intrinsic(target, multiply, 5)
