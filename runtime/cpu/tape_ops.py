"""Vector code of every opcode of ``elementwise.tape``, and the loop that runs one over a tile. Imports numba."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import vector_math
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.epilogue import emit_activation
from cnnc.runtime.cpu.tape_encoding import ARITY, OPCODES
from cnnc.runtime.cpu.vector import I64, VectorBuilder, intrinsic
from cnnc.runtime.cpu.vector_pow import power
from cnnc.runtime.kernel import Target


def step_function(target: Target) -> Any:
    """``run(opcode, dst, a, b, c, parameters, count)``: one op over ``count`` float32 at these addresses.

    Whole vectors first, then a masked one: nothing is read or written behind ``count``. ``dst`` may be an operand.
    """
    return intrinsic(target, _emit_step, 7)


def _emit_step(
    b: VectorBuilder, opcode: Any, dst: Any, first: Any, second: Any, third: Any, parameters: Any, count: Any
) -> None:
    alpha = b.float_bits(parameters)
    beta = b.float_bits(b.ir.lshr(parameters, b.index(32)))
    done = b.ir.append_basic_block("tape.done")
    switch = b.ir.switch(opcode, done)
    for name, number in OPCODES.items():
        block = b.ir.append_basic_block(f"tape.{name}")
        switch.add_case(I64(number), block)
        b.ir.position_at_end(block)
        _emit_loop(b, name, dst, (first, second, third)[: ARITY[name]], alpha, beta, count)
        b.ir.branch(done)
    b.ir.position_at_end(done)


def _emit_loop(
    b: VectorBuilder, name: str, dst: Any, operands: tuple[Any, ...], alpha: Any, beta: Any, count: Any
) -> None:
    lanes = b.index(b.lanes)
    whole = b.ir.udiv(count, lanes)
    with b.loop(whole) as number:
        offset = b.ir.mul(number, b.index(b.target.vector_bytes))
        b.store(emit_op(b, name, [b.load(address, offset) for address in operands], alpha, beta), dst, offset)
    rest = b.ir.urem(count, lanes)
    with b.when(b.ir.icmp_unsigned("!=", rest, b.index(0))):
        offset = b.ir.mul(whole, b.index(b.target.vector_bytes))
        mask = b.tail_mask(rest)
        loaded = [b.load_masked(address, mask, offset) for address in operands]
        b.store_masked(emit_op(b, name, loaded, alpha, beta), dst, mask, offset)


def emit_op(b: VectorBuilder, name: str, operands: list[Any], alpha: Any, beta: Any) -> Any:
    """The result of op ``name``; operands and parameters are vectors."""
    if name in _COMPARE:
        return _flag(b, b.compare(_COMPARE[name], *operands))
    if name in ACTIVATIONS and name != "prelu":
        return emit_activation(b, name, operands[0], alpha, beta)
    if len(operands) == 1:
        return _UNARY[name](b, operands[0], alpha, beta)
    return _OTHER[name](b, *operands)


def _flag(b: VectorBuilder, mask: Any) -> Any:
    return b.select(mask, b.const(1.0), b.zero())


def _true(b: VectorBuilder, x: Any) -> Any:
    return b.compare("!=", x, b.zero())


def _sign(b: VectorBuilder, x: Any, alpha: Any, beta: Any) -> Any:
    signed = b.copysign(b.const(1.0), x)
    # Zero and NaN are their own signs.
    return b.select(b.ir.fcmp_ordered("one", x, b.zero()), signed, x)


def _shrink(b: VectorBuilder, x: Any, bias: Any, lambd: Any) -> Any:
    inner = b.select(b.compare(">", x, lambd), b.sub(x, bias), b.zero())
    return b.select(b.compare("<", x, b.neg(lambd)), b.add(x, bias), inner)


def _swish(b: VectorBuilder, x: Any, alpha: Any, beta: Any) -> Any:
    return b.div(x, b.add(b.const(1.0), vector_math.exp(b, b.neg(b.mul(alpha, x)))))


def _is_inf(b: VectorBuilder, x: Any, negative: Any, positive: Any) -> Any:
    below = b.ir.and_(b.compare("==", x, b.const(-math.inf)), _true(b, negative))
    return _flag(b, b.ir.or_(below, b.ir.and_(b.compare("==", x, b.const(math.inf)), _true(b, positive))))


_COMPARE = {"equal": "==", "less": "<", "greater": ">", "less_or_equal": "<=", "greater_or_equal": ">="}

_UNARY: dict[str, Callable[[VectorBuilder, Any, Any, Any], Any]] = {
    "copy": lambda b, x, alpha, beta: x,
    "neg": lambda b, x, alpha, beta: b.neg(x),
    "abs": lambda b, x, alpha, beta: b.abs(x),
    "sqrt": lambda b, x, alpha, beta: b.sqrt(x),
    "square": lambda b, x, alpha, beta: b.mul(x, x),
    "reciprocal": lambda b, x, alpha, beta: b.div(b.const(1.0), x),
    "floor": lambda b, x, alpha, beta: b.floor(x),
    "ceil": lambda b, x, alpha, beta: b.ceil(x),
    "round": lambda b, x, alpha, beta: b.round_even(x),
    "sign": _sign,
    "shrink": _shrink,
    "exp": lambda b, x, alpha, beta: vector_math.exp(b, x),
    "log": lambda b, x, alpha, beta: vector_math.log(b, x),
    "erf": lambda b, x, alpha, beta: vector_math.erf(b, x),
    "swish": _swish,
    "not": lambda b, x, alpha, beta: _flag(b, b.compare("==", x, b.zero())),
    "is_nan": lambda b, x, alpha, beta: _flag(b, b.is_nan(x)),
    "is_inf": _is_inf,
}

_OTHER: dict[str, Callable[..., Any]] = {
    "add": lambda b, x, y: b.add(x, y),
    "sub": lambda b, x, y: b.sub(x, y),
    "mul": lambda b, x, y: b.mul(x, y),
    "div": lambda b, x, y: b.div(x, y),
    "min": lambda b, x, y: b.minimum(x, y),
    "max": lambda b, x, y: b.maximum(x, y),
    "pow": power,
    "prelu": lambda b, x, slope: b.select(b.compare("<", x, b.zero()), b.mul(x, slope), x),
    "and": lambda b, x, y: _flag(b, b.ir.and_(_true(b, x), _true(b, y))),
    "or": lambda b, x, y: _flag(b, b.ir.or_(_true(b, x), _true(b, y))),
    "xor": lambda b, x, y: _flag(b, b.ir.xor(_true(b, x), _true(b, y))),
    "where": lambda b, condition, x, y: b.select(_true(b, condition), x, y),
    "fma": lambda b, x, y, z: b.fma(x, y, z),
}
