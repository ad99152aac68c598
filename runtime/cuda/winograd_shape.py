"""Winograd's method in three launches: what their kernels, the planning of workspaces and the packing of weights share.

    V = B^T d B of every tile d of inputs        ``conv.f32.winograd.input``
    M[position] = U[position] V[position]        ``conv.f32.winograd.products``
    y = A^T M A, bias, residual, activation      ``conv.f32.winograd.output``

V is [position][channel][column]: a column is a tile of outputs of a plane (a map of one image and depth). Planes have
as many columns as tiles, rounded up to whole quads; what stands in columns beyond is never used. V has exact channels,
so that nothing of pad lanes gets there. M is [position][block of channels][column][8]. (Lavin and Gray, Fast Algorithms
for Convolutional Neural Networks, 2016.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div, round_up
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cpu.winograd_matrices import matrices
from cnnc.runtime.cuda.register_tile import DEPTH
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Params

QUAD_COLUMNS = 4
"""Columns that are copied together."""

SECTOR_FLOATS = 8
"""Floats of a sector of memory, with which every row of V begins."""


@dataclass(frozen=True, slots=True)
class WinogradShape:
    """F(rows x columns, window): outputs of a tile and the window, in height and width."""

    rows: int
    columns: int
    window_rows: int
    window_columns: int

    @property
    def input_rows(self) -> int:
        return self.rows + self.window_rows - 1

    @property
    def input_columns(self) -> int:
        return self.columns + self.window_columns - 1

    @property
    def positions(self) -> int:
        """Products of a tile and a channel."""
        return self.input_rows * self.input_columns

    @property
    def params(self) -> dict[str, int]:
        """Compile-time parameters of the kernels."""
        names = ("out_rows", "out_columns", "window_rows", "window_columns")
        return dict(zip(names, (self.rows, self.columns, self.window_rows, self.window_columns), strict=True))

    def tile_rows(self, height: Dim, dilation: Dim) -> Dim:
        """Tiles of a map below each other; with a dilation it is ``dilation`` maps, one in the other."""
        return dilation * ceil_div(height, dilation * self.rows)

    def tile_columns(self, width: Dim, dilation: Dim) -> Dim:
        """Tiles of a map beside each other."""
        return dilation * ceil_div(width, dilation * self.columns)

    def plane_columns(self, s: Mapping[str, Dim]) -> Dim:
        """Columns of a plane of ``OH`` x ``OW`` results."""
        return round_up(self.tile_rows(s["OH"], s["DH"]) * self.tile_columns(s["OW"], s["DW"]), QUAD_COLUMNS)


def shape_of(params: Params) -> WinogradShape:
    """The shape that a kernel's compile-time parameters name."""
    names = ("out_rows", "out_columns", "window_rows", "window_columns")
    rows, columns, window_rows, window_columns = (int(params[name]) for name in names)
    return WinogradShape(rows, columns, window_rows, window_columns)


def v_pitch(planes: Dim, plane_columns: Dim) -> Dim:
    """Floats from one channel of V to the next."""
    return round_up(planes * plane_columns, SECTOR_FLOATS)


def pack_winograd(weights: NDArray[Any], shape: WinogradShape, channels: int) -> NDArray[np.float32]:
    """Weights [OC, IC, KD, KH, KW] as U in the order of its use: [position][tile][KD][step][8][channels of a tile].

    ``channels``: output channels of a block tile. A step is 8 input channels; absent channels weigh 0. The transform
    G g G^T is computed in float64 and rounded once.
    """
    oc, ic, depth = weights.shape[:3]
    vertical = matrices(shape.rows, shape.window_rows).filters
    horizontal = matrices(shape.columns, shape.window_columns).filters
    tiles, steps = -(-oc // channels), -(-ic // DEPTH)
    taps = weights.astype(np.float64).reshape(oc, ic, depth, -1)
    padded = np.zeros((shape.positions, tiles * channels, steps * DEPTH, depth), np.float32)
    padded[:, :oc, :ic] = np.tensordot(np.kron(vertical, horizontal), taps, axes=(1, 3))
    ordered = padded.reshape(shape.positions, tiles, channels, steps, DEPTH, depth).transpose(0, 1, 5, 3, 4, 2)
    return np.ascontiguousarray(ordered)


def m_bytes(positions: int, y_blocks: Dim, columns: Dim) -> Dim:
    """Of M."""
    return positions * y_blocks * columns * (4 * LANES)


def v_bytes(positions: int, channels: Dim, planes: Dim, plane_columns: Dim) -> Dim:
    """Of V."""
    return positions * channels * v_pitch(planes, plane_columns) * 4
