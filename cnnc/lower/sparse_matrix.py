"""Matrix products with constant weights that are mostly zeros, by lists or by masks; of floats here.

Both compete with the dense kernels by cost, of which reading the weights is the most where there is one row: what is
not stored is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cost import cost_with_weights
from cnnc.lower.matrix_operands import constant_bias, constant_refusal, constant_weights, describe, rows_of
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cpu.gemm_sparse_packing import (
    LIST_SUMS,
    MASK_LANES,
    MOST_PANEL,
    MOST_POSITIONS,
    choose_panel,
    kept_positions,
    pack_lists,
    pack_masks,
)
from cnnc.runtime.cpu.gemm_sparse_tiling import (
    BLOCKS,
    GROUPS,
    Estimate,
    ListsTiling,
    MasksTiling,
    SparseMatrix,
    lists_tilings,
    masks_tilings,
)
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call

MOST_DENSE = 0.7
"""Share of non-zero words from which dense kernels are faster on any CPU; positions need not be counted."""

T = TypeVar("T", ListsTiling, MasksTiling)


@dataclass(frozen=True, slots=True)
class SparseOperands:
    """What both kernels take beside the packed weights: buffers, sizes, parameters, and calls that come before."""

    buffers: Mapping[str, BufferArg | int]
    sizes: Mapping[str, Dim]
    params: Mapping[str, int | str]
    before: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class SparseProducts:
    """Products of floats or of bytes.

    Attributes:
        dense: name of the dense kernel; those of the sparse ones begin with it.
        refusal: why byte or float products cannot be computed, whatever the zeros.
        words: the weights [K, N], float32 or words of four int8.
        rows: rows of the first operand.
        operands: given the node and the builder.
    """

    dense: str
    refusal: Callable[[Node, ProgramBuilder], str | None]
    words: Callable[[Node, ProgramBuilder], Array]
    rows: Callable[[Node], Dim]
    operands: Callable[[Node, ProgramBuilder], SparseOperands]

    def lists(self) -> TiledRule[ListsTiling]:
        """The rule of products by lists."""
        return TiledRule(
            f"{self.dense}.sparse_lists",
            ListsTiling,
            self.sparse_refusal,
            lambda node, builder, count: self._ranked(node, builder, count, lists_tilings),
            self._emit_lists,
            reads_weights=True,
        )

    def masks(self) -> TiledRule[MasksTiling]:
        """The rule of products by masks."""
        return TiledRule(
            f"{self.dense}.sparse_masks",
            MasksTiling,
            self._masks_refusal,
            lambda node, builder, count: self._ranked(node, builder, count, masks_tilings),
            self._emit_masks,
            reads_weights=True,
        )

    def sparse_refusal(self, node: Node, builder: ProgramBuilder) -> str | None:
        """Why no sparse kernel is worth it or can compute the product."""
        reason = self.refusal(node, builder)
        if reason is not None:
            return reason
        words = self.words(node, builder)
        density = np.count_nonzero(words) / max(1, words.size)
        if density > MOST_DENSE:
            what = "weights" if words.dtype == np.float32 else "groups of four weights"
            return f"{density:.0%} of its {what} are not zero"
        return None

    def _masks_refusal(self, node: Node, builder: ProgramBuilder) -> str | None:
        if builder.target.lanes != MASK_LANES:
            return "the CPU has no instruction that spreads weights over the lanes of a mask (AVX-512)"
        reason = self.sparse_refusal(node, builder)
        if reason is None and self.words(node, builder).shape[0] > MOST_POSITIONS:
            return f"its inner size is beyond {MOST_POSITIONS} words, which 16 bits count"
        return reason

    def _ranked(
        self,
        node: Node,
        builder: ProgramBuilder,
        count: int,
        tilings: Callable[[SparseMatrix], list[tuple[Estimate, T]]],
    ) -> Sequence[tuple[float, T]]:
        ranked = [
            (cost_with_weights(estimate.cost, estimate.weight_bytes, builder), tiling)
            for estimate, tiling in tilings(self._facts(node, builder))
        ]
        return sorted(ranked, key=lambda item: item[0])[:count]

    def _facts(self, node: Node, builder: ProgramBuilder) -> SparseMatrix:
        lanes: int = builder.target.lanes

        def count() -> SparseMatrix:
            words = self.words(node, builder)
            kept = kept_positions(words, sorted({*GROUPS, *(blocks * lanes for blocks in BLOCKS)}))
            depth, columns = words.shape
            return SparseMatrix(typical(self.rows(node), 1), depth, columns, lanes, kept[0][1], kept)

        return builder.once(("kept", node), count)

    def _emit_lists(self, node: Node, builder: ProgramBuilder, tiling: ListsTiling) -> None:
        words, lanes = self.words(node, builder), builder.target.lanes
        panel = choose_panel(words, tiling.group, LIST_SUMS[tiling.group], MOST_PANEL)
        packed = pack_lists(words, lanes, tiling.group, panel)
        arrays: dict[str, Array] = {"starts": packed.starts, "counts": packed.counts}
        arrays |= {"positions": packed.positions, "words": packed.words}
        sizes: dict[str, Dim] = {"entries": packed.positions.size, "panel": panel, "n_tiles": tiling.n_tiles}
        self.emit_call(node, builder, f"{self.dense}.sparse_lists", arrays, sizes, {"group": tiling.group})

    def _emit_masks(self, node: Node, builder: ProgramBuilder, tiling: MasksTiling) -> None:
        packed = pack_masks(self.words(node, builder), builder.target.lanes, tiling.blocks)
        arrays: dict[str, Array] = {"starts": packed.starts, "positions": packed.positions}
        arrays |= {"masks": packed.masks, "words": packed.words}
        sizes: dict[str, Dim] = {"steps": packed.positions.size, "entries": packed.words.size}
        sizes |= {"m_tiles": tiling.m_tiles, "n_tiles": tiling.n_tiles}
        params = {"rows": tiling.rows, "blocks": tiling.blocks}
        self.emit_call(node, builder, f"{self.dense}.sparse_masks", arrays, sizes, params)

    def emit_call(
        self,
        node: Node,
        builder: ProgramBuilder,
        kernel: str,
        arrays: Mapping[str, Array],
        sizes: Mapping[str, Dim],
        params: Mapping[str, Any],
    ) -> None:
        """The step of ``kernel``; ``arrays``, ``sizes`` and ``params`` are what the packed weights give."""
        operands = self.operands(node, builder)
        depth, columns = self.words(node, builder).shape
        buffers = dict(operands.buffers)
        for name, array in arrays.items():
            buffers[name] = BufferArg(builder.constant(array, f"{node.name}.{name}"))
        buffers["y"] = builder.result(node.output)
        common: dict[str, Dim] = {"M": self.rows(node), "N": columns, "K": depth, "y_row": columns}
        variant = Variant.of(kernel, lanes=builder.target.lanes, **params, **operands.params)
        call = builder.call(variant, buffers, {**common, **operands.sizes, **sizes})
        builder.kernel_step(node, [*operands.before, call])


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = constant_refusal(node, builder)
    if reason is not None:
        return reason
    if builder.numerics.wide_sums:
        return "its sums are float64 at this level"
    return None if describe(node).a.column == 1 else "its first operand is transposed"


def _words(node: Node, builder: ProgramBuilder) -> Array:
    weights, scale = constant_weights(node), describe(node).scale
    return weights if scale == 1 else np.multiply(weights, np.float32(scale), dtype=np.float32)


def _operands(node: Node, builder: ProgramBuilder) -> SparseOperands:
    described = describe(node)
    bias = BufferArg(builder.constant(constant_bias(node), f"{node.name}.bias"))
    return SparseOperands(
        {"a": builder.argument(node.input(0)), "bias": bias, "slopes": 0},
        {"a_row": described.a.row, **activation_bits(described.activation)},
        {"activation": described.activation.kind},
    )


FLOATS = SparseProducts("gemm.f32", _refusal, _words, rows_of, _operands)
_RULES = (FLOATS.lists(), FLOATS.masks())

RULES = {"gemm": _RULES, "matmul": _RULES}
