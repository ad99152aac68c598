"""Convolutions of blocked maps of known size: read in place, without the products of the padding."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    constant_array,
    conv_attrs,
    conv_shapes,
    dense_refusal,
    depthwise_refusal,
    epilogue_params,
    input_lanes,
    packed_operands,
    small_groups_refusal,
    window_sizes,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import typical
from cnnc.runtime.cpu.conv_grouped import pack_grouped
from cnnc.runtime.cpu.conv_packing import PackedWeights, pack_two_groups, pack_weights
from cnnc.runtime.cpu.conv_tiling import ConvTiling
from cnnc.runtime.cpu.window_parts import Axis, format_ranges, part_ranges
from cnnc.runtime.cpu.window_tiling import WindowLayer, rank_window_tilings
from cnnc.runtime.kernel import Variant

_MOST_STRIDE = 4
_WIDEST = 16  # lanes of vectors whose halves are vectors too
_HALF_GAIN = 0.7  # half vectors take twice as many loads and stores
_CHEAP_PERMUTATIONS = 4  # inputs of a group, which lie in one quarter of a vector


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if depthwise_refusal(node, builder) is None:
        return "it is one filter a channel"
    reason = dense_refusal(node)
    if reason is not None:
        return reason
    if not node.input(0).type.layout.is_blocked:
        return "its input is in plain layout"
    if builder.numerics.wide_sums:
        return "its sums are float64"
    shapes = conv_shapes(node)
    if shapes.is_pointwise and _vector(node) == shapes.lanes and not _has_two_groups(node):
        return "its window is one pixel, at every pixel"
    if not all(isinstance(size, int) for size in (*shapes.source, *shapes.result, *shapes.begins)):
        return "the size of its map is not known"
    if shapes.strides[2] > _MOST_STRIDE:
        return f"its horizontal stride is above {_MOST_STRIDE}"
    if _is_permuted(node) and any(first % shapes.lanes for first in _first_lanes(node, shapes.lanes)):
        return "the groups of a block do not begin at its first lane"
    return None


def _is_permuted(node: Node) -> bool:
    """Whether output lanes read their groups by permutations of one vector.

    They cost as much as products; half vectors need none for groups of eight outputs.
    """
    return small_groups_refusal(node) is None and _vector(node) == conv_shapes(node).lanes


def _vector(node: Node) -> int:
    """Lanes of a tile's vector: half a block where fewer products with zeros then cost less.

    A vector whose outputs are of several groups reads the inputs of all of them.
    """
    lanes = conv_shapes(node).lanes
    half = lanes // 2
    inputs, outputs = _group(node)
    if lanes != _WIDEST or conv_attrs(node).group == 1:
        return lanes
    if small_groups_refusal(node) is None:
        return half if outputs == half and inputs > _CHEAP_PERMUTATIONS else lanes
    return half if _products(node, half) * half < _HALF_GAIN * _products(node, lanes) * lanes else lanes


def _products(node: Node, vector: int) -> int:
    """Input channels that the vectors of outputs read, over all of them."""
    return sum(_groups_read(node, vector)) * _group(node)[0]


def _groups_read(node: Node, vector: int) -> list[int]:
    """How many groups each vector of outputs is of."""
    channels = node.output.type.shape[1]
    assert isinstance(channels, int)
    _, outputs = _group(node)
    firsts = range(0, channels, vector)
    return [(min(first + vector, channels) - 1) // outputs - first // outputs + 1 for first in firsts]


def _has_two_groups(node: Node) -> bool:
    """Whether some vectors of outputs are of two groups, and none of more."""
    lanes = conv_shapes(node).lanes
    if conv_attrs(node).group == 1 or _is_permuted(node) or _vector(node) != lanes:
        return False
    return max(_groups_read(node, lanes)) == 2


def _group(node: Node) -> tuple[int, int]:
    """(inputs, outputs) of a group."""
    weights = constant_array(node, 1)
    assert weights is not None
    return weights.shape[1], weights.shape[0] // conv_attrs(node).group


def _first_lanes(node: Node, lanes: int) -> Sequence[int]:
    """The first input lane that each block of outputs reads, for groups smaller than a block."""
    inputs, outputs = _group(node)
    lane_of = input_lanes(node)
    assert lane_of is not None
    return [lane_of[group * inputs] for group in range(0, conv_attrs(node).group, lanes // outputs)]


def conv_axes(node: Node) -> tuple[Axis, Axis, Axis]:
    """Depth, height and width of a convolution of known size."""
    shapes = conv_shapes(node)
    depth, height, width = (
        Axis(*(int(size) for size in sizes))
        for sizes in zip(
            shapes.source, shapes.result, shapes.kernel, shapes.strides, shapes.dilations, shapes.begins, strict=True
        )
    )
    return depth, height, width


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = conv_shapes(node)
    vector = _vector(node)
    vectors = _tile_count(node, vector, 1)
    layer = WindowLayer(
        conv_axes(node),
        typical(node.output.type.shape[0], 1),
        _products(node, vector) / vectors,
        vectors,
        shapes.lanes,
        vector if vector < shapes.lanes else 0,
        _group(node) if _is_permuted(node) else None,
        _has_two_groups(node),
    )
    return rank_window_tilings(layer, count)


def _tile_count(node: Node, vector: int, blocks: int) -> int:
    channels = node.output.type.shape[1]
    assert isinstance(channels, int)
    return -(-channels // (vector * blocks))


def _emit(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    shapes = conv_shapes(node)
    _, height, width = conv_axes(node)
    params: dict[str, int | str] = {
        "rows": tiling.rows,
        "columns": tiling.columns,
        "blocks": tiling.blocks,
        "stride": shapes.strides[2],
        "row_parts": format_ranges(part_ranges(height, tiling.rows)),
        "column_parts": format_ranges(part_ranges(width, tiling.columns)),
        "lanes": shapes.lanes,
        **epilogue_params(node),
    }
    if _is_permuted(node):
        params["group_inputs"], params["group_outputs"] = _group(node)
    if _has_two_groups(node):
        params["two_groups"] = 1
    vector = _vector(node)
    if vector < shapes.lanes:
        params["vector"] = vector
    buffers, sizes = packed_operands(node, builder, shapes, _packed(node, vector, tiling.blocks))
    sizes |= window_sizes(shapes) | {"tile_count": _tile_count(node, vector, tiling.blocks)}
    sizes |= {"row_tiles": tiling.row_tiles, "oc_tiles": tiling.oc_tiles}
    variant = Variant.of("conv.f32.blocked.window", **params)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _packed(node: Node, vector: int, blocks: int) -> PackedWeights:
    weights, groups = constant_array(node, 1), conv_attrs(node).group
    assert weights is not None
    if _is_permuted(node):
        return pack_grouped(weights, vector, groups, input_lanes(node))
    lane_of = input_lanes(node)
    if _has_two_groups(node):
        assert lane_of is not None
        return pack_two_groups(weights, vector, groups, lane_of, vector)
    return pack_weights(weights, vector, blocks, groups, lane_of, conv_shapes(node).lanes)


RULES = {"conv": (TiledRule("conv.f32.blocked.window", ConvTiling, _refusal, _tilings, _emit),)}
