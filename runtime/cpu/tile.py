"""The register tile that convolutions and matrix products share.

A tile holds ``rows`` x ``columns`` output pixels times ``blocks`` vectors of output channels. It sums over a *table* of
entries (input offset, weight offset, count), each standing for ``count`` consecutive input channels seen through one
window tap. Window size, stride, dilation, depth, channel groups and padding all live in the table and in the input's
arrangement; the tile knows none of them.

Sums have two levels, for their accuracy: a chain of K multiply-adds has a rounding error that grows with sqrt(K), so
after at most ``CHAIN`` products the partial sums are added to a second level, which lies on the stack (Higham, Accuracy
and Stability of Numerical Algorithms, section 4.2: blocked summation). Sums of up to ``CHAIN`` products never touch it.

*Wide* tiles add up in float64, where products of float32 are exact, and round once behind the bias. Tiles of *bytes*
add up in int32, exactly, four input channels a step (``tile_arithmetic``), start from the bias, and end with a
requantization (``byte_epilogue``). Tiles of *bfloat16* take two input channels a step; their sums have one level, as
the factors are rounded far more than the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.byte_epilogue import PIXELS, ByteOutput
from cnnc.runtime.cpu.epilogue import Activation, emit_output
from cnnc.runtime.cpu.requantization import Requantization
from cnnc.runtime.cpu.tile_arithmetic import Arithmetic, FloatArithmetic, arithmetic
from cnnc.runtime.cpu.tile_table import CHAIN, ENTRY_BYTES, LINE_BYTES
from cnnc.runtime.cpu.vector import I1, VectorBuilder, intrinsic
from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class Tile:
    """``pixel_bytes`` lie between the inputs of neighbouring columns.

    ``activation`` and ``residual`` name the epilogue. With ``masked`` only ``lanes`` output lanes exist: no
    bias, slope, residual or output is touched beyond. With ``clamped`` no input row beyond ``rows_valid`` is read.
    With ``raw`` there is no epilogue: the sums of all pixels are stored as they are.

    ``group`` is (inputs, outputs) of the channel groups of a tile of one block that holds several. An entry's input is
    then one vector a pixel, in which the inputs of the groups follow each other; every output lane reads its group's.

    ``element``: the type of the inputs: f32, or u8 or i8 for tiles of bytes, whose ``activation`` is ``requantize``.
    Their columns, if there are several, lie one after the other in y. ``products`` is bf16 where inputs and weights
    have been rounded to it, bf16_weights where only weights have; the results are of ``element``. Raw
    tiles also take i16, which Winograd's method makes of bytes.

    ``wide``: sums are float64, two registers each. ``half``: the last block is half a vector of output channels, packed
    without room for the other half, which is neither read nor written. ``ahead``: with every step a cache line is asked
    for, one after the other from the address ``ahead`` on: the weights of the next tile.
    """

    rows: int
    columns: int
    blocks: int
    pixel_bytes: int
    activation: str
    residual: bool
    masked: bool = False
    clamped: bool = False
    group: tuple[int, int] | None = None
    wide: bool = False
    half: bool = False
    ahead: bool = False
    raw: bool = False
    element: str = "f32"
    products: str = "f32"

    @property
    def arithmetic(self) -> Arithmetic:
        return arithmetic(self.element, self.wide, self.products)

    @property
    def is_of_bytes(self) -> bool:
        return self.element != "f32"

    @property
    def has_two_levels(self) -> bool:
        """Whether long sums are added up in two levels."""
        return not (self.wide or self.is_of_bytes) and self.products == "f32"


_PREFETCH_BYTES = 2048
"""How far ahead weights are asked for: they are read in order, and come from memory once an inference. Two cores of an
AMD EPYC (Zen 4, AVX-512): ResNet-50 takes 1.055 times as long without, its 1x1 layers on 7x7 maps 1.3 times; 1024 and
4096 do as well as 2048."""
_FAR_PREFETCH_BYTES = 8192
"""The same for Winograd's products, into the second-level cache: their weights are up to four times as many bytes for
each multiply-add. 256 to 256 channels at 14x14: 0.80 ms, 0.89 with the former, 1.2 without."""
_PREFETCH_PIXELS = 4  # tiles of fewer wait for memory anyway

Sums = dict[tuple[tuple[int, int], int], ir.Value]
"""((row, column), block) -> variable of a vector."""

Part = tuple[tuple[int, int], tuple[int, int]]
"""The pixels of a tile in these rows and columns, both as (first, stop)."""

TILE_ARGS = (
    "x",  # address of the tile's first input pixel
    "x_row",  # bytes between input rows of the tile
    "x_lane",  # bytes between the steps of an entry
    "weights",  # address of the packed weights of the blocks
    "table",  # address of the entries
    "entries",  # number of entries
    "bias",  # address of blocks * lanes floats, or int32 for bytes
    "slopes",  # address of blocks * lanes floats: slopes of prelu, or what requantization multiplies by
    "residual",  # address that matches y
    "y",  # address of the tile's first output pixel
    "y_pixel",  # bytes between columns
    "y_row",  # bytes between rows
    "y_block",  # bytes between blocks of output channels
    "columns_valid",  # pixels to store
    "rows_valid",
    "lanes",  # output lanes left, for masked tiles
    "alpha",  # activation parameters, float bits; see ``Requantization`` for those of bytes
    "beta",
)


AHEAD_ARGS = (*TILE_ARGS, "ahead")
"""The arguments of tiles with ``ahead``."""


def emit_tile(b: VectorBuilder, tile: Tile, *values: ir.Value) -> None:
    """Sum over the table, then bias, residual, activation and store. ``values`` follow ``TILE_ARGS``."""
    a = dict(zip(AHEAD_ARGS, values))
    if tile.ahead:
        a["ahead"] = b.variable(a["ahead"])
    sums = first_sums(b, tile, a)
    levels = TwoLevels(b, tile, sums) if tile.has_two_levels else None
    whole = (0, tile.rows), (0, tile.columns)
    with b.loop(a["entries"]) as entry:
        place = b.ir.add(a["table"], b.ir.mul(entry, b.index(ENTRY_BYTES)))
        x = b.ir.add(a["x"], b.load_index(place))
        weights = b.ir.add(a["weights"], b.load_index(place, 8))
        count = b.load_index(place, 16)
        if levels is not None:
            levels.make_room(count)
        if tile.group is not None:
            add_groups(b, tile, tile.group, a, sums, x, weights, whole)
        else:
            add_channels(b, tile, a, sums, x, weights, count, whole)
    if levels is not None:
        levels.join()
    if tile.raw:
        store_sums(b, a, sums)
    else:
        emit_results(b, tile, a, sums)


def first_sums(b: VectorBuilder, tile: Tile, a: Mapping[str, ir.Value]) -> Sums:
    """What sums start from, ``a`` being the arguments of a tile by name: the bias for bytes that end in y, else 0."""
    return _byte_biases(b, tile, a) if tile.is_of_bytes and not tile.raw else empty_sums(b, tile)


def empty_sums(b: VectorBuilder, tile: Tile) -> Sums:
    """A variable for every pixel and block, zero."""
    pixels = [(row, column) for row in range(tile.rows) for column in range(tile.columns)]
    zeros = [tile.arithmetic.zero(width) for width in _widths(b, tile)]
    return {(pixel, block): b.variable(zero) for pixel in pixels for block, zero in enumerate(zeros)}


def store_sums(b: VectorBuilder, a: Mapping[str, ir.Value], sums: Sums) -> None:
    """Store the sums of all pixels; ``a`` are arguments of a tile by name."""
    for ((row, column), block), total in sums.items():
        offset = b.ir.add(b.ir.mul(a["y_row"], b.index(row)), b.ir.mul(a["y_pixel"], b.index(column)))
        b.store(b.get(total), a["y"], b.ir.add(offset, b.ir.mul(a["y_block"], b.index(block))))


def emit_results(b: VectorBuilder, tile: Tile, a: Mapping[str, ir.Value], sums: Sums) -> None:
    """Bias, residual, activation and store of the valid pixels; ``a`` are arguments of a tile by name."""
    if tile.is_of_bytes:
        _emit_byte_results(b, tile, a, sums)
        return
    emit = _float_epilogue(tile, a, _widths(b, tile), _masks(b, tile, a))
    for row in range(tile.rows):
        with b.when(b.ir.icmp_signed("<", b.index(row), a["rows_valid"])):
            for column in range(tile.columns):
                with b.when(b.ir.icmp_signed("<", b.index(column), a["columns_valid"])):
                    offset = b.ir.add(b.ir.mul(a["y_row"], b.index(row)), b.ir.mul(a["y_pixel"], b.index(column)))
                    for block in range(tile.blocks):
                        place = b.ir.add(offset, b.ir.mul(a["y_block"], b.index(block)))
                        emit(block, b.get(sums[(row, column), block]), place)


_Epilogue = Callable[[int, ir.Value, ir.Value], None]
"""(block, sums, offset into y): finishes a vector of sums and stores it."""


def _float_epilogue(
    tile: Tile, a: Mapping[str, ir.Value], widths: Sequence[VectorBuilder], masks: Sequence[ir.Value | None]
) -> _Epilogue:
    alphas = [width.float_bits(a["alpha"]) for width in widths]
    betas = [width.float_bits(a["beta"]) for width in widths]
    vector_bytes = widths[0].target.vector_bytes
    bias = [_load(widths[block], a["bias"], mask, block * vector_bytes) for block, mask in enumerate(masks)]
    slopes: list[ir.Value | None] = [None] * tile.blocks
    if tile.activation == "prelu":
        slopes = [_load(widths[block], a["slopes"], mask, block * vector_bytes) for block, mask in enumerate(masks)]
    residual = a["residual"] if tile.residual else None

    def emit(block: int, total: ir.Value, place: ir.Value) -> None:
        activation = Activation(tile.activation, alphas[block], betas[block], slopes[block])
        total = _with_bias(widths[block], total, bias[block])
        emit_output(widths[block], activation, total, a["y"], residual, place, masks[block])

    return emit


def _byte_biases(b: VectorBuilder, tile: Tile, a: Mapping[str, ir.Value]) -> Sums:
    """The sums that tiles of bytes start from."""
    vector_bytes, masks = b.target.vector_bytes, _masks(b, tile, a)
    biases = [
        width.bits(_load(width, a["bias"], masks[block], block * vector_bytes))
        for block, width in enumerate(_widths(b, tile))
    ]
    pixels = [(row, column) for row in range(tile.rows) for column in range(tile.columns)]
    return {(pixel, block): b.variable(bias) for pixel in pixels for block, bias in enumerate(biases)}


def _emit_byte_results(b: VectorBuilder, tile: Tile, a: Mapping[str, ir.Value], sums: Sums) -> None:
    """As ``emit_results``, of sums that hold the bias; neighbouring pixels are stored together."""
    widths, masks = _widths(b, tile), _masks(b, tile, a)
    outputs = []
    for block, (width, mask) in enumerate(zip(widths, masks)):
        factors = _load(width, a["slopes"], mask, block * b.target.vector_bytes)
        outputs.append(ByteOutput(width, factors, Requantization(width, a["alpha"], a["beta"]), mask))

    def place(row: int, column: int, block: int) -> ir.Value:
        offset = b.ir.add(b.ir.mul(a["y_row"], b.index(row)), b.ir.mul(a["y_pixel"], b.index(column)))
        return b.ir.add(offset, b.ir.mul(a["y_block"], b.index(block)))

    def store_each(row: int, columns: Sequence[int]) -> None:
        for column in columns:
            with b.when(b.ir.icmp_signed("<", b.index(column), a["columns_valid"])):
                for block, output in enumerate(outputs):
                    output.store(b.get(sums[(row, column), block]), a["y"], place(row, column, block))

    def store_together(row: int, columns: Sequence[int]) -> None:
        for block, output in enumerate(outputs):
            totals = [b.get(sums[(row, column), block]) for column in columns]
            if output.b.lanes == b.lanes:
                output.store_pixels(totals, a["y"], place(row, columns[0], block))
            else:
                for column, total in zip(columns, totals):
                    output.store(total, a["y"], place(row, column, block))

    for row in range(tile.rows):
        with b.when(b.ir.icmp_signed("<", b.index(row), a["rows_valid"])):
            for first in range(0, tile.columns, PIXELS):
                columns = range(first, min(first + PIXELS, tile.columns))
                if len(columns) == 1 or tile.masked:
                    store_each(row, columns)
                    continue
                all_valid = b.ir.icmp_signed("<", b.index(columns[-1]), a["columns_valid"])
                with b.choose(all_valid) as (whole, part):
                    with whole:
                        store_together(row, columns)
                    with part:
                        store_each(row, columns)


def _masks(b: VectorBuilder, tile: Tile, a: Mapping[str, ir.Value]) -> list[ir.Value | None]:
    """The output lanes that exist, of each block; None: all of them."""
    if not tile.masked:
        return [None] * tile.blocks
    return [b.tail_mask(b.ir.sub(a["lanes"], b.index(block * b.lanes))) for block in range(tile.blocks)]


def _widths(b: VectorBuilder, tile: Tile) -> list[VectorBuilder]:
    """The builder of each block's vectors."""
    return [b] * (tile.blocks - 1) + [b.halved() if tile.half else b]


