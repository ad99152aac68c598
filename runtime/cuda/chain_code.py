"""Emits what ``elementwise.chain`` does for an element, or for four neighbours. Imports numba."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.chain_text import Chain
from cnnc.runtime.cuda.intrinsics import BOOL, F32, FLOAT, I32, I64, INT, assembly, device_function, generated
from cnnc.runtime.cuda.scalar_ops import scalar_op

_QUAD = ir.LiteralStructType([F32] * 4)
_ZERO, _ONE = ir.Constant(F32, 0.0), ir.Constant(F32, 1.0)
_VOID = ir.VoidType()
_BYTES = {"f": 4, "b": 1}


@dataclass(frozen=True)
class Slots:
    """Where the facts of an operand stand in the arguments: its address, and its strides along the axes, inner last."""

    address: int
    strides: tuple[int, ...]


@dataclass(frozen=True)
class ChainCode:
    """Functions for Numba CUDA code; ``args`` is the kernel's.

    Attributes:
        has_quads: has_quads(args): whether four neighbours lie together, at a multiple of their size, in the result
            and in every operand whose inner stride is 1.
        place_of: place_of(args, number): the indices of an element along the axes.
        one: one(args, place): computes an element.
        four: four(args, place): computes it and the next three along the inner axis.
    """

    has_quads: Any
    place_of: Any
    one: Any
    four: Any


def chain_code(chain: Chain, inputs: Sequence[Slots], output: Slots, axes: Sequence[int], slots: int) -> ChainCode:
    """The code of a chain.

    Args:
        inputs, output: where the operands' and the result's facts stand.
        axes: slots of the sizes of the axes, inner last.
        slots: how many arguments there are.
    """
    args_type, place_type = types.UniTuple(INT, slots), types.UniTuple(INT, len(axes))
    operands = [_Operand(text[0], text[1], found) for text, found in zip(chain.operands, inputs, strict=True)]
    result = _Operand(chain.result, "1", output)

    def has_quads(builder: Any, args: Any) -> Any:
        found = [operand.misalignment(builder, args) for operand in (*operands, result) if operand.step == "1"]
        if len(axes) > 1:
            found.append(builder.extract_value(args, axes[-1]))
        low = functools.reduce(builder.or_, found)
        return builder.icmp_unsigned("==", builder.and_(low, ir.Constant(I64, 3)), ir.Constant(I64, 0))

    def place_of(builder: Any, args: Any, number: Any) -> Any:
        places = []
        rest = builder.trunc(number, I32)
        for axis in reversed(axes[1:]):
            size = builder.trunc(builder.extract_value(args, axis), I32)
            quotient = builder.udiv(rest, size)
            places.append(builder.sub(rest, builder.mul(quotient, size)))
            rest = quotient
        return cgutils.pack_array(builder, [builder.zext(place, I64) for place in (rest, *reversed(places))])

    def computed(inline: Any, builder: Any, values: Sequence[Any]) -> Any:
        """The chain's result from its operands."""
        known = list(values)
        for step in chain.steps:
            function, has_parameters = scalar_op(step.op)
            read = [known[value] if isinstance(value, int) else _constant(value) for value in step.operands]
            read += [_constant(step.alpha), _constant(step.beta)] if has_parameters else []
            known.append(inline(function, FLOAT, [FLOAT] * len(read), read))
        return known[-1]

    def one(inline: Any, builder: Any, args: Any, place: Any) -> None:
        values = [operand.load(builder, operand.address(builder, args, place)) for operand in operands]
        result.store(builder, result.address(builder, args, place), computed(inline, builder, values))

    def four(inline: Any, builder: Any, args: Any, place: Any) -> None:
        quads = [operand.load_four(builder, args, operand.address(builder, args, place)) for operand in operands]
        values = [computed(inline, builder, [quad[lane] for quad in quads]) for lane in range(4)]
        result.store_four(builder, result.address(builder, args, place), values)

    return ChainCode(
        device_function(BOOL, [args_type], has_quads),
        device_function(place_type, [args_type, INT], place_of),
        generated(types.void, [args_type, place_type], one),
        generated(types.void, [args_type, place_type], four),
    )


def _constant(value: float) -> Any:
    return ir.Constant(F32, float(np.float32(value)))


