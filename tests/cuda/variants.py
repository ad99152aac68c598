"""GPU kernels as networks use them: one or a few typical variants of each, with what they are designed to need.

``test_assembly.py`` compiles them all. A kernel that is added gets a row here.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.runtime.cuda.warp_tile import WarpTile, tile_params
from cnnc.runtime.kernel import Variant
from tests.cuda.byte_variants import BYTE_VARIANTS


@dataclass(frozen=True)
class Case:
    """A variant and its design.

    Attributes:
        occupancy: share of the threads which a multiprocessor of an A100 can hold that it holds, at least. Kernels
            that wait for memory need half of them or more; register tiles make do with an eighth.
        oldest: number of the oldest architecture that has its instructions.
    """

    variant: Variant
    occupancy: float
    oldest: int = 75

    def __str__(self) -> str:
        return str(self.variant)


def conv_plain_input(rows: int, threads: int, axes: int) -> Variant:
    """The convolution of a plain image with a square block of ``threads`` x ``threads`` threads."""
    tile = {"rows": rows, "columns": rows, "row_threads": threads, "column_threads": threads}
    return Variant.of("conv.f32.plain_input", axes=axes, activation="relu", residual=0, **tile)


def conv_implicit_gemm(rows: int, columns: int, threads: int, **options: int | str) -> Variant:
    """The implicit GEMM with a square block of ``threads`` x ``threads`` threads."""
    tile = {"rows": rows, "columns": columns, "row_threads": threads, "column_threads": threads}
    defaults = {"axes": 2, "tail": 0, "phased": 0, "partial": 0, "activation": "relu", "residual": 0}
    return Variant.of("conv.f32.implicit_gemm", **{**defaults, **tile, **options})


def conv_depthwise(window: int, stride: int) -> Variant:
    """The depthwise convolution of a square window, or of any (0)."""
    options = {"window": window, "window_columns": window, "stride": stride}
    return Variant.of("conv.f32.depthwise", rows=4, lanes=8, activation="relu", residual=0, **options)


def on_tensor_cores(
    kernel: str, shape: tuple[int, int, int, int, int], precision: str, **options: int | str
) -> Variant:
    """A kernel with a tile of warps."""
    return Variant.of(kernel, **tile_params(WarpTile(*shape, precision)), **options)


_TENSOR_CONV = {"axes": 2, "tail": 0, "partial": 0, "activation": "relu", "residual": 0}
_TENSOR_GEMM = {"quads": 1, "partial": 0, "activation": "none"}


def conv_winograd(launch: str, outputs: int = 4, **options: int | str) -> Variant:
    """A launch of Winograd's method for 3x3 windows."""
    shape = {"out_rows": outputs, "out_columns": outputs, "window_rows": 3, "window_columns": 3}
    return Variant.of(f"conv.f32.winograd.{launch}", **shape, **options)


def winograd_products(rows: int, columns: int, threads: int, depth: int, tail: int) -> Variant:
    """Its products with a square block of ``threads`` x ``threads`` threads."""
    tile = {"rows": rows, "columns": columns, "row_threads": threads, "column_threads": threads}
    return Variant.of("conv.f32.winograd.products", depth=depth, tail=tail, **tile)


def conv_sparse(share: int, vectors: int, warps: int, **options: int | str) -> Variant:
    """The convolution by lists."""
    tile = {"share": share, "vectors": vectors, "warps": warps, "lanes": 8}
    defaults = {"window": 1, "partial": 0, "activation": "relu", "residual": 1}
    return Variant.of("conv.f32.sparse", **{**defaults, **tile, **options})


def gemm_few_rows(rows: int, columns: int, **options: int | str) -> Variant:
    """The product of a few rows with constant weights."""
    defaults = {"parts": 2, "quads": 1, "partial": 0, "activation": "none"}
    return Variant.of("gemm.f32.few_rows", rows=rows, columns=columns, **{**defaults, **options})


def matmul(rows: int, threads: int, along_depth: int, **options: int | str) -> Variant:
    """The product of two matrices with a square block of ``threads`` x ``threads`` threads."""
    tile = {"rows": rows, "columns": rows, "row_threads": threads, "column_threads": threads}
    defaults = {"a_depth": along_depth, "b_depth": along_depth, "quads": 1, "activation": "none", "bias": 1}
    return Variant.of("matmul.f32", **{**defaults, **tile, **options})


def elementwise(chain: str, rank: int) -> Variant:
    """A chain of element-wise ops over so many axes."""
    return Variant.of("elementwise.chain", chain=chain, rank=rank)


def conv_grouped(quads: int) -> Variant:
    """The convolution of small groups, with inputs in quads or in any lanes."""
    return Variant.of("conv.f32.grouped", rows=4, quads=quads, lanes=8, activation="relu", residual=1)


