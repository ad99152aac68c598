"""Emits the input transform of ``conv.f32.blocked.plain_winograd``: vectors over the tiles of a row."""

from __future__ import annotations

from llvmlite import ir

from cnnc.runtime.cpu.vector import VectorBuilder
from cnnc.runtime.cpu.winograd_matrices import matrices
from cnnc.runtime.cpu.winograd_transform import emit_product

COLUMN_ARGS = (
    "planes",  # address of the tiles' columns in plane 0
    "plane_bytes",  # bytes between planes
    "v",  # address of the tiles' floats at the first position and phase
    "v_phase",  # bytes between phases
    "v_position",  # bytes between positions
)


def emit_column_transform(b: VectorBuilder, outputs: int, taps: int, stride: int, *values: ir.Value) -> None:
    """V = B^T d of F(outputs, taps), of every phase of as many tiles as a vector has lanes.

    Column c of tile t lies in plane c mod (outputs * stride), c div (outputs * stride) floats behind the t-th.
    """
    a = dict(zip(COLUMN_ARGS, values))
    inputs, step = matrices(outputs, taps).inputs, outputs * stride
    for phase in range(stride):
        columns = [phase + stride * tap for tap in range(len(inputs))]
        loaded = [
            b.load(b.ir.add(a["planes"], b.ir.mul(a["plane_bytes"], b.index(column % step))), column // step * 4)
            for column in columns
        ]
        place = b.ir.add(a["v"], b.ir.mul(a["v_phase"], b.index(phase)))
        for value in emit_product(b, inputs, loaded):
            b.store(value, place, aligned=True)
            place = b.ir.add(place, a["v_position"])
