"""What coalescing does to a CUDA kernel: counted on an emulated GPU, so no GPU is needed.

    python examples/lesson_11_cuda_coalescing/lesson.py
    python examples/lesson_11_cuda_coalescing/lesson.py --device h100 --size 256
    python examples/lesson_11_cuda_coalescing/lesson.py --ptx transpose_padded

Needs the compiler of GPU kernels: pip install 'cnnc[cuda13]', or 'cnnc[cuda12]'. Counts are exact, times
are predictions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cnnc
from cnnc import dsl
from cnnc.emulation import CallProfile, Profiler, compile_arrays, launch_arrays, predict
from cnnc.errors import OptionError
from cnnc.ir import Array
from cnnc.runtime.cuda.device_facts import DeviceFacts, device_named
from cnnc.runtime.cuda.toolkit import require_compiler
from cnnc.runtime.host.conv import conv


def show_head(device: DeviceFacts) -> None:
    """The columns of ``show``."""
    print(f"    {'':22} {'sectors':>9} {'of least':>8} {'conflicts':>9}   {device.name}, us: instructions", end="")
    print(f" {'shared':>7} {'L2':>6}  predicted")


def show(name: str, profile: CallProfile, device: DeviceFacts, arena_bytes: int = 0) -> None:
    """A launch on one line: what was counted, microseconds that resources are busy with it, and of the whole.

    Arrays lie in the second-level cache, as in a network whose layer before has just written them, and the constant
    time of a launch is left out.
    """
    counters, prediction = profile.counters, predict(profile, device, arena_bytes=arena_bytes or profile.tensor_bytes)
    parts = {part: seconds * 1e6 for part, seconds in prediction.parts.items()}
    instructions = max(parts[part] for part in ("issue", "float32", "integer", "conversion"))
    print(
        f"    {name:22} {counters.sectors:9} {counters.sectors / counters.least_sectors:8.2f} {counters.conflicts:9}"
        f" {instructions:23.2f} {parts['shared memory']:7.2f} {parts['L2 cache']:6.2f}"
        f" {prediction.seconds * 1e6 - parts['launch']:10.2f}"
    )


def checked(result: Array, expected: Array, name: str) -> None:
    """Compare what a kernel wrote with NumPy.

    Raises:
        SystemExit: it is wrong.
    """
    if not np.allclose(result, expected, rtol=0, atol=1e-4):
        raise SystemExit(f"{name} is wrong")


def show_strides(kernel: Callable[..., Any], count: int, device: DeviceFacts) -> None:
    """Reads of elements that lie further and further apart."""
    for stride in (1, 2, 4, 8, 16):
        x, y = np.arange(count * stride, dtype=np.float32), np.empty(count, np.float32)
        profile = launch_arrays(kernel, count // 256, 256, [x, y, stride])
        checked(y, x[::stride], f"stride {stride}")
        show(f"every {stride}. element", profile, device)


def show_transposes(kernels: Sequence[Callable[..., Any]], tile: int, x: Array, device: DeviceFacts) -> None:
    """Transposes of one matrix [S, S]."""
    for kernel in kernels:
        y = np.full_like(x, np.nan)
        profile = launch_arrays(kernel, (x.shape[1] // tile, x.shape[0] // tile), (tile, 8), [x, y])
        checked(y, x.T, kernel.__name__)
        show(kernel.__name__, profile, device)


def show_convolutions(kernels: Sequence[Callable[..., Any]], x: Array, device: DeviceFacts) -> None:
    """3x3 convolutions of one map [S, S]."""
    w = np.random.default_rng(1).standard_normal((3, 3), np.float32)
    bordered = np.pad(x, 1)
    expected = conv(bordered[None, None], w[None, None])[0, 0]
    for kernel in kernels:
        y = np.full_like(x, np.nan)
        profile = launch_arrays(kernel, (x.shape[0] // 32, x.shape[1] // 8), (32, 8), [bordered, w, y])
        checked(y, expected, kernel.__name__)
        show(kernel.__name__, profile, device)


def show_own_kernel(channels: int, size: int, device: DeviceFacts) -> None:
    """A layer of a network, as cnnc compiles it for a GPU: the same facts as `cnnc emulate` shows."""
    model = dsl.model(dsl.Conv2d(channels, channels, 3, padding=1), {"x": (1, channels, size, size)})
    major, minor = device.architecture
    compiled = cnnc.compile(model, target=f"cuda:sm_{major}{minor}", winograd="off")
    profiler = Profiler(compiled.executable, compiled.target, {}, blocks=4)
    for instruction in profiler.instructions():
        profile = profiler.profile(instruction)
        show(profile.variant.kernel, profile, device, profiler.arena_bytes)
        if profile.loop is not None and profile.loop.multiplying_share > 0.1:
            rate = profile.counters.flops / predict(profile, device).seconds
            print(
                f"      {profile.loop.multiplying_share:.0%} of the instructions of its inner loop multiply and add; "
                f"{profile.resources.registers} registers a thread, "
                f"{profile.resources.spilled_bytes} bytes of them spilled; {rate / 1e12:.1f} TFLOP/s"
            )


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=512, help="of the matrix and the map; a multiple of 32")
    parser.add_argument("--device", default="a100", help="a100, h100 or t4: what times are predicted for")
    parser.add_argument("--ptx", metavar="KERNEL", help="print the PTX of this kernel of kernels.py, and stop")
    given = parser.parse_args()
    if given.size < 32 or given.size % 32:
        parser.error("the size is a multiple of 32")
    try:
        require_compiler()
    except OptionError as error:
        raise SystemExit(f"this lesson compiles GPU kernels: {error}") from None
    from lesson_11_cuda_coalescing import kernels

    device = device_named(given.device)
    x = np.random.default_rng(0).standard_normal((given.size, given.size), np.float32)
    if given.ptx:
        arguments = {"copy_strided": [x[0], x[0], 1]}.get(given.ptx, [x, x, x] if "conv" in given.ptx else [x, x])
        print(compile_arrays(getattr(kernels, given.ptx), arguments).ptx)
        return

    print("1. Loads of a warp: 32 sectors of 32 bytes at worst, 4 at best")
    show_head(device)
    show_strides(kernels.copy_strided, given.size**2, device)

    print(f"\n2. A transpose, {given.size} x {given.size}: rows are read, columns written")
    show_head(device)
    three = (kernels.transpose_naive, kernels.transpose_tile, kernels.transpose_padded)
    show_transposes(three, kernels.TILE, x, device)

    print(f"\n3. A convolution of one map, 3x3, {given.size} x {given.size}")
    show_head(device)
    show_convolutions((kernels.conv_along_height, kernels.conv_along_width, kernels.conv_tile), x, device)

    print("\n4. A layer as cnnc compiles it: 64 to 64 channels, 3x3, 28x28")
    show_head(device)
    show_own_kernel(64, 28, device)


if __name__ == "__main__":
    main()
