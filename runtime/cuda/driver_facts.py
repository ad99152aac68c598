"""Sizes and rates of this machine's GPU, as its driver tells them."""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cuda.device_facts import DeviceFacts, facts_of
from cnnc.runtime.cuda.driver import DriverDevice
from cnnc.runtime.cuda.target import capability, cuda_target

_FEW_LANES = frozenset({(7, 5), (8, 0)})
"""Architectures with 64 float32 multiply-adds of a multiprocessor in a cycle; all others have 128."""


def facts_of_device(device: DriverDevice) -> DeviceFacts:
    """What the driver tells; latencies and rates that it does not tell are those of ``facts_of``."""
    target = cuda_target(device.architecture)
    known = facts_of(target)
    bus_bytes = device.attribute("GLOBAL_MEMORY_BUS_WIDTH") // 8
    # Two transfers a cycle; both clocks are in kHz.
    bandwidth = 2e3 * device.attribute("MEMORY_CLOCK_RATE") * bus_bytes
    return replace(
        known,
        name=device.name,
        architecture=capability(target),
        multiprocessors=device.attribute("MULTIPROCESSOR_COUNT"),
        clock=1e3 * device.attribute("CLOCK_RATE") or known.clock,
        lanes=64 if capability(target) in _FEW_LANES else 128,
        threads=device.attribute("MAX_THREADS_PER_MULTIPROCESSOR"),
        blocks=device.attribute("MAX_BLOCKS_PER_MULTIPROCESSOR"),
        registers=device.attribute("MAX_REGISTERS_PER_MULTIPROCESSOR"),
        shared_bytes=device.attribute("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR"),
        l2_bytes=device.attribute("L2_CACHE_SIZE"),
        memory_bandwidth=bandwidth or known.memory_bandwidth,
    )
