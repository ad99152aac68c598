"""Vector registers as values of Numba functions: loads and stores at addresses, lane-wise arithmetic, folds over lanes.

``cnnc.runtime.cpu.vector`` emits straight-line code; kernels whose inner loops carry registers from one iteration to
the next (pools, reductions, norms) are clearer as Numba Python over values of ``RegisterType``. This module imports
numba, so kernels import it inside ``build`` only.

    v = registers(target)
    load, store = v.load, v.store        # names that the kernel function closes over
    ...
    store(y, load(x) * load(w) + load(b))

Addresses and counts are int64, addresses in bytes. Arithmetic is IEEE float32, never reassociated or contracted.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.extending import intrinsic, models, register_model
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from cnnc.runtime.cpu import vector_math
from cnnc.runtime.cpu.vector import I64, VectorBuilder
from cnnc.runtime.kernel import Target


class RegisterType(types.Type):
    """The Numba type of a register of ``lanes`` float32."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Register(f32x{lanes})")


@register_model(RegisterType)
class _RegisterModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, register: RegisterType) -> None:
        super().__init__(manager, register, ir.VectorType(ir.FloatType(), register.lanes))


def _define_operator(function: Any, emit: str) -> None:
    @infer_global(function)
    class _Lanewise(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and args[0] == args[1] and isinstance(args[0], RegisterType):
                return signature(args[0], *args)
            return None

    @lower_builtin(function, RegisterType, RegisterType)  # type: ignore[untyped-decorator]
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, emit)(*args)


_define_operator(operator.add, "fadd")
_define_operator(operator.sub, "fsub")
_define_operator(operator.mul, "fmul")
_define_operator(operator.truediv, "fdiv")


def lanewise(target: Target, result: Any, operands: tuple[Any, ...], emit: Callable[..., Any]) -> Any:
    """A function that Numba code may call: ``emit(b, *values)`` writes its code.

    ``result`` and ``operands`` are Numba types. ``emit`` gives the LLVM value of the result, None where that is void.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = emit(VectorBuilder(builder, target), *args)
        return context.get_dummy_value() if value is None else value

    # Numba asks for a function with as many named parameters as the intrinsic has.
    names = "".join(f", a{position}" for position in range(len(operands)))
    scope: dict[str, Any] = {"wanted": signature(result, *operands), "codegen": codegen}
    exec(f"def typing(context{names}):\n    return wanted, codegen", scope)
    callee = intrinsic(scope["typing"])
    callee.written_in_place = True  # see runtime/jit/numba_ir.py
    return callee


@dataclass(frozen=True, slots=True)
class Registers:
    """Functions on float32 registers of the target's width, for use inside kernels.

    ``load(address)`` and ``store(address, r)`` need no alignment. ``load_part(address, count)`` and
    ``store_part(address, r, count)`` touch the first ``count`` lanes only; lanes not loaded are zero. ``splat(x)``
    fills all lanes. ``maximum``, ``maximum_of_three`` and ``minimum`` are NaN where an operand is. ``keep(r, n, s)``
    takes lanes from ``n`` on from s. ``lane_numbers()`` is 0, 1, 2, ... ``finite_or_zero(r)`` puts 0 for infinities and
    NaN. ``fold_add``, ``fold_mul``, ``fold_maximum`` and ``fold_minimum`` combine all lanes by halves.
    """

    load: Any
    store: Any
    load_part: Any
    store_part: Any
    splat: Any
    fma: Any
    maximum: Any
    maximum_of_three: Any
    minimum: Any
    keep: Any
    absolute: Any
    sqrt: Any
    exp: Any
    log: Any
    finite_or_zero: Any
    lane_numbers: Any
    fold_add: Any
    fold_mul: Any
    fold_maximum: Any
    fold_minimum: Any


@functools.cache
def registers(target: Target) -> Registers:
    """The functions for the target's registers."""
    r = RegisterType(target.lanes)
    i64, f32, void = types.int64, types.float32, types.void

    def define(result: Any, operands: tuple[Any, ...], emit: Callable[..., Any]) -> Any:
        return lanewise(target, result, operands, emit)

    def fold(step: str) -> Any:
        return define(f32, (r,), lambda b, x: fold_lanes(b, x, getattr(VectorBuilder, step)))

    return Registers(
        load=define(r, (i64,), lambda b, p: b.load(p)),
        store=define(void, (i64, r), lambda b, p, x: b.store(x, p)),
        load_part=define(r, (i64, i64), lambda b, p, n: b.load_masked(p, b.tail_mask(n))),
        store_part=define(void, (i64, r, i64), lambda b, p, x, n: b.store_masked(x, p, b.tail_mask(n))),
        splat=define(r, (f32,), lambda b, x: b.splat(x)),
        fma=define(r, (r, r, r), lambda b, x, y, z: b.fma(x, y, z)),
        maximum=define(r, (r, r), lambda b, x, y: b.maximum(x, y)),
        maximum_of_three=define(r, (r, r, r), lambda b, x, y, z: b.maximum_of_three(x, y, z)),
        minimum=define(r, (r, r), lambda b, x, y: b.minimum(x, y)),
        keep=define(r, (r, i64, r), lambda b, x, n, y: b.select(b.tail_mask(n), x, y)),
        absolute=define(r, (r,), lambda b, x: b.abs(x)),
        sqrt=define(r, (r,), lambda b, x: b.sqrt(x)),
        exp=define(r, (r,), vector_math.exp),
        log=define(r, (r,), vector_math.log),
        finite_or_zero=define(r, (r,), _finite_or_zero),
        lane_numbers=define(r, (), lambda b: ir.Constant(b.vector, list(range(b.lanes)))),
        fold_add=fold("add"),
        fold_mul=fold("mul"),
        fold_maximum=fold("maximum"),
        fold_minimum=fold("minimum"),
    )


