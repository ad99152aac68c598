"""``byte.elementwise``: quantize, dequantize, requantize and add, element by element of tensors that lie alike.

y, a and b are ``count`` elements; parameters ``element`` (of a and b) and ``result`` (of y) are f32, u8 or i8. With
``kind``

- quantize: y = bytes(a / y_scale);
- dequantize: y = (a - a_zero) * a_scale, float32;
- requantize: y = bytes((a - a_zero) * a_scale / y_scale);
- add: y = a * a_scale + (b * b_scale + addend), each product fused into its sum, where ``addend`` holds all zero
  points, that of y included; rounded as if y's zero point was added last.

bytes(x) is rint(x) + y_zero, saturated to ``y_least`` and 255 more. Scales and ``addend`` are float32 bits. Lanes of
padding are computed like all others. Work item: 16384 elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_ITEM = 16384
KINDS = ("quantize", "dequantize", "requantize", "add")
SIZES = ("count", "a_scale", "a_zero", "b_scale", "addend", "y_scale", "y_zero", "y_least")


def _size(params: Params, name: str) -> int:
    return 4 if params[name] == "f32" else 1


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["count"], _ITEM)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    count, operand = sizes["count"], sizes["count"] * _size(params, "element")
    accesses = (Access("y", 0, count * _size(params, "result"), True), Access("a", 0, operand, False))
    return (*accesses, Access("b", 0, operand, False)) if params["kind"] == "add" else accesses


def _inplace(sizes: Mapping[str, Dim], params: Params) -> tuple[tuple[str, str], ...]:
    if _size(params, "element") != _size(params, "result"):
        return ()
    return (("y", "a"), ("y", "b")) if params["kind"] == "add" else (("y", "a"),)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.vector import constant, intrinsic

    run = intrinsic(target, lambda b, *values: _emit_run(b, params, *values), 4 + len(SIZES) - 1)
    element, result = constant(target, _size(params, "element")), constant(target, _size(params, "result"))

    def byte_elementwise(args: Any, begin: int, end: int, scratch: int) -> None:
        y, a, b, count = args[0], args[1], args[2], args[3]
        for item in range(begin, end):
            first = item * _ITEM
            run(
                y + first * result(), a + first * element(), b + first * element(), min(_ITEM, count - first),
                args[4], args[5], args[6], args[7], args[8], args[9], args[10],
            )  # fmt: skip

    return byte_elementwise


def _emit_run(b: Any, params: Params, y: Any, a: Any, other: Any, count: Any, *sizes: Any) -> None:
    """Whole vectors, then the rest under a mask."""
    formula = _formula(b, params, dict(zip(SIZES[1:], sizes)))
    element, result = _size(params, "element"), _size(params, "result")
    is_sum = params["kind"] == "add"

    def load(address: Any, number: Any, mask: Any) -> Any:
        offset = b.ir.mul(number, b.index(b.lanes * element))
        if element == 4:
            return b.load(address, offset) if mask is None else b.load_masked(address, mask, offset)
        return b.load_bytes(address, params["element"] == "i8", offset, mask)

    def step(number: Any, mask: Any) -> None:
        value = formula(load(a, number, mask), load(other, number, mask) if is_sum else None)
        offset = b.ir.mul(number, b.index(b.lanes * result))
        if result == 1:
            value = b.ir.trunc(value, b.bytes)
        if mask is not None:
            b.store_masked(value, y, mask, offset)
        else:
            b.ir.store(value, b.pointer(y, value.type, offset), align=result)

    whole = b.ir.sdiv(count, b.index(b.lanes))
    with b.loop(whole) as number:
        step(number, None)
    rest = b.ir.sub(count, b.ir.mul(whole, b.index(b.lanes)))
    with b.when(b.ir.icmp_signed(">", rest, b.index(0))):
        step(whole, b.tail_mask(rest))


def _formula(b: Any, params: Params, sizes: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    """(a, b) -> y: vectors of floats, or of 32-bit integers where elements are bytes."""
    from cnnc.runtime.cpu.requantization import Requantization
    from cnnc.runtime.cpu.vector import I32

    kind = params["kind"]
    a_scale, b_scale, addend, y_scale = (
        b.float_bits(sizes[name]) for name in ("a_scale", "b_scale", "addend", "y_scale")
    )
    a_zero = b.splat(b.ir.trunc(sizes["a_zero"], I32))
    target = Requantization(b, sizes["y_zero"], sizes["y_least"], takes_nan=kind == "quantize")

    def real(a: Any) -> Any:
        return b.mul(b.to_float(b.int_sub(a, a_zero)), a_scale)

    if kind == "quantize":
        return lambda a, other: target.stored(b.div(a, y_scale))
    if kind == "dequantize":
        return lambda a, other: real(a)
    if kind == "requantize":
        return lambda a, other: target.stored(b.div(real(a), y_scale))
    return lambda a, other: target.rounded(
        b.fused_multiply_add(b.to_float(a), a_scale, b.fused_multiply_add(b.to_float(other), b_scale, addend))
    )


KERNEL = KernelDef(
    name="byte.elementwise",
    buffers=("y", "a", "b"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=_inplace,
)
