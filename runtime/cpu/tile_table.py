"""The table that a register tile sums over: facts that kernels, their scratch sizes and the packing of weights share.

An entry is three int64: offset into the input in bytes, offset into the weights in bytes, number of products.
"""

from __future__ import annotations

from cnnc.dims import Dim, ceil_div, round_up
from cnnc.runtime.kernel import Params

ENTRY_BYTES = 24

LINE_BYTES = 64
"""A cache line."""

CHAIN = 128
"""Products that a tile sums in one chain. Entries are never divided, so longer runs are listed as several entries."""


def element_of(params: Params) -> str:
    """The type of a variant's inputs: its parameter ``element``, f32 where it has none."""
    return str(params.get("element", "f32"))


def element_bytes(params: Params) -> int:
    return 4 if element_of(params) == "f32" else 1


def pixel_bytes(params: Params) -> int:
    """Bytes of a pixel in one channel block."""
    return int(params["lanes"]) * element_bytes(params)


def has_wide_sums(params: Params) -> bool:
    """Whether a variant's tile adds up in float64: its parameter ``sums`` is f64; it has none for float32."""
    return params.get("sums") == "f64"


def products_of(params: Params) -> str:
    """What a variant multiplies: its parameter ``products``, f32 where it has none. bf16: inputs and weights are
    rounded to bfloat16; bf16_weights: only weights are."""
    return str(params.get("products", "f32"))


def has_bfloat_products(params: Params) -> bool:
    """Whether a variant multiplies bfloat16; it copies its inputs to round them."""
    return products_of(params) == "bf16"


def copied_pixel_bytes(params: Params) -> int:
    """Bytes of a pixel in one channel block where the variant has copied it."""
    return pixel_bytes(params) // 2 if has_bfloat_products(params) else pixel_bytes(params)


def product_table_bytes(k: Dim) -> Dim:
    """Room for the table of one sum of ``k`` products."""
    return round_up(ceil_div(k, CHAIN) * ENTRY_BYTES, 64)
