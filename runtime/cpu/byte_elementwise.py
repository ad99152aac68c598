"""``byte.elementwise``: quantize, dequantize, add and multiply, element by element of tensors that lie alike.

y, a and b are [N, P, count] elements; parameters ``element`` (of a and b) and ``result`` (of y) are f32, u8 or i8. With
``kind``

- quantize: y = bytes(a / y_scale);
- dequantize: y = (a - a_zero) * a_scale, float32;
- add: y = a * a_scale + (b * b_scale + addend), each product fused into its sum, where ``addend`` holds all zero
  points, that of y included; rounded as if y's zero point was added last;
- mul: y = bytes(((a - a_zero) * (b - b_zero)) * a_scale).

bytes(x) is rint(x) + y_zero, saturated to ``y_least`` and 255 more. Scales and ``addend`` are float32 bits. With the
parameter ``gate`` b is [N, P, L], L being the target's lanes, and stands for its plane: the gates of blocks of
channels. ``a_gap``, ``b_gap`` and ``y_gap`` are the elements between two images, for ranges of channels of larger
tensors. Lanes of padding are computed like all others. Work item: 16384 elements of a plane.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_ITEM = 16384
_BINARY = ("add", "mul")
_NUMBERS = ("a_scale", "a_zero", "b_scale", "b_zero", "addend", "y_scale", "y_zero", "y_least")
SIZES = ("images", "planes", "count", "a_gap", "b_gap", "y_gap", *_NUMBERS)


def _size(params: Params, name: str) -> int:
    return 4 if params[name] == "f32" else 1


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["images"] * sizes["planes"] * ceil_div(sizes["count"], _ITEM)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    images, planes, count = sizes["images"], sizes["planes"], sizes["count"]
    gate = int(params["lanes"]) if params["gate"] else count

    def access(name: str, size: int, plane: int) -> Access:
        stop = images * planes * plane + (images - 1) * sizes[f"{name}_gap"] if images * planes * count else 0
        return Access(name, 0, size * stop, name == "y")

    accesses = (access("y", _size(params, "result"), count), access("a", _size(params, "element"), count))
    return (*accesses, access("b", 1, gate)) if params["kind"] in _BINARY else accesses


def _inplace(sizes: Mapping[str, Dim], params: Params) -> tuple[tuple[str, str], ...]:
    if _size(params, "element") != _size(params, "result"):
        return ()
    operands = ("a", "b") if params["kind"] in _BINARY and not params["gate"] else ("a",)
    return tuple(("y", name) for name in operands if sizes["y_gap"] == sizes[f"{name}_gap"])


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.vector import constant, intrinsic

    run = intrinsic(target, lambda b, *values: _emit_run(b, params, *values), 4 + len(_NUMBERS))
    element, result = constant(target, _size(params, "element")), constant(target, _size(params, "result"))
    gated, lanes = constant(target, int(params["gate"])), target.lanes

    def byte_elementwise(args: Any, begin: int, end: int, scratch: int) -> None:
        y, a, b, planes, count = args[0], args[1], args[2], args[4], args[5]
        a_gap, b_gap, y_gap = args[6], args[7], args[8]
        chunks = (count + _ITEM - 1) // _ITEM
        for item in range(begin, end):
            plane, first = item // chunks, item % chunks * _ITEM
            image, at = plane // planes, plane * count + first
            other = plane * lanes if gated() != 0 else at
            run(
                y + (at + image * y_gap) * result(), a + (at + image * a_gap) * element(), b + other + image * b_gap,
                min(_ITEM, count - first),
                args[9], args[10], args[11], args[12], args[13], args[14], args[15], args[16],
            )  # fmt: skip

    return byte_elementwise


def _emit_run(b: Any, params: Params, y: Any, a: Any, other: Any, count: Any, *numbers: Any) -> None:
    """Whole vectors, then the rest under a mask."""
    formula = _formula(b, params, dict(zip(_NUMBERS, numbers)))
    element, result = _size(params, "element"), _size(params, "result")
    is_signed, is_binary = params["element"] == "i8", params["kind"] in _BINARY
    gate = b.load_bytes(other, is_signed) if params["gate"] else None

    def load(address: Any, number: Any, mask: Any) -> Any:
        offset = b.ir.mul(number, b.index(b.lanes * element))
        if element == 4:
            return b.load(address, offset) if mask is None else b.load_masked(address, mask, offset)
        return b.load_bytes(address, is_signed, offset, mask)

    def step(number: Any, mask: Any) -> None:
        second = load(other, number, mask) if is_binary and gate is None else gate
        value = formula(load(a, number, mask), second)
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


def _formula(b: Any, params: Params, numbers: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    """(a, b) -> y: vectors of floats, or of 32-bit integers where elements are bytes."""
    from cnnc.runtime.cpu.requantization import Requantization
    from cnnc.runtime.cpu.vector import I32

    kind = params["kind"]
    a_scale, b_scale, addend, y_scale = (
        b.float_bits(numbers[name]) for name in ("a_scale", "b_scale", "addend", "y_scale")
    )
    a_zero, b_zero = (b.splat(b.ir.trunc(numbers[name], I32)) for name in ("a_zero", "b_zero"))
    target = Requantization(b, numbers["y_zero"], numbers["y_least"], takes_nan=kind == "quantize")
    if kind == "quantize":
        return lambda a, other: target.stored(b.div(a, y_scale))
    if kind == "dequantize":
        return lambda a, other: b.mul(b.to_float(b.int_sub(a, a_zero)), a_scale)
    if kind == "mul":
        # Both factors are exact in float32, and so is their product.
        return lambda a, other: target.stored(
            b.mul(b.mul(b.to_float(b.int_sub(a, a_zero)), b.to_float(b.int_sub(other, b_zero))), a_scale)
        )
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
