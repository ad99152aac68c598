"""The register tile of ``conv.f32.blocked.strassen``: seven products of blocks, combined on the way to the result."""

from __future__ import annotations

from collections.abc import Mapping

from llvmlite import ir

from cnnc.runtime.cpu.strassen_products import ADD, COLLECT, DIFFERENCES, FINISH, HALVES, KEEP, PRODUCTS, TEMPORARIES
from cnnc.runtime.cpu.tile import Sums, Tile, TwoLevels, add_channels, emit_results, empty_sums
from cnnc.runtime.cpu.tile_table import ENTRY_BYTES
from cnnc.runtime.cpu.vector import VectorBuilder

OPERAND_BYTES = 16

STRASSEN_ARGS = (
    "operands",  # address of the products' right factors: pairs (address, address of its table)
    "weights",  # address of the packed weights of all products
    "product_weights",  # bytes between the weights of two products
    "entries",  # number of entries of a table
    "bias",
    "slopes",
    "residual",  # address that matches y
    "y",  # address of the first pixel of the first block of the result
    "y_block",  # bytes between blocks of output channels
    "y_half",  # bytes between the halves of output channels in y
    "bias_half",  # the same in bias and slopes
    "left",  # pixels to store in the first half
    "right",  # pixels to store in the second half
    "alpha",  # activation parameters, float bits
    "beta",
    "ahead",  # address of weights to ask for
)


def emit_strassen_tile(b: VectorBuilder, tile: Tile, *values: ir.Value) -> None:
    """The results of ``tile.columns`` pixels and as many right behind them, and of ``tile.blocks`` blocks of output
    channels in either half. ``values`` follow ``STRASSEN_ARGS``."""
    a = dict(zip(STRASSEN_ARGS, values, strict=True))
    a |= {"x_row": b.index(0), "x_lane": b.index(4), "ahead": b.variable(a["ahead"])}
    temporaries = b.stack_vectors(TEMPORARIES * tile.columns * tile.blocks)
    sums = empty_sums(b, tile)
    levels = TwoLevels(b, tile, sums)
    with b.loop(b.index(len(PRODUCTS))) as number:
        place = b.ir.add(a["operands"], b.ir.mul(number, b.index(OPERAND_BYTES)))
        operand, table = b.load_index(place), b.load_index(place, 8)
        weights = b.ir.add(a["weights"], b.ir.mul(number, a["product_weights"]))
        for total in sums.values():
            b.set(total, b.zero())
        levels.restart()
        with b.loop(a["entries"]) as entry:
            place = b.ir.add(table, b.ir.mul(entry, b.index(ENTRY_BYTES)))
            count = b.load_index(place, 16)
            levels.make_room(count)
            x, w = b.ir.add(operand, b.load_index(place)), b.ir.add(weights, b.load_index(place, 8))
            add_channels(b, tile, a, sums, x, w, count, ((0, 1), (0, tile.columns)))
        levels.join()
        finished = b.variable(b.index(-1))  # a block of the result
        with b.switch(number, len(PRODUCTS)) as cases:
            for case, product in zip(cases, PRODUCTS, strict=True):
                with case:
                    for step, which in product.steps:
                        if step == FINISH:
                            b.set(finished, b.index(which))
                        else:
                            _step(b, step, temporaries, which, sums)
        block = b.get(finished)
        with b.when(b.ir.icmp_signed(">=", block, b.index(0))):
            emit_results(b, tile, _result_arguments(b, tile, a, block), sums)


def _step(b: VectorBuilder, step: str, temporaries: ir.Value, which: int, sums: Sums) -> None:
    for place, total in enumerate(sums.values(), which * len(sums)):
        offset = place * b.target.vector_bytes
        if step == KEEP:
            b.store(b.get(total), temporaries, offset, aligned=True)
            continue
        value = b.add(b.load(temporaries, offset, aligned=True), b.get(total))
        if step == ADD:
            b.set(total, value)
        else:
            assert step == COLLECT
            b.store(value, temporaries, offset, aligned=True)


def _result_arguments(b: VectorBuilder, tile: Tile, a: Mapping[str, ir.Value], block: ir.Value) -> dict[str, ir.Value]:
    """Arguments of ``emit_results`` for a block of the result."""
    halves = b.index(HALVES)
    lower, right = b.ir.udiv(block, halves), b.ir.urem(block, halves)
    pixels = b.ir.mul(right, b.index(tile.columns * tile.pixel_bytes))
    offset = b.ir.add(pixels, b.ir.mul(lower, a["y_half"]))
    lanes_offset = b.ir.mul(lower, a["bias_half"])
    found = {name: a[name] for name in ("y_block", "alpha", "beta")}
    found |= {"y_row": b.index(0), "y_pixel": b.index(tile.pixel_bytes), "rows_valid": b.index(1), "lanes": b.index(0)}
    found |= {name: b.ir.add(a[name], offset) for name in ("y", "residual")}
    found |= {name: b.ir.add(a[name], lanes_offset) for name in ("bias", "slopes")}
    is_right = b.ir.icmp_signed("==", right, b.index(1))
    return found | {"columns_valid": b.ir.select(is_right, a["right"], a["left"])}


def emit_differences(
    b: VectorBuilder,
    dst: ir.Value,
    panel: ir.Value,
    src: ir.Value,
    right: ir.Value,
    lower: ir.Value,
    count: ir.Value,
) -> None:
    """The differences of ``count`` vectors of a channel block: ``panel`` bytes from one to the next, at ``dst``.

    ``src`` is the address of X11; ``right`` and ``lower`` bytes lead to X12 and X21.
    """
    sources = [src, b.ir.add(src, right), b.ir.add(src, lower), b.ir.add(b.ir.add(src, right), lower)]
    with b.loop(count) as number:
        offset = b.ir.mul(number, b.index(b.target.vector_bytes))
        operands = [b.load(source, offset) for source in sources]
        for first, second in DIFFERENCES:
            operands.append(b.sub(operands[first], operands[second]))
        place = b.ir.add(dst, offset)
        for value in operands[len(sources) :]:
            b.store(value, place)
            place = b.ir.add(place, panel)


def emit_operand_list(
    b: VectorBuilder,
    dst: ir.Value,
    x: ir.Value,
    right: ir.Value,
    lower: ir.Value,
    table: ir.Value,
    differences: ir.Value,
    panel: ir.Value,
    panel_table: ir.Value,
) -> None:
    """List the operands of all products as a register tile reads them: blocks of X, X11 at ``x``, and differences.

    ``table`` and ``panel_table`` are the addresses of their tables.
    """
    for number, product in enumerate(PRODUCTS):
        if product.operand >= HALVES**2:
            place, entries = b.ir.mul(panel, b.index(product.operand - HALVES**2)), panel_table
            place = b.ir.add(differences, place)
        else:
            row, column = divmod(product.operand, HALVES)
            place, entries = x, table
            place = b.ir.add(place, lower) if row else place
            place = b.ir.add(place, right) if column else place
        b.store_index(place, dst, number * OPERAND_BYTES)
        b.store_index(entries, dst, number * OPERAND_BYTES + 8)
