"""Emitted assembly of the register tiles: no spills, no more instructions or loads for a multiply-add than expected.

A case is a layer, which kernel takes it, and which tile; what the lowering makes of it is compiled for a fixed target,
whatever CPU the tests run on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
import pytest

from cnnc.compiler import optimise_graph
from cnnc.ir import Graph, Node, Notes
from cnnc.lower import ProgramBuilder, lower
from cnnc.lower.candidates import tiled_rules
from cnnc.lower.layer import layer_key, single_layer
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.selection import Candidate, LayerTiming, Selection
from cnnc.ops import OPS
from cnnc.ops.conv import ConvAttrs, ConvTransposeAttrs
from cnnc.ops.linear import GemmAttrs
from cnnc.ops.quantized import QuantizedConvAttrs
from cnnc.options import Options
from cnnc.runtime.jit.kernel_library import assembly
from cnnc.runtime.jit.listing import LoopFacts, densest_loop, hottest_block, hottest_loop
from cnnc.runtime.jit.target import x86_target
from cnnc.runtime.kernel import Target, Variant
from cnnc.types import DType, TensorType
from tests.perf.ledger import Facts, check

EXPECTED = Path(__file__).with_name("tiles.json")
LLVM = ".".join(map(str, llvmlite.binding.llvm_version_info[:2]))

DIRECT, POINTWISE = "conv.f32.blocked.direct", "conv.f32.blocked.pointwise"
WINDOW, IMAGE = "conv.f32.blocked.window", "conv.f32.blocked.plain_input"
WINOGRAD, IMAGE_WINOGRAD = "conv.f32.blocked.winograd", "conv.f32.blocked.plain_winograd"
BYTE_WINOGRAD = "conv.u8.blocked.winograd"
SPARSE, BYTE_SPARSE = "conv.f32.blocked.sparse", "conv.u8.blocked.sparse"
STRASSEN = "conv.f32.blocked.strassen"
BF16_DIRECT, BF16_POINTWISE = "conv.bf16.blocked.direct", "conv.bf16.blocked.pointwise"
GROUPED, DEPTHWISE = "conv.f32.blocked.grouped", "conv.f32.blocked.depthwise"


@dataclass(frozen=True)
class Case:
    """A layer (op, input, weights, attributes), the kernel for it, sizes of its tile, which code of it counts, and how
    many of its weights are not zero."""

    op: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    attrs: Any
    kernel: str
    tile: Mapping[str, int] = field(default_factory=dict)
    code: Callable[[str], LoopFacts] = hottest_loop
    density: float = 1.0


def conv(kernel: str, channels: int, out: int, size: int, window: int, stride: int = 1, **tile: int) -> Case:
    """A square convolution with padding that keeps the size."""
    group = {DEPTHWISE: channels, GROUPED: channels // 4}.get(kernel, 1)
    pads = (window // 2,) * 4
    attrs = ConvAttrs(pads=pads, strides=(stride, stride), group=group)
    return Case("conv", (1, channels, size, size), (out, channels // group, window, window), attrs, kernel, tile)


def quantized(kernel: str, channels: int, size: int, window: int, stride: int = 1, **tile: int) -> Case:
    """A square convolution of bytes, with as many output channels."""
    group = channels if kernel.endswith("depthwise") else 1
    attrs = QuantizedConvAttrs(pads=(window // 2,) * 4, strides=(stride, stride), group=group)
    w = (channels, channels // group, window, window)
    return Case("q_linear_conv", (1, channels, size, size), w, attrs, kernel, tile)


def pruned_gemm(kernel: str, rows: int, /, **tile: int) -> Case:
    """A product with a tenth of the weights."""
    return Case("gemm", (rows, 512), (512, 1000), GemmAttrs(), kernel, tile, densest_loop, density=0.1)


def _tile(rows: int, columns: int, blocks: int) -> dict[str, int]:
    return {"rows": rows, "columns": columns, "blocks": blocks}


DIRECT_TILES = [(1, 28, 1), (2, 14, 1), (4, 7, 1), (1, 14, 2), (1, 9, 3), (1, 7, 4), (1, 6, 4)]
POINTWISE_TILES = [(28, 1), (14, 2), (9, 3), (7, 4), (6, 4)]
CASES = {
    **{
        f"direct 3x3, tile {rows}x{columns}x{blocks}": conv(DIRECT, 192, 192, 56, 3, **_tile(rows, columns, blocks))
        for rows, columns, blocks in DIRECT_TILES
    },
    "direct 3x3 stride 2, tile 1x14x2": conv(DIRECT, 192, 192, 56, 3, 2, **_tile(1, 14, 2)),
    "direct 7x7 stride 2 of an image": conv(DIRECT, 3, 64, 224, 7, 2),
    "image 7x7 stride 2": replace(conv(IMAGE, 3, 64, 224, 7, 2), code=hottest_block),
    "image 7x7 stride 2, winograd in rows": replace(conv(IMAGE_WINOGRAD, 3, 64, 224, 7, 2), code=densest_loop),
    "window 3x3": conv(WINDOW, 192, 192, 56, 3),
    "window 3x3 stride 2": conv(WINDOW, 192, 192, 56, 3, 2),
    "window 3x3 of a small map": conv(WINDOW, 512, 512, 7, 3),
    "winograd 3x3, products": replace(conv(WINOGRAD, 192, 192, 56, 3), code=densest_loop),
    "winograd 3x3, transform": conv(WINOGRAD, 192, 192, 56, 3),
    "winograd 3x3 that transforms weights": replace(conv(WINOGRAD, 512, 512, 7, 3, taps=1), code=densest_loop),
    "winograd 3x3 of a small map, products": replace(conv(WINOGRAD, 512, 512, 14, 3), code=densest_loop),
    **{
        f"pointwise, tile {columns}x{blocks}": conv(POINTWISE, 192, 192, 56, 1, columns=columns, blocks=blocks)
        for columns, blocks in POINTWISE_TILES
    },
    "strassen": conv(STRASSEN, 512, 512, 14, 1),
    **{
        f"sparse, {vectors} vectors, lists of {share}": replace(
            conv(SPARSE, 192, 192, 56, 1, vectors=vectors, share=share), code=densest_loop, density=0.1
        )
        for vectors, share in ((4, 1), (8, 1), (6, 4))
    },
    "direct 3x3 stride 2 of bfloat16": conv(BF16_DIRECT, 192, 192, 56, 3, 2),
    **{
        f"pointwise of bfloat16, tile {columns}x{blocks}": conv(
            BF16_POINTWISE, 192, 192, 56, 1, columns=columns, blocks=blocks
        )
        for columns, blocks in POINTWISE_TILES
    },
    "grouped 3x3, 4 channels a group": conv(GROUPED, 128, 128, 56, 3),
    **{
        f"depthwise {window}x{window} stride {stride}": conv(DEPTHWISE, 96, 96, 56, window, stride)
        for window in (3, 5)
        for stride in (1, 2)
    },
    "transposed 2x2 stride 2": Case(
        "conv_transpose",
        (1, 64, 28, 28),
        (64, 64, 2, 2),
        ConvTransposeAttrs(strides=(2, 2)),
        "conv_transpose.f32.blocked",
    ),
    "direct 3x3 of bytes": quantized("conv.u8.blocked.direct", 192, 56, 3),
    "direct 3x3 of bytes, a small map": quantized("conv.u8.blocked.direct", 512, 7, 3),
    "winograd 3x3 of bytes, products": replace(quantized(BYTE_WINOGRAD, 192, 56, 3), code=densest_loop),
    "winograd 3x3 of bytes, a small map": replace(quantized(BYTE_WINOGRAD, 512, 14, 3), code=densest_loop),
    "image 7x7 stride 2 of bytes": replace(quantized("conv.u8.blocked.plain_input", 3, 224, 7, 2), w=(64, 3, 7, 7)),
    "pointwise of bytes": quantized("conv.u8.blocked.pointwise", 192, 56, 1),
    **{
        f"sparse of bytes, {vectors} vectors, lists of {share}": replace(
            quantized(BYTE_SPARSE, 192, 56, 1, vectors=vectors, share=share), code=densest_loop, density=0.1
        )
        for vectors, share in ((4, 1), (8, 1), (6, 4))
    },
    "depthwise 3x3 of bytes": quantized("conv.u8.blocked.depthwise", 96, 56, 3),
    "gemm of one row": Case("gemm", (1, 512), (512, 1000), GemmAttrs(), "gemm.f32"),
    "gemm of 8 rows": Case("gemm", (8, 512), (512, 1000), GemmAttrs(), "gemm.f32"),
    "gemm of one row, weights of bfloat16": Case("gemm", (1, 512), (512, 1000), GemmAttrs(), "gemm.bf16"),
    "gemm of one row, lists": pruned_gemm("gemm.f32.sparse_lists", 1),
    "gemm of one row, lists of four outputs": pruned_gemm("gemm.f32.sparse_lists", 1, group=4),
    "gemm of one row, masks": pruned_gemm("gemm.f32.sparse_masks", 1, rows=1, blocks=4),
    "gemm of 4 rows, masks": pruned_gemm("gemm.f32.sparse_masks", 4, rows=4, blocks=4),
    "gemm of 16 rows, lists": pruned_gemm("gemm.f32.sparse_rows", 16, vectors=1, share=1),
}


FURTHER = {
    name
    for tiles, names in (
        (DIRECT_TILES, "direct 3x3, tile {}x{}x{}"),
        (POINTWISE_TILES, "pointwise, tile {}x{}"),
        (POINTWISE_TILES, "pointwise of bfloat16, tile {}x{}"),
    )
    for name in [names.format(*tile) for tile in tiles[1:-1]]
}
"""Tiles between the widest and the narrowest of their kernel."""


def parameters() -> list[Any]:
    """All cases with all vectors; those with narrower ones, and further tiles of a kernel, in long runs."""
    return [
        pytest.param(name, level, marks=pytest.mark.slow if level == "avx2" or name in FURTHER else ())
        for name in CASES
        for level in ("avx512", "avx2")
    ]


@pytest.mark.jit
@pytest.mark.parametrize(("name", "level"), parameters())
def test_tile(name: str, level: str, request: pytest.FixtureRequest) -> None:
    recorded = f"{level}, LLVM {LLVM}: {name}"
    if level == "avx2" and (CASES[name].tile or "bf16" in CASES[name].kernel):
        pytest.skip("the tile is one of 16 lanes")
    if not request.config.getoption("--update-golden") and f"LLVM {LLVM}:" not in EXPECTED.read_text(encoding="utf-8"):
        pytest.skip(f"nothing is written down for LLVM {LLVM}, whose registers are allocated in another way")
    target = x86_target(level, _extensions(CASES[name]))
    [variant] = _variants(CASES[name], target)
    facts = dataclasses.asdict(CASES[name].code(assembly(variant, target)))
    assert facts["multiply_adds"] > 0
    check(EXPECTED, recorded, facts, worse_for_a_multiply_add, request)


def _extensions(case: Case) -> frozenset[str]:
    if case.op == "q_linear_conv":
        return frozenset({"avx512_vnni"})
    return frozenset({"avx512_bf16"} if "bf16" in case.kernel else ())


def worse_for_a_multiply_add(now: Facts, known: Facts) -> list[str]:
    """What there is more of for each multiply-add than expected; and fewer multiply-adds in the loop."""
    totals = [(facts, facts["multiply_adds"]) for facts in (now, known)]
    (_, mine), (_, theirs) = totals
    found = [
        f"{what} {known[what]} for {theirs} -> {now[what]} for {mine} multiply-adds"
        for what in ("instructions", "stack_moves", "loads")
        if now[what] * theirs > known[what] * mine
    ]
    reads = [facts["loads"] + facts["folded_loads"] for facts in (now, known)]
    if reads[0] * theirs > reads[1] * mine:
        found.append(f"memory operands {reads[1]} for {theirs} -> {reads[0]} for {mine} multiply-adds")
    if mine < theirs:
        found.append(f"multiply_adds {theirs} -> {mine} in the loop")
    return found


def test_what_counts_as_worse() -> None:
    known = {"instructions": 20, "multiply_adds": 14, "stack_moves": 0, "loads": 2, "folded_loads": 14}
    assert worse_for_a_multiply_add(known, known) == []
    twice = {name: 2 * value for name, value in known.items()}
    assert worse_for_a_multiply_add(twice, known) == []
    assert worse_for_a_multiply_add(known, twice) == ["multiply_adds 28 -> 14 in the loop"]
    assert worse_for_a_multiply_add({**known, "stack_moves": 1}, known) == [
        "stack_moves 0 for 14 -> 1 for 14 multiply-adds"
    ]
    assert worse_for_a_multiply_add({**known, "loads": 16, "folded_loads": 0}, known) == [
        "loads 2 for 14 -> 16 for 14 multiply-adds"
    ]


def _variants(case: Case, target: Target) -> list[Variant]:
    """The variants of the case's kernel in the program of its layer."""
    layer = single_layer(_placed(case, target))
    [node] = layer.nodes
    rule = tiled_rules(target)[case.kernel]
    numerics = Numerics(precision="bf16") if "bf16" in case.kernel else DEFAULT_NUMERICS
    builder = ProgramBuilder(layer, target, numerics)
    assert rule.supports(node, builder) is None
    [(_, tiling)] = rule.tilings(node, builder, 1)
    chosen = Candidate(rule.name, dataclasses.replace(tiling, **case.tile), 0.0)
    selection = Selection({layer_key(node, target): LayerTiming((chosen,), (0.0,), 0)})
    program = lower(layer, target, selection, numerics).program
    return [variant for variant in program.variants() if variant.kernel == case.kernel]


