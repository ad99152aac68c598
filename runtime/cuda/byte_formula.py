"""The formulas of ``byte.elementwise`` on one element or on four neighbours. Imports numba.

Bytes are those of a word, floats words that hold their bits.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.byte_access import WORD, join_words, split_words, words_type
from cnnc.runtime.cuda.byte_words import emit_bytes, emit_float, emit_word
from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I32, assembly, device_function
from cnnc.runtime.cuda.requantization import emit_rounded, emit_stored
from cnnc.runtime.kernel import Params


def byte_formula(params: Params, count: int) -> Any:
    """``formula(a, b, scales, zeros)`` of ``count`` elements, 1 or 4.

    scales: (a_scale, b_scale, addend, y_scale), float32; zeros: (a_zero, b_zero, y_zero, y_least), int32.
    """
    kind, element, takes_floats = params["kind"], str(params["element"]), params["element"] == "f32"
    gives_floats = params["result"] == "f32"

    def emit(builder: Any, a: Any, b: Any, scales: Any, zeros: Any) -> Any:
        a_scale, b_scale, addend, y_scale = cgutils.unpack_tuple(builder, scales)
        a_zero, b_zero, y_zero, y_least = cgutils.unpack_tuple(builder, zeros)

        def two(name: str, x: Any, z: Any) -> Any:
            """Rounded once: never contracted to a fused multiply-add."""
            return assembly(builder, F32, f"{name}.rn.f32 $0, $1, $2;", "=f,f,f", [x, z])

        def fused(x: Any, z: Any, added: Any) -> Any:
            return assembly(builder, F32, "fma.rn.f32 $0, $1, $2, $3;", "=f,f,f,f", [x, z, added])

        def centered(byte: Any, zero: Any) -> Any:
            return emit_float(builder, builder.sub(byte, zero))

        def value(x: Any, z: Any) -> Any:
            if kind == "quantize":
                return emit_stored(builder, two("div", builder.bitcast(x, F32), y_scale), y_zero, y_least)
            if kind == "dequantize":
                return builder.bitcast(two("mul", centered(x, a_zero), a_scale), I32)
            if kind == "mul":
                # Both factors are exact in float32, and so is their product.
                product = two("mul", centered(x, a_zero), centered(z, b_zero))
                return emit_stored(builder, two("mul", product, a_scale), y_zero, y_least)
            total = fused(emit_float(builder, x), a_scale, fused(emit_float(builder, z), b_scale, addend))
            return emit_rounded(builder, total, y_zero, y_least)

        first = split_words(builder, a, count) if takes_floats else emit_bytes(builder, a, element)
        second = emit_bytes(builder, b, "u8" if takes_floats else element)
        found = [value(first[index], second[index]) for index in range(count)]
        if gives_floats:
            return join_words(builder, found)
        return found[0] if count == 1 else emit_word(builder, found)

    a_type = words_type(count if takes_floats else 1)
    result = words_type(count if gives_floats else 1)
    operands = [a_type, WORD, types.UniTuple(FLOAT, 4), types.UniTuple(WORD, 4)]
    return device_function(result, operands, emit)
