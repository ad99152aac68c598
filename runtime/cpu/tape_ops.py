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

    Nothing is read or written behind ``count``. ``dst`` may be an operand.
    """
    return intrinsic(target, _emit_step, 7)


def _emit_step(
    b: VectorBuilder, opcode: Any, dst: Any, first: Any, second: Any, third: Any, parameters: Any, count: Any
) -> None:
    """Whole vectors in a first pass; in a second one the rest, which is copied to the stack and back.

    The code of each op is there once for both passes: the tape is the kernel that takes longest to compile.
    """
    alpha = b.float_bits(parameters)
    beta = b.float_bits(b.ir.lshr(parameters, b.index(32)))
    whole, rest = b.ir.udiv(count, b.index(b.lanes)), b.ir.urem(count, b.index(b.lanes))
    behind, mask = b.ir.mul(whole, b.index(b.target.vector_bytes)), b.tail_mask(rest)
    places = [b.variable(address) for address in (dst, first, second, third)]
    stack = [b.ir.ptrtoint(b.variable(b.zero()), I64) for _ in places]
    vectors = b.variable(whole)
    passes = b.ir.select(b.ir.icmp_unsigned("!=", rest, b.index(0)), b.index(2), b.index(1))
    with b.loop(passes) as number:
        is_rest = b.ir.icmp_unsigned("!=", number, b.index(0))
        with b.when(is_rest):
            for place, room, address in zip(places[1:], stack[1:], (first, second, third)):
                b.store(b.load_masked(address, mask, behind), room)
                b.set(place, room)
            b.set(places[0], stack[0])
            b.set(vectors, b.index(1))
        _emit_switch(b, opcode, [b.get(place) for place in places], alpha, beta, b.get(vectors))
        with b.when(is_rest):
            b.store_masked(b.load(stack[0]), dst, mask, behind)


def _emit_switch(b: VectorBuilder, opcode: Any, addresses: list[Any], alpha: Any, beta: Any, vectors: Any) -> None:
    """The op over whole vectors: destination and operands at ``addresses``."""
    done = b.ir.append_basic_block("tape.done")
    switch = b.ir.switch(opcode, done)
    for name, number in OPCODES.items():
        block = b.ir.append_basic_block(f"tape.{name}")
        switch.add_case(I64(number), block)
        b.ir.position_at_end(block)
        with b.loop(vectors) as index:
            offset = b.ir.mul(index, b.index(b.target.vector_bytes))
            operands = [b.load(address, offset) for address in addresses[1 : 1 + ARITY[name]]]
            b.store(emit_op(b, name, operands, alpha, beta), addresses[0], offset)
        b.ir.branch(done)
    b.ir.position_at_end(done)


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
