"""GPU tiles of bytes on the layers of ResNet-50, counted on the emulator and in machine code. Needs no GPU.

    python benchmarks/cuda_byte_tiles.py                            every layer, A100, at batch 1
    python benchmarks/cuda_byte_tiles.py --architecture sm_75 --batch 8 --blocks 2

For every layer the tile that the cost model takes, and the best one without tensor cores. A sample of thread blocks is
emulated; counts do not depend on what tensors hold. Columns: instructions of the kernel's hottest loop in machine code
and how many of them multiply; of what all warps issue (PTX), the share that multiplies; the share of the units' peak
which the issue of all instructions leaves; sectors of memory over the least; bank conflicts; registers and spills.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from cnnc.ptx import Counters, Emulator, parse_ptx
from cnnc.runtime.cuda import kernel_def, toolkit
from cnnc.runtime.cuda.assemble import assemble
from cnnc.runtime.cuda.byte_tile import ByteTile
from cnnc.runtime.cuda.byte_tiling import ByteProduct, rank_byte_tiles, taps_of_step
from cnnc.runtime.cuda.compile import ENTRY, compile_ptx
from cnnc.runtime.cuda.device_facts import ISSUES, DeviceFacts, facts_of
from cnnc.runtime.cuda.machine_code import hottest_loop, listing
from cnnc.runtime.cuda.target import LANES, cuda_target
from cnnc.runtime.kernel import Target, Variant

_ALL_TILES = 10_000
_DOTS = 64  # of a multiprocessor in a cycle
_SUMS_OF_MATRICES = 16 * 8 * 32


@dataclass(frozen=True, slots=True)
class Layer:
    """A square convolution: input channels and size, output channels, window, stride; ``plain`` input or blocked."""

    channels: int
    size: int
    outputs: int
    window: int
    stride: int = 1
    plain: bool = False

    @property
    def result(self) -> int:
        return (self.size - 1) // self.stride + 1

    def __str__(self) -> str:
        name = f"{self.window}x{self.window} {self.channels}->{self.outputs} at {self.size}x{self.size}"
        return f"{name} /{self.stride}" if self.stride > 1 else name


LAYERS = (
    Layer(3, 224, 64, 7, 2, plain=True),
    Layer(64, 56, 64, 1),
    Layer(64, 56, 64, 3),
    Layer(64, 56, 256, 1),
    Layer(256, 56, 64, 1),
    Layer(256, 56, 128, 1),
    Layer(128, 56, 128, 3, 2),
    Layer(256, 56, 512, 1, 2),
    Layer(128, 28, 128, 3),
    Layer(128, 28, 512, 1),
    Layer(512, 28, 128, 1),
    Layer(256, 28, 256, 3, 2),
    Layer(256, 14, 256, 3),
    Layer(256, 14, 1024, 1),
    Layer(1024, 14, 256, 1),
    Layer(512, 14, 512, 3, 2),
    Layer(512, 7, 512, 3),
    Layer(512, 7, 2048, 1),
    Layer(2048, 7, 512, 1),
)


def product_of(layer: Layer, batch: int) -> ByteProduct:
    pixels = batch * layer.result**2
    if layer.plain:
        quads = layer.channels * layer.window * -(-layer.window // 4)
        return ByteProduct(1, layer.outputs, pixels, 1, -(-4 * quads // LANES))
    return ByteProduct(1, layer.outputs, pixels, layer.window**2, -(-layer.channels // LANES))


def kernel_call(layer: Layer, tile: ByteTile, batch: int) -> tuple[Variant, dict[str, int], int]:
    """(variant, sizes, bytes of x)."""
    params = {name: getattr(tile, name) for name in ByteTile.__dataclass_fields__} | {"element": "u8"}
    x_blocks, y_blocks, pad = -(-layer.channels // LANES), -(-layer.outputs // LANES), layer.window // 2
    window = {"H": layer.size, "W": layer.size, "OH": layer.result, "OW": layer.result, "KH": layer.window}
    window |= {"stride_h": layer.stride, "stride_w": layer.stride, "dilation_h": 1, "begin_h": pad, "begin_w": pad}
    sizes = window | {"images": batch, "y_blocks": y_blocks, "fill": 0, "y_zero": 0, "y_least": 0}
    sizes["y_image"] = y_blocks * LANES * layer.result**2
    if layer.plain:
        sizes |= {"C": layer.channels, "QW": -(-layer.window // 4), "x_image": layer.channels * layer.size**2}
        params |= {"aligned": 1, "KH": sizes["KH"], "QW": sizes["QW"]}
        return Variant.of("conv.u8.plain_input", **params), sizes, batch * sizes["x_image"]
    sizes |= {"groups": 1, "x_blocks": x_blocks, "D": 1, "OD": 1, "KD": 1, "KW": layer.window, "stride_d": 1}
    sizes |= {"dilation_d": 1, "dilation_w": 1, "begin_d": 0, "x_image": x_blocks * LANES * layer.size**2}
    params |= {"taps": taps_of_step(x_blocks, tile.blocks), "axes": 2 if layer.window > 1 else 0}
    params["partial"] = int(x_blocks % tile.blocks > 0)
    return Variant.of("conv.u8.implicit_gemm", **params), sizes, batch * sizes["x_image"]


def count(variant: Variant, sizes: dict[str, int], target: Target, blocks: int) -> Counters:
    """Counters of some of the blocks, evenly spread."""
    kernel = kernel_def(variant.kernel)
    emulator = Emulator(parse_ptx(compile_ptx(variant, target)))
    stops = {access.buffer: access.stop for access in kernel.footprint(sizes, variant.options)}
    slots = [emulator.memory.allocate(np.zeros(stops[name], np.uint8), name) for name in kernel.buffers]
    slots += [sizes[name] for name in kernel.sizes]
    items = kernel.items(sizes, variant.options)
    assert isinstance(items, int)
    sample = sorted({int(number) for number in np.linspace(0, items - 1, blocks)})
    return emulator.launch(ENTRY, (items,), (kernel.threads(variant.options),), slots, blocks=sample)


def share_of_peak(counters: Counters, tile: ByteTile, device: DeviceFacts) -> float:
    """Of the units that multiply, if a scheduler issues an instruction every cycle and nothing else is waited for."""
    if tile.tensor:
        macs = device.byte_ops / (2 * device.multiprocessors * device.clock) / ISSUES
        each = _SUMS_OF_MATRICES / macs / (1 if device.architecture >= (8, 0) else 4)
        busy = counters.issued["tensor"] * each
    else:
        busy = counters.issued["dot"] * 32 * ISSUES / _DOTS
    return busy / max(busy, sum(counters.issued.values()))


def report(layer: Layer, tile: ByteTile, target: Target, batch: int, blocks: int) -> str:
    variant, sizes, _ = kernel_call(layer, tile, batch)
    counters = count(variant, sizes, target, blocks)
    multiplying = counters.issued["tensor"] + counters.issued["dot"]
    shape = f"{tile.channels}x{tile.pixels}x{tile.blocks * LANES}"
    columns = [f"{layer!s:28}", "mma " if tile.tensor else "dp4a", f"{shape:>10}"]
    if toolkit.find_program("ptxas") and toolkit.find_program("nvdisasm"):
        cubin = assemble(compile_ptx(variant, target), target)
        loop = hottest_loop(listing(cubin.image))
        columns += [f"{loop.arithmetic:4} of {loop.total:4}"]
    columns += [f"{multiplying / sum(counters.issued.values()):6.1%}"]
    columns += [f"{share_of_peak(counters, tile, facts_of(target)):6.1%}"]
    columns += [f"{counters.sectors / counters.least_sectors:6.3f}", f"{counters.conflicts:4}"]
    if toolkit.find_program("ptxas"):
        columns += [f"{cubin.resources.registers:4}", f"{cubin.resources.spilled_bytes:4}"]
    return "  ".join(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="sm_80")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=4, help="thread blocks that are emulated")
    parser.add_argument("--only", default="", help="layers whose name contains this")
    options = parser.parse_args()
    target = cuda_target(options.architecture)
    print(
        "layer, products, tile (channels x pixels x depth), loop, issued, peak, sectors, conflicts, registers, spills"
    )
    for layer in LAYERS:
        if options.only in str(layer):
            ranked = rank_byte_tiles(product_of(layer, options.batch), facts_of(target), _ALL_TILES)
            for tensor in (1, 0):
                tile = next(tile for _, tile in ranked if tile.tensor == tensor)
                print(report(layer, tile, target, options.batch, options.blocks), flush=True)


if __name__ == "__main__":
    main()
