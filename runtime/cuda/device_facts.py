"""What a GPU has and does in a second: the constants of the cost model and of predicted times.

Sizes and rates are those that NVIDIA publishes: the A100 and H100 Tensor Core GPU architecture papers (2020, 2022), the
data sheets, and the table of compute capabilities in the CUDA C++ Programming Guide. What is not published says so.
"""

from __future__ import annotations

from cnnc.errors import OptionError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.target import capability
from cnnc.runtime.kernel import Target

ISSUES = 4
"""Warp instructions that a multiprocessor starts in a cycle: one for each of its schedulers."""

SHARED_BYTES = 128
"""Bytes of shared memory that a multiprocessor reads or writes in a cycle."""

REGISTER_UNIT = 256
"""Registers are given to a warp in so many at a time."""

RESERVED_SHARED = 1024
"""Bytes of shared memory that the system keeps of each block, from sm_80 on; elsewhere none."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A model of GPU.

    Attributes:
        name: as users write it.
        architecture: compute capability, (8, 0) for sm_80.
        multiprocessors: of the device.
        clock: cycles a second, boosted.
        lanes: float32 multiply-adds of a multiprocessor in a cycle.
        threads, blocks, registers, shared_bytes: the most that are on a multiprocessor at a time.
        l2_bytes: of the second-level cache; ``l2_bandwidth`` bytes a second from it.
        memory_bandwidth: bytes a second of the device's memory.
        latency: cycles from a load to its value, when the second-level cache has it (measured by others: Jia et al.,
            Dissecting the NVIDIA Turing T4 GPU, 2019; Abdelkhalik et al., Demystifying the NVIDIA Ampere architecture,
            2022).
        launch_seconds: from the end of a kernel to the work of the next one in a captured graph; not published, about
            what NVIDIA shows in its introduction to CUDA graphs.
        half_flops, tf32_flops, byte_ops: operations a second of the tensor cores, two for a multiply-add, on dense
            matrices of float16 or bfloat16, TF32 and int8; 0 for what they cannot do.
    """

    name: str
    architecture: tuple[int, int]
    multiprocessors: int
    clock: float
    lanes: int
    threads: int
    blocks: int
    registers: int
    shared_bytes: int
    l2_bytes: int
    l2_bandwidth: float
    memory_bandwidth: float
    latency: int
    launch_seconds: float
    half_flops: float
    tf32_flops: float
    byte_ops: float

    @property
    def flops(self) -> float:
        """float32 operations a second, two for a multiply-add."""
        return 2 * self.multiprocessors * self.lanes * self.clock

    def fma_seconds(self, lanes: int) -> float:
        """Seconds in which the whole device does ``lanes`` multiply-adds: the unit in which tilings count costs."""
        return 2 * lanes / self.flops

    def resident_blocks(self, threads: int, registers: int, shared_bytes: int) -> int:
        """Blocks of a kernel that a multiprocessor holds at a time; 0 if not even one.

        Args:
            threads: of a block.
            registers: of a thread.
            shared_bytes: of a block.
        """
        warps = -(-threads // 32)
        warp_registers = -(-32 * max(1, registers) // REGISTER_UNIT) * REGISTER_UNIT
        reserved = RESERVED_SHARED if self.architecture >= (8, 0) else 0
        return min(
            self.blocks,
            self.threads // (32 * warps),
            self.registers // warp_registers // warps,
            self.shared_bytes // max(1, shared_bytes + reserved),
        )

    def occupancy(self, threads: int, registers: int, shared_bytes: int) -> float:
        """Share of the threads that a multiprocessor can hold which blocks of a kernel fill, 0 to 1."""
        return self.resident_blocks(threads, registers, shared_bytes) * threads / self.threads


T4 = DeviceFacts(
    name="T4",
    architecture=(7, 5),
    multiprocessors=40,
    clock=1.59e9,
    lanes=64,
    threads=1024,
    blocks=16,
    registers=65536,
    shared_bytes=64 << 10,
    l2_bytes=4 << 20,
    l2_bandwidth=1.27e12,  # measured by Jia et al.
    memory_bandwidth=320e9,
    latency=188,
    launch_seconds=2e-6,
    half_flops=65e12,
    tf32_flops=0,
    byte_ops=130e12,
)

A100 = DeviceFacts(
    name="A100",
    architecture=(8, 0),
    multiprocessors=108,
    clock=1.41e9,
    lanes=64,
    threads=2048,
    blocks=32,
    registers=65536,
    shared_bytes=164 << 10,
    l2_bytes=40 << 20,
    l2_bandwidth=5120 * 1.41e9,
    memory_bandwidth=1555e9,
    latency=200,
    launch_seconds=2e-6,
    half_flops=312e12,
    tf32_flops=156e12,
    byte_ops=624e12,
)

H100 = DeviceFacts(
    name="H100",
    architecture=(9, 0),
    multiprocessors=132,
    clock=1.98e9,
    lanes=128,
    threads=2048,
    blocks=32,
    registers=65536,
    shared_bytes=228 << 10,
    l2_bytes=50 << 20,
    l2_bandwidth=5120 * 1.755e9,  # bytes a cycle are not published: taken to be A100's
    memory_bandwidth=3352e9,
    latency=260,
    launch_seconds=2e-6,
    half_flops=989e12,
    tf32_flops=495e12,
    byte_ops=1979e12,
)

DEVICES = (T4, A100, H100)
"""Oldest first."""


def facts_of(target: Target) -> DeviceFacts:
    """The device that programs for a GPU target are planned for: the newest that is no newer than its architecture."""
    return [device for device in DEVICES if device.architecture <= capability(target)][-1]


def device_named(name: str) -> DeviceFacts:
    """The facts of a device.

    Raises:
        OptionError: nothing is known of such a device.
    """
    for device in DEVICES:
        if device.name.lower() == name.lower():
            return device
    known = ", ".join(device.name for device in DEVICES)
    raise OptionError(f"nothing is known of the GPU {name!r}", where="device", hint=f"write one of {known}")