def add_channels(
    b: VectorBuilder,
    tile: Tile,
    a: Mapping[str, ir.Value],
    sums: Sums,
    first_x: ir.Value,
    first_weights: ir.Value,
    count: ir.Value,
    part: Part,
) -> None:
    """Add the products of ``count`` steps, whose inputs are broadcast to all output lanes, to the sums of a part."""
    rows, columns = range(*part[0]), range(*part[1])
    vector_bytes = b.target.vector_bytes
    widths, step = _widths(b, tile), tile.arithmetic
    step_bytes = sum(width.target.vector_bytes for width in widths)
    row_offsets = _clamped_offsets(b, tile, a) if tile.clamped else []
    x, weights = b.variable(first_x), b.variable(first_weights)
    with b.loop(count):
        row_weights = [step.weights(width, b.get(weights), block * vector_bytes) for block, width in enumerate(widths)]
        if tile.ahead:
            b.prefetch(b.get(a["ahead"]), near=False)
            b.set(a["ahead"], b.ir.add(b.get(a["ahead"]), b.index(LINE_BYTES)))
        if tile.rows * tile.columns >= _PREFETCH_PIXELS:
            distance = _FAR_PREFETCH_BYTES if tile.raw else _PREFETCH_BYTES
            for block in range(tile.blocks):
                b.prefetch(b.get(weights), distance + block * vector_bytes, near=not tile.raw)
        row_base = _first_row(b, b.get(x), a["x_row"], rows)
        for row in rows:
            if tile.clamped:
                row_base = b.ir.add(b.get(x), row_offsets[row])
            for column in columns:
                word = step.word(b, row_base, column * tile.pixel_bytes)
                inputs = {width.lanes: step.broadcast(width, word) for width in widths}
                for block, width in enumerate(widths):
                    total = sums[(row, column), block]
                    b.set(total, step.multiply_add(width, row_weights[block], inputs[width.lanes], b.get(total)))
                b.clobber_memory()
            if not tile.clamped:
                row_base = b.ir.add(row_base, a["x_row"])
        b.set(x, b.ir.add(b.get(x), a["x_lane"]))
        b.set(weights, b.ir.add(b.get(weights), b.index(step_bytes)))