def _placed(case: Case, target: Target) -> Node:
    graph = _quantized_layer(case) if case.op == "q_linear_conv" else _float_layer(case)
    optimise_graph(graph, Options(), Notes(), target=target)
    [node] = [node for node in graph.nodes if node.op == case.op]
    return node


def _quantized_layer(case: Case) -> Graph:
    graph = Graph(OPS)
    constants: dict[str, Any] = {"x scale": np.float32(0.1), "x zero": np.uint8(0)}
    weights = (np.random.default_rng(0).random(case.w) < case.density).astype(np.int8)
    constants |= {"w": weights, "w scale": np.float32(0.1), "w zero": np.int8(0)}
    constants |= {"y scale": np.float32(0.1), "y zero": np.uint8(0)}
    x = graph.add_input("x", TensorType(case.x, DType.U8))
    operands = [x, *(graph.add_constant(np.asarray(array), name) for name, array in constants.items())]
    graph.set_outputs([graph.add_node(case.op, operands, case.attrs, names=("y",)).output], ["y"])
    return graph


def _float_layer(case: Case) -> Graph:
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType(case.x, DType.F32))
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(case.w).astype(np.float32)
    w = graph.add_constant(weights if case.density == 1 else weights * (rng.random(case.w) < case.density), "w")
    graph.set_outputs([graph.add_node(case.op, [x, w], case.attrs, names=("y",)).output], ["y"])
    return graph
