"""GPU tiles of tensor cores on the layers of ResNet-50, counted on the emulator and in machine code. Needs no GPU.

    python benchmarks/cuda_tensor_tiles.py                                   f16 and tf32, A100, batch 1 and 32
    python benchmarks/cuda_tensor_tiles.py --architecture sm_90 --precision bf16 --batch 8 --only 3x3

Every layer is compiled alone, with the tile that the cost model takes; a sample of its thread blocks is emulated at the
real size. Columns:

    tile       pixels x channels x input channels of a step of a block of threads, and how many share a tile's steps
    blocks     of threads
    loop       products of matrices among the instructions of the hottest loop, in machine code
    mma        their share of all that warps issue, in PTX
    issue      cycles in which a scheduler issues that loop, over those in which its tensor core does the products
    shared     cycles of shared memory, 128 bytes each, over those of the tensor cores; both below 1 hide behind them
    sectors    of memory, over the least that the same accesses need
    conflicts  of banks of shared memory
    reg, spill registers of a thread, and bytes that they spill
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import cnnc
from cnnc.emulation.profile import CallProfile, Profiler
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.device_facts import ISSUES, DeviceFacts, facts_of
from cnnc.runtime.cuda.target import cuda_target
from cnnc.runtime.cuda.warp_tile import warp_tile_of
from cnnc.types import DType, TensorType

KERNEL = "conv.mma.implicit_gemm"


@dataclass(frozen=True, slots=True)
class Layer:
    """A square convolution: input channels and size, output channels, window, stride."""

    channels: int
    size: int
    outputs: int
    window: int
    stride: int = 1

    def __str__(self) -> str:
        name = f"{self.window}x{self.window} {self.channels}->{self.outputs} at {self.size}x{self.size}"
        return f"{name} /{self.stride}" if self.stride > 1 else name


LAYERS = (
    Layer(64, 56, 64, 3),
    Layer(128, 56, 128, 3, 2),
    Layer(128, 28, 128, 3),
    Layer(256, 14, 256, 3),
    Layer(512, 7, 512, 3),
    Layer(64, 56, 64, 1),
    Layer(64, 56, 256, 1),
    Layer(256, 56, 64, 1),
    Layer(256, 56, 512, 1, 2),
    Layer(128, 28, 512, 1),
    Layer(512, 28, 128, 1),
    Layer(256, 14, 1024, 1),
    Layer(1024, 14, 256, 1),
    Layer(512, 7, 2048, 1),
    Layer(2048, 7, 512, 1),
)


def graph_of(layer: Layer, batch: int) -> Graph:
    """The layer behind a pool, which gives it a blocked input."""
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((batch, layer.channels, layer.size + 1, layer.size + 1), DType.F32))
    x = graph.add_node("max_pool", [x], OPS["max_pool"].attrs(kernel_shape=(2, 2))).output
    weights = np.ones((layer.outputs, layer.channels, layer.window, layer.window), np.float32)
    attrs = OPS["conv"].attrs(pads=(layer.window // 2,) * 4, strides=(layer.stride,) * 2)
    y = graph.add_node("conv", [x, graph.add_constant(weights, "w")], attrs, names=["y"]).output
    graph.set_outputs([y], ["y"])
    return graph


def profiles(
    layer: Layer, precision: str, architecture: str, batch: int, blocks: int
) -> Iterator[tuple[CallProfile, object]]:
    """Of the calls of the convolution on tensor cores, with the blocks that share a tile's steps; none where the cost
    model takes another kernel."""
    compiled = cnnc.compile(graph_of(layer, batch), target=f"cuda:{architecture}", precision=precision)
    profiler = Profiler(compiled.executable, compiled.target, {}, blocks=blocks)
    for instruction in profiler.instructions():
        if instruction.variant.kernel == KERNEL:
            slots = dict(zip(kernel_def(KERNEL).args, instruction.args, strict=True))
            yield profiler.profile(instruction), slots["splits"]


def tensor_cycles(profile: CallProfile, device: DeviceFacts) -> float:
    """Cycles in which the tensor cores of one multiprocessor do a warp's product."""
    is_wide = profile.variant.options["precision"] == "tf32"
    flops = device.tf32_flops if is_wide else device.half_flops
    each = profile.counters.flops / profile.counters.issued["tensor"]
    return each / (flops / device.multiprocessors / device.clock)


def row(layer: Layer, profile: CallProfile, splits: object, device: DeviceFacts) -> str:
    counters, loop, each = profile.counters, profile.machine_loop, tensor_cycles(profile, device)
    tile, products = warp_tile_of(profile.variant.options), counters.issued["tensor"]
    shape = f"{tile.block_pixels}x{tile.block_channels}x{tile.depth}" + (f" /{splits}" if splits != 1 else "")
    cells = [f"{layer!s:26}", f"{shape:15}", f"{profile.blocks:6}", f"{loop.tensor:4} of {loop.total:3}"]
    cells += [f"{products / sum(counters.issued.values()):6.1%}"]
    cells += [f"{loop.total / ISSUES / (loop.tensor * each):5.2f}"]
    cells += [f"{counters.shared_cycles / (products * each):6.2f}", f"{counters.sectors / counters.least_sectors:7.3f}"]
    cells += [f"{counters.conflicts:9}", f"{profile.resources.registers:4}", f"{profile.resources.spilled_bytes:5}"]
    return "  ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="sm_80")
    parser.add_argument("--precision", nargs="+", default=["f16", "tf32"], choices=["f16", "bf16", "tf32"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--blocks", type=int, default=6, help="thread blocks of a layer that are emulated")
    parser.add_argument("--only", default="", help="layers whose name contains this")
    options = parser.parse_args()
    device = facts_of(cuda_target(options.architecture))
    for precision in options.precision:
        for batch in options.batch:
            print(f"\n{precision}, batch {batch}, {options.architecture} ({device.name})")
            print(
                f"{'layer':26}  {'tile':15}  {'blocks':>6}  {'loop':>11}  {'mma':>6}  {'issue':>5}  {'shared':>6}  "
                f"{'sectors':>7}  conflicts   reg  spill"
            )
            for layer in LAYERS:
                if options.only not in str(layer):
                    continue
                found = list(profiles(layer, precision, options.architecture, batch, options.blocks))
                for profile, splits in found:
                    print(row(layer, profile, splits, device), flush=True)
                if not found:
                    print(f"{layer!s:26}  another kernel is estimated to be faster")


if __name__ == "__main__":
    main()