def add_groups(
    b: VectorBuilder,
    tile: Tile,
    group: tuple[int, int],
    a: Mapping[str, ir.Value],
    sums: Sums,
    x: ir.Value,
    weights: ir.Value,
    part: Part,
) -> None:
    """Add the products of every input of each lane's group to the sums of a part."""
    rows, columns = range(*part[0]), range(*part[1])
    inputs, outputs = group
    term = FloatArithmetic(tile.wide).term
    lane_weights = [term(b, b.load(weights, step * b.target.vector_bytes)) for step in range(inputs)]
    # Lanes behind the last group are not outputs, and may read anything.
    steps = [[min(lane // outputs * inputs + step, b.lanes - 1) for lane in range(b.lanes)] for step in range(inputs)]
    row_base = _first_row(b, x, a["x_row"], rows)
    for row in rows:
        for column in columns:
            value = b.load(row_base, column * tile.pixel_bytes)
            total = sums[(row, column), 0]
            for step, lanes in enumerate(steps):
                inputs_of_lanes = term(b, b.permute(value, lanes))
                b.set(total, b.fma(lane_weights[step], inputs_of_lanes, b.get(total)))
            b.clobber_memory()
        row_base = b.ir.add(row_base, a["x_row"])


def _first_row(b: VectorBuilder, x: ir.Value, row_bytes: ir.Value, rows: range) -> ir.Value:
    return b.ir.add(x, b.ir.mul(row_bytes, b.index(rows.start))) if rows.start else x


def _with_bias(b: VectorBuilder, total: ir.Value, bias: ir.Value) -> ir.Value:
    """Sum and bias in float32."""
    if total.type == b.wide:
        return b.narrow(b.add(total, b.widen(bias)))
    return b.add(total, bias)


def product_table(target: Target) -> Any:
    """``list_products(table, k, x_step, weight_step)`` for Numba code: writes the table of one sum of ``k`` products.

    Steps are in bytes. Gives the number of entries; the table needs ``product_table_bytes(k)`` bytes.
    """
    return intrinsic(target, _list_products, 4, returns=True)


def _list_products(b: VectorBuilder, table: ir.Value, k: ir.Value, x_step: ir.Value, weight_step: ir.Value) -> ir.Value:
    chain = b.index(CHAIN)
    entries = b.ir.sdiv(b.ir.add(k, b.index(CHAIN - 1)), chain)
    with b.loop(entries) as number:
        first = b.ir.mul(number, chain)
        left = b.ir.sub(k, first)
        place = b.ir.add(table, b.ir.mul(number, b.index(ENTRY_BYTES)))
        b.store_index(b.ir.mul(first, x_step), place)
        b.store_index(b.ir.mul(first, weight_step), place, 8)
        b.store_index(b.ir.select(b.ir.icmp_signed("<", left, chain), left, chain), place, 16)
    return entries


class TwoLevels:
    """Moves partial sums from their registers to a second level in memory whenever a chain is full."""

    def __init__(self, b: VectorBuilder, tile: Tile, sums: Sums) -> None:
        widths = _widths(b, tile)
        self.b = b
        self.sums = [(widths[block], total) for (_, block), total in sums.items()]
        self.memory = b.stack_vectors(len(sums))
        self.chained = b.variable(b.index(0))  # products in the registers
        self.is_used = b.variable(ir.Constant(I1, 0))

    def restart(self) -> None:
        """Begin other sums."""
        self.b.set(self.chained, self.b.index(0))
        self.b.set(self.is_used, ir.Constant(I1, 0))

    def make_room(self, count: ir.Value) -> None:
        """Before ``count`` more products: empty the registers if the chain would become too long."""
        b = self.b
        longer = b.ir.add(b.get(self.chained), count)
        b.set(self.chained, longer)
        with b.when(b.ir.icmp_signed(">", longer, b.index(CHAIN))):
            b.set(self.chained, count)
            self.join()
            b.set(self.is_used, ir.Constant(I1, 1))
            for place, (width, total) in enumerate(self.sums):
                b.store(b.get(total), self.memory, place * b.target.vector_bytes, aligned=True)
                b.set(total, width.zero())

    def join(self) -> None:
        """Add the second level to the registers."""
        b = self.b
        with b.when(b.get(self.is_used)):
            for place, (width, total) in enumerate(self.sums):
                earlier = width.load(self.memory, place * b.target.vector_bytes, aligned=True)
                b.set(total, b.add(earlier, b.get(total)))


def _clamped_offsets(b: VectorBuilder, tile: Tile, a: Mapping[str, ir.Value]) -> list[ir.Value]:
    """Byte offset of each input row, that of the last valid row for rows beyond it."""
    last = b.ir.sub(a["rows_valid"], b.index(1))
    rows = [b.index(row) for row in range(tile.rows)]
    return [b.ir.mul(b.ir.select(b.ir.icmp_signed("<", row, last), row, last), a["x_row"]) for row in rows]


def _load(b: VectorBuilder, address: ir.Value, mask: ir.Value | None, offset: int) -> ir.Value:
    return b.load(address, offset) if mask is None else b.load_masked(address, mask, offset)