def _finite_or_zero(b: VectorBuilder, value: Any) -> Any:
    return b.select(b.compare("<", b.abs(value), b.const(math.inf)), value, b.zero())


def fold_lanes(b: VectorBuilder, value: Any, step: Callable[..., Any]) -> Any:
    """All lanes combined by halves, the upper onto the lower one; a scalar."""
    shift = value.type.count // 2
    while shift:
        lanes = ir.Constant(
            ir.VectorType(ir.IntType(32), value.type.count),
            [(lane + shift) % value.type.count for lane in range(value.type.count)],
        )
        value = step(b, value, b.ir.shuffle_vector(value, value, lanes))
        shift //= 2
    return b.ir.extract_element(value, ir.Constant(ir.IntType(32), 0))


_SCALARS: dict[str, tuple[Any, Any, int]] = {
    "f32": (ir.FloatType(), types.float32, 4),
    "f64": (ir.DoubleType(), types.float64, 8),
    "u8": (ir.IntType(8), types.uint8, 1),
    "u16": (ir.IntType(16), types.uint16, 2),
    "i32": (ir.IntType(32), types.int32, 4),
    "i64": (ir.IntType(64), types.int64, 8),
}


@functools.cache
def scalar_access(target: Target, element: str) -> tuple[Any, Any]:
    """``read(address)`` and ``write(address, value)`` of one element: f32, f64, u8, u16, i32 or i64."""
    kind, scalar, size = _SCALARS[element]

    def read(b: VectorBuilder, address: Any) -> Any:
        return b.ir.load(b.pointer(address, kind), align=size)

    def write(b: VectorBuilder, address: Any, value: Any) -> None:
        b.ir.store(value, b.pointer(address, kind), align=size)

    return (
        lanewise(target, scalar, (types.int64,), read),
        lanewise(target, types.void, (types.int64, scalar), write),
    )


@functools.cache
def float_from_bits(target: Target) -> Any:
    """``from_bits(word)``: the float32 whose bits are the low half of an int64; parameters travel so."""

    def emit(b: VectorBuilder, bits: Any) -> Any:
        return b.ir.bitcast(b.ir.trunc(bits, ir.IntType(32)), ir.FloatType())

    return lanewise(target, types.float32, (types.int64,), emit)


@functools.cache
def double_from_bits(target: Target) -> Any:
    """``from_bits(word)``: the float64 whose bits are an int64."""
    return lanewise(target, types.float64, (types.int64,), lambda b, bits: b.ir.bitcast(bits, ir.DoubleType()))


@functools.cache
def floor_to_integer(target: Target) -> Any:
    """``floor(x)`` of a float64 below 2^63 in magnitude as an int64, without the C library."""

    def emit(b: VectorBuilder, x: Any) -> Any:
        truncated = b.ir.fptosi(x, I64)
        above = b.ir.fcmp_ordered(">", b.ir.sitofp(truncated, ir.DoubleType()), x)
        return b.ir.sub(truncated, b.ir.zext(above, I64))

    return lanewise(target, types.int64, (types.float64,), emit)