CASES = (
    *(Case(variant, occupancy) for variant, occupancy in BYTE_VARIANTS),
    Case(Variant.of("arg_reduce", kind="max", last=0), 1 / 2),
    Case(conv_implicit_gemm(8, 8, 8), 1 / 8),
    Case(conv_implicit_gemm(8, 8, 16, tail=1, activation="none"), 1 / 8),
    Case(conv_implicit_gemm(8, 8, 16, axes=0), 1 / 8),
    Case(conv_implicit_gemm(8, 8, 8, partial=1, activation="none"), 1 / 8),
    Case(conv_implicit_gemm(4, 4, 8, axes=0, residual=1), 1 / 4),
    Case(conv_implicit_gemm(8, 8, 8, axes=3, phased=1), 1 / 8),
    Case(conv_plain_input(8, 8, 2), 1 / 8),
    Case(conv_plain_input(4, 8, 3), 1 / 4),
    Case(Variant.of("conv.f32.sum_splits", activation="relu", residual=1), 1 / 2),
    Case(conv_depthwise(3, 1), 1 / 4),
    Case(conv_depthwise(7, 2), 1 / 4),
    Case(conv_depthwise(0, 0), 1 / 4),
    Case(conv_grouped(0), 1 / 4),
    Case(conv_grouped(1), 1 / 4),
    Case(Variant.of("conv_transpose.f32.grouped", quads=1, lanes=8, activation="relu", residual=0), 1 / 4),
    Case(Variant.of("conv_transpose.f32.grouped", quads=0, lanes=8, activation="none", residual=0), 1 / 4),
    Case(on_tensor_cores("conv.mma.implicit_gemm", (64, 64, 2, 2, 2), "f16", **_TENSOR_CONV), 1 / 8),
    Case(on_tensor_cores("conv.mma.implicit_gemm", (64, 64, 2, 2, 2), "tf32", **_TENSOR_CONV), 1 / 8, 80),
    Case(on_tensor_cores("conv.mma.implicit_gemm", (32, 32, 2, 2, 4), "bf16", **_TENSOR_CONV), 1 / 8, 80),
    Case(on_tensor_cores("gemm.mma", (64, 64, 2, 2, 2), "f16", **_TENSOR_GEMM), 1 / 8),
    Case(on_tensor_cores("gemm.mma", (32, 32, 2, 2, 4), "tf32", **_TENSOR_GEMM), 1 / 8, 80),
    # The transforms of a tile hold it in registers, and so many loads are under way that few threads suffice.
    Case(conv_winograd("input"), 1 / 4),
    Case(conv_winograd("input", 2), 1 / 4),
    Case(conv_winograd("output", activation="relu", residual=1, lanes=8), 1 / 8),
    Case(conv_winograd("output", 2, activation="silu", residual=0, lanes=8), 1 / 4),
    Case(winograd_products(8, 8, 8, 0, 0), 1 / 8),
    Case(winograd_products(8, 8, 16, 1, 1), 1 / 8),
    Case(winograd_products(4, 4, 8, 0, 1), 3 / 8),
    Case(conv_sparse(1, 4, 8), 1 / 4),
    Case(conv_sparse(4, 4, 8, residual=0), 1 / 4),
    Case(conv_sparse(2, 2, 4, window=0, partial=1, activation="none", residual=0), 1 / 4),
    Case(conv_sparse(4, 1, 2), 1 / 4),
    Case(Variant.of("copy.fill", size=4), 1 / 2),
    Case(Variant.of("copy.strided", size=4), 1 / 2),
    Case(Variant.of("copy.strided", size=1), 1 / 2),
    Case(elementwise("f1 f1 > f: add 0 1; relu 2", 1), 1 / 2),
    Case(elementwise("f1 f1 f1 > f: fma 0 1 2; clip 3 @00000000 @40c00000", 3), 1 / 2),
    Case(elementwise("f1 f1 > f: swish 0 @3f800000; mul 2 1; gelu 3", 3), 1 / 2),
    Case(elementwise("b1 f* f0 > f: pow 1 2; where 0 3 #00000000", 6), 1 / 4),
    Case(Variant.of("gather", size=4), 1 / 2),
    Case(gemm_few_rows(1, 2), 1 / 2),
    Case(gemm_few_rows(8, 2, activation="relu"), 1 / 4),
    Case(gemm_few_rows(4, 1, quads=0, partial=1), 3 / 8),
    Case(Variant.of("gemm.f32.sparse", rows=1, group=1, activation="relu"), 1 / 2),
    Case(Variant.of("gemm.f32.sparse", rows=4, group=4, activation="none"), 1 / 2),
    Case(Variant.of("gemm.f32.sum_splits", activation="relu"), 1 / 2),
    Case(Variant.of("layout.blocked_lanes", lanes=8), 1 / 2),
    Case(Variant.of("layout.blocked_to_plain", lanes=8), 1 / 2),
    Case(Variant.of("layout.blocked_to_plain", lanes=8, size=1), 1 / 2),
    Case(Variant.of("layout.plain_to_blocked", lanes=8), 1 / 2),
    Case(Variant.of("layout.plain_to_blocked", lanes=8, size=1), 1 / 2),
    Case(Variant.of("lrn.blocked", lanes=8), 1 / 2),
    Case(Variant.of("lrn.plain"), 1 / 2),
    Case(matmul(8, 8, 1), 1 / 8),
    Case(matmul(8, 16, 0, quads=0), 1 / 8),
    Case(matmul(4, 8, 1), 1 / 4),
    Case(Variant.of("norm.group"), 1 / 2),
    Case(Variant.of("norm.instance_blocked", lanes=8), 1 / 2),
    Case(Variant.of("norm.layer", kind="layer"), 1 / 2),
    Case(Variant.of("pool.blocked", kind="average", lanes=8), 1 / 2),
    Case(Variant.of("pool.blocked", kind="max", lanes=8), 1 / 2),
    Case(Variant.of("pool.plain", kind="average"), 1 / 2),
    Case(Variant.of("pool.plain_indices"), 3 / 8),
    Case(Variant.of("reduce", kind="log_sum_exp"), 1 / 2),
    Case(Variant.of("resize.blocked", lanes=8), 1 / 2),
    Case(Variant.of("resize.plain"), 1 / 2),
    Case(Variant.of("resize.table"), 1 / 2),
    Case(Variant.of("softmax", log=1), 1 / 2),
)