@dataclass(frozen=True)
class _Operand:
    """How elements of ``kind`` (f, b) get between memory and registers; ``step`` is the inner stride: 1, 0 or *.

    Loads do not take the read-only path, because the result may lie over an operand.
    """

    kind: str
    step: str
    slots: Slots

    def misalignment(self, builder: Any, args: Any) -> Any:
        """Not a multiple of 4 if some four elements do not lie at a multiple of their size."""
        outer = [builder.extract_value(args, slot) for slot in self.slots.strides[:-1]]
        address = builder.extract_value(args, self.slots.address)
        in_elements = builder.lshr(address, ir.Constant(I64, 2)) if self.kind == "f" else address
        return functools.reduce(builder.or_, outer, in_elements)

    def address(self, builder: Any, args: Any, place: Any) -> Any:
        *outer, inner = cgutils.unpack_tuple(builder, place)
        offset = ir.Constant(I64, 0)
        for slot, index in zip(self.slots.strides, outer):
            offset = builder.add(offset, builder.mul(index, builder.extract_value(args, slot)))
        if self.step != "0":
            offset = builder.add(offset, builder.mul(inner, self._stride(builder, args)))
        offset = builder.mul(offset, ir.Constant(I64, _BYTES[self.kind]))
        return builder.add(builder.extract_value(args, self.slots.address), offset)

    def _stride(self, builder: Any, args: Any) -> Any:
        if self.step == "*":
            return builder.extract_value(args, self.slots.strides[-1])
        return ir.Constant(I64, int(self.step))

    def load(self, builder: Any, address: Any) -> Any:
        if self.kind == "f":
            return assembly(builder, F32, "ld.global.f32 $0, [$1];", "=f,l", [address], has_effect=True)
        return _float_of_flag(
            builder, assembly(builder, I32, "ld.global.u8 $0, [$1];", "=r,l", [address], has_effect=True)
        )

    def load_four(self, builder: Any, args: Any, address: Any) -> list[Any]:
        if self.step == "0":
            return [self.load(builder, address)] * 4
        if self.step == "*":
            step = builder.mul(self._stride(builder, args), ir.Constant(I64, _BYTES[self.kind]))
            found = []
            for _ in range(4):
                found.append(self.load(builder, address))
                address = builder.add(address, step)
            return found
        if self.kind == "f":
            text = "ld.global.v4.f32 {$0,$1,$2,$3}, [$4];"
            quad = assembly(builder, _QUAD, text, "=f,=f,=f,=f,l", [address], has_effect=True)
            return [builder.extract_value(quad, lane) for lane in range(4)]
        word = assembly(builder, I32, "ld.global.u32 $0, [$1];", "=r,l", [address], has_effect=True)
        flags = [builder.and_(word, ir.Constant(I32, 0xFF << 8 * lane)) for lane in range(4)]
        return [_float_of_flag(builder, flag) for flag in flags]

    def store(self, builder: Any, address: Any, value: Any) -> None:
        if self.kind == "f":
            assembly(builder, _VOID, "st.global.f32 [$0], $1;", "l,f", [address, value], has_effect=True)
            return
        flag = _flag_of_float(builder, value)
        assembly(builder, _VOID, "st.global.u8 [$0], $1;", "l,r", [address, flag], has_effect=True)

    def store_four(self, builder: Any, address: Any, values: Sequence[Any]) -> None:
        if self.kind == "f":
            text = "st.global.v4.f32 [$0], {$1,$2,$3,$4};"
            assembly(builder, _VOID, text, "l,f,f,f,f", [address, *values], has_effect=True)
            return
        flags = [_flag_of_float(builder, value) for value in values]
        shifted = [builder.shl(flag, ir.Constant(I32, 8 * lane)) for lane, flag in enumerate(flags)]
        word = functools.reduce(builder.or_, shifted)
        assembly(builder, _VOID, "st.global.u32 [$0], $1;", "l,r", [address, word], has_effect=True)


def _float_of_flag(builder: Any, flag: Any) -> Any:
    return builder.select(builder.icmp_unsigned("!=", flag, ir.Constant(I32, 0)), _ONE, _ZERO)


def _flag_of_float(builder: Any, value: Any) -> Any:
    return builder.zext(builder.fcmp_unordered("une", value, _ZERO), I32)
