"""Kernels of bytes as networks use them, each with the occupancy of an A100 that it is designed for."""

from __future__ import annotations

from cnnc.runtime.kernel import Variant


def conv_implicit_gemm_bytes(
    tensor: int, rows: int, columns: int, threads: tuple[int, int], **options: int | str
) -> Variant:
    """The implicit GEMM on bytes; ``threads`` along channels and pixels."""
    tile = {"tensor": tensor, "rows": rows, "columns": columns}
    tile |= {"row_threads": threads[0], "column_threads": threads[1]}
    return Variant.of(
        "conv.u8.implicit_gemm", **{"taps": 1, "axes": 2, "partial": 0, "element": "u8", "blocks": 4, **tile, **options}
    )


def conv_plain_input_bytes() -> Variant:
    """A first layer."""
    tile = {"tensor": 1, "rows": 8, "columns": 8, "row_threads": 8, "column_threads": 16, "blocks": 4}
    return Variant.of("conv.u8.plain_input", **tile, element="u8", aligned=1, KH=7, QW=2)


def byte_elementwise(kind: str, element: str = "u8", result: str = "u8") -> Variant:
    return Variant.of("byte.elementwise", kind=kind, element=element, result=result, gate=0, lanes=8)


BYTE_VARIANTS = (
    (byte_elementwise("quantize", element="f32"), 3 / 4),
    (byte_elementwise("add"), 3 / 4),
    (Variant.of("byte.average_pool", lanes=8, element="u8"), 1 / 4),
    (Variant.of("byte.global_average", lanes=8, element="u8"), 3 / 4),
    (Variant.of("byte.max_filter", lanes=8, element="u8"), 1 / 2),
    (Variant.of("byte.max_pool", lanes=8, element="u8"), 1 / 4),
    (Variant.of("byte.table"), 3 / 4),
    (conv_implicit_gemm_bytes(1, 8, 8, (16, 8), blocks=8), 1 / 8),
    (conv_implicit_gemm_bytes(0, 8, 8, (8, 8)), 1 / 8),
    (conv_implicit_gemm_bytes(1, 4, 8, (8, 16), taps=2), 1 / 8),
    (Variant.of("conv.u8.depthwise", rows=4, element="u8"), 1 / 4),
    (conv_plain_input_bytes(), 1 / 8),
    (Variant.of("gemm.u8.warps", rows=1, columns=2, element="u8"), 1 / 2),
    (Variant.of("gemm.u8.warps", rows=4, columns=4, element="i8"), 1 / 4),
    (Variant.of("layout.byte_lanes", lanes=8), 1 / 2),
    (Variant.of("resize.bytes", lanes=8), 3 / 4),
)
