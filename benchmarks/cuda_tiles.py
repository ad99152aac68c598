"""Register tiles of float32 convolutions on GPUs, counted layer by layer. Needs no GPU, and measures no time.

    python benchmarks/cuda_tiles.py                                   ResNet-50, sm_80
    python benchmarks/cuda_tiles.py --network vgg16 --batch 8 --architecture sm_90

Compiles a network of ``cnnc.models`` at -O2 without Winograd's method, and runs a sample of the thread blocks of each
different convolution at its real size on the emulator. A line says which tile the cost model took (channels x pixels,
and how many blocks of threads share a sum), and of its kernel:

    PTX, code     share of multiply-adds among the instructions of the hottest loop: as issued, of the PTX; and as they
                  stand in the machine code, where the change from one tap to the next counts in full though it is
                  executed once in all blocks of input channels
    regs, spills  registers of a thread, and bytes that the assembler moves to local memory for want of them
    conflicts     cycles of shared memory lost to bank conflicts
    sectors       of global memory, over the least that the bytes asked for need
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import cnnc
from cnnc import models
from cnnc.emulation import CallProfile, Profiler
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.register_tile import tile_of
from cnnc.runtime.kernel import Variant
from cnnc.runtime.plan import Instruction

PLAIN = "conv.f32.plain_input"
KERNELS = ("conv.f32.implicit_gemm", PLAIN)


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution as its kernel is called.

    Attributes:
        window: as text, with its stride.
        channels, outputs: lanes of input and output.
        map: rows and columns of the output.
        splits: blocks of threads that share a sum.
    """

    window: str
    channels: int
    outputs: int
    map: tuple[int, int]
    splits: int
    kernel: Variant

    def __str__(self) -> str:
        return f"{self.window} {self.channels} -> {self.outputs}, {self.map[0]}x{self.map[1]}"


def layer_of(call: Instruction) -> Layer:
    """What the slots of a call say."""
    names = kernel_def(call.variant.kernel).args
    sizes = {name: slot for name, slot in zip(names, call.args, strict=True) if isinstance(slot, int)}
    is_plain = call.variant.kernel == PLAIN
    window = f"{sizes['steps']} steps, plain" if is_plain else f"{sizes['KH']}x{sizes['KW']}"
    stride = f"/{sizes['SW']}" if sizes["SW"] > 1 else ""
    channels = sizes["C"] if is_plain else sizes["XB"] * 8
    outputs = (sizes["OH"], sizes["OW"])
    return Layer(window + stride, channels, sizes["YB"] * 8, outputs, sizes.get("splits", 1), call.variant)


def row(layer: Layer, count: int, profile: CallProfile) -> str:
    """A line of the table."""
    tile, counters, use = tile_of(layer.kernel.options), profile.counters, profile.resources
    name = f"{tile.channels}x{tile.pixels}" + (f" / {layer.splits}" if layer.splits > 1 else "")
    ptx = profile.loop.multiplying_share if profile.loop is not None else 0.0
    sectors = counters.sectors / max(1, counters.least_sectors)
    return (
        f"| {layer} | {count} | {name} | {profile.blocks} "
        f"| {ptx:.3f} | {profile.machine_loop.arithmetic_share:.3f} | {use.registers} | {use.spilled_bytes} "
        f"| {counters.conflicts} | {sectors:.3f} |"
    )


def table(network: str, batch: int, architecture: str, blocks: int) -> list[str]:
    """Lines of Markdown."""
    model = models.find(network).model()
    shapes = {port: (batch, *given.shape[1:]) for port, given in model.inputs.items()}
    compiled = cnnc.compile(model, level=2, shapes=shapes, target=f"cuda:{architecture}", winograd="off")
    profiler = Profiler(compiled.executable, compiled.target, {}, blocks=blocks)
    found: dict[Layer, list[Instruction]] = {}
    for call in profiler.instructions():
        if call.variant.kernel in KERNELS:
            found.setdefault(layer_of(call), []).append(call)
    lines = [
        f"{network}, batch {batch}, {architecture}",
        "",
        "| layer | calls | tile | blocks | PTX | code | regs | spills | conflicts | sectors |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return lines + [row(layer, len(calls), profiler.profile(calls[0])) for layer, calls in found.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50", help="a network of cnnc.models")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--architecture", default="sm_80")
    parser.add_argument("--blocks", type=int, default=3, help="thread blocks of each call that are run, about")
    arguments = parser.parse_args()
    print("\n".join(table(arguments.network, arguments.batch, arguments.architecture, arguments.blocks)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
