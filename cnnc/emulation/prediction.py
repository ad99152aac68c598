"""Predicts how long a kernel call takes on a device, from what the emulator counted. A prediction, not a measurement.

A call is as long as the resource that it keeps busy longest. Of the device as a whole these are the memory and the
second-level cache: bytes over bandwidth (Williams, Waterman and Patterson, Roofline, 2009). Of a multiprocessor they
are the issue of instructions, four a cycle, the arithmetic units, so many lanes a cycle each (CUDA C++ Programming
Guide, table "Throughput of Native Arithmetic Instructions"), and the path to shared memory and first-level cache, 128
bytes a cycle (the same, section on shared memory).

What is resident together hides latency (Volkov, Understanding Latency Hiding on GPUs, 2016): blocks that run at a time
take as long as their resource, and no less than the longest chain of one block: its first load, a load for each
barrier, and a cycle for each instruction of a warp. Blocks come in waves; the last one is not full, so a grid that
does not divide leaves multiprocessors idle (Hong and Kim, An analytical model for a GPU architecture, 2009, count
waves the same way). A launch costs a constant.

PTX is not what devices execute. Where the machine code's hottest loop is known, what the PTX issues in its own is
scaled by the instructions of both.

Left out: hits in the first-level cache, conflicts of memory channels, registers' banks, clocks that fall under load.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.emulation.loops import MULTIPLYING
from cnnc.emulation.profile import CallProfile
from cnnc.frozen_dataclass import dataclass
from cnnc.ptx.counters import SECTOR_BYTES, WARP
from cnnc.runtime.cuda.device_facts import ISSUES, SHARED_BYTES, DeviceFacts

_LANES: Mapping[str, int] = {
    "integer": 64,
    "compare": 64,
    "dot": 64,
    "conversion": 64,
    "warp": 32,
    "special": 16,
}
"""Results of a multiprocessor in a cycle, by class of instruction, from sm_75 to sm_90; float32 differs by device."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one call on one device.

    Attributes:
        seconds: of the whole call, its launch included.
        parts: seconds that each resource is busy, by name.
        waves: how often the multiprocessors are filled with blocks; the last time partly.
        resident_blocks: of a multiprocessor.
        occupancy: share of the warps that it could hold, 0 to 1.
        roofline_seconds: see ``roofline_seconds``.
    """

    seconds: float
    parts: Mapping[str, float]
    waves: float
    resident_blocks: int
    occupancy: float
    roofline_seconds: float

    @property
    def bound(self) -> str:
        """The resource that is busy longest."""
        return max(self.parts, key=lambda name: self.parts[name])


def predict(profile: CallProfile, device: DeviceFacts, *, arena_bytes: int = 0) -> Prediction:
    """Predict a call.

    Args:
        arena_bytes: of the program's activations. Where they fit in half of the second-level cache they are read and
            written there; weights always come from memory.
    """
    counters, resources = profile.counters, profile.resources
    from_memory = profile.constant_bytes + (0 if fits_in_cache(arena_bytes, device) else profile.tensor_bytes)
    resident = max(1, device.resident_blocks(profile.threads, resources.registers, resources.shared_bytes))
    cycles = _busy_cycles(profile, device)
    busiest = max(cycles.values()) / profile.blocks
    chain = _chain_cycles(profile, device)
    elapsed = _grid_cycles(profile.blocks, device.multiprocessors, resident, busiest, chain)
    # Every resource of a multiprocessor is busy for its own work, of the blocks that the fullest one gets.
    most = -(-profile.blocks // device.multiprocessors)
    parts = {name: total / profile.blocks * most / device.clock for name, total in cycles.items()}
    hidden = max(parts.values())
    parts["latency"] = elapsed / device.clock if elapsed / device.clock > hidden * 1.001 else 0.0
    parts["L2 cache"] = counters.sectors * SECTOR_BYTES / device.l2_bandwidth
    parts["memory"] = from_memory / device.memory_bandwidth
    parts["launch"] = device.launch_seconds
    body = max(value for name, value in parts.items() if name != "launch")
    return Prediction(
        body + device.launch_seconds,
        parts,
        profile.blocks / (device.multiprocessors * resident),
        resident,
        resident * -(-profile.threads // WARP) * WARP / device.threads,
        roofline_seconds(
            device, _arithmetic_seconds(profile, device), profile.constant_bytes, profile.tensor_bytes, arena_bytes
        ),
    )


def fits_in_cache(arena_bytes: int, device: DeviceFacts) -> bool:
    """Whether a program's activations stay in the second-level cache; False if their size is not known (0)."""
    return 0 < arena_bytes <= device.l2_bytes / 2


def roofline_seconds(
    device: DeviceFacts, arithmetic: float, constant_bytes: int, tensor_bytes: int, arena_bytes: int = 0
) -> float:
    """Seconds that work takes at least: its arithmetic's, or those of its bytes, weights from memory.

    Args:
        arithmetic: seconds at the device's peak.
        arena_bytes: see ``predict``.
    """
    cached = fits_in_cache(arena_bytes, device)
    from_memory = constant_bytes + (0 if cached else tensor_bytes)
    moved = constant_bytes + tensor_bytes
    return max(arithmetic, from_memory / device.memory_bandwidth, moved / device.l2_bandwidth)


def _busy_cycles(profile: CallProfile, device: DeviceFacts) -> dict[str, float]:
    """Cycles of one multiprocessor that each of its resources would be busy with the whole call."""
    counters, issued = profile.counters, profile.counters.issued
    found = {"issue": _machine_instructions(profile) / ISSUES}
    found["float32"] = (issued["fma"] + issued["float"]) * WARP / device.lanes
    for name in _LANES:
        found[name] = issued[name] * WARP / _LANES[name]
    found["integer"] += found.pop("compare")  # the same units
    found["tensor cores"] = 0.0
    if issued["tensor"]:
        found["tensor cores"] = _tensor_seconds(profile, device) * device.clock * device.multiprocessors
    found["shared memory"] = float(counters.shared_cycles + counters.sectors * SECTOR_BYTES / SHARED_BYTES)
    return found


def _machine_instructions(profile: CallProfile) -> float:
    """Instructions that are issued; those of the hottest loop as the machine code has them."""
    total = float(sum(profile.counters.issued.values()))
    loop, machine = profile.loop, profile.machine_loop
    if loop is None or not loop.total or not machine.total:
        return total
    multiplying = sum(loop.issued.get(name, 0) for name in MULTIPLYING)
    if not multiplying or not machine.arithmetic:
        return total
    # The loops may be unrolled differently: what multiplies is the same in both.
    return total - loop.total + multiplying * machine.total / machine.arithmetic


def _chain_cycles(profile: CallProfile, device: DeviceFacts) -> float:
    """Cycles that a block takes at least, however much else is resident."""
    warps = profile.blocks * -(-profile.threads // WARP)
    steps = profile.counters.barriers / profile.blocks
    return device.latency * (1 + steps) + _machine_instructions(profile) / warps


def _grid_cycles(blocks: int, multiprocessors: int, resident: int, busiest: float, chain: float) -> float:
    """Cycles of the multiprocessor that gets most blocks: full waves, and a last one."""
    waves, rest = divmod(-(-blocks // multiprocessors), resident)
    full = waves * max(resident * busiest, chain)
    return full + (max(rest * busiest, chain) if rest else 0.0)


def peak_flops(profile: CallProfile, device: DeviceFacts) -> float:
    """Operations a second that the device does at most of the call's type: float32, or of tensor cores."""
    if not profile.tensor_type:
        return device.flops
    rates = {"tf32": device.tf32_flops, "s8": device.byte_ops, "u8": device.byte_ops}
    return rates.get(profile.tensor_type, device.half_flops)


def _tensor_seconds(profile: CallProfile, device: DeviceFacts) -> float:
    """Seconds of the matrix products on tensor cores, on all multiprocessors together; 0 on a device without them."""
    rate = peak_flops(profile, device)
    return profile.counters.flops / rate if rate else 0.0


def _arithmetic_seconds(profile: CallProfile, device: DeviceFacts) -> float:
    """What the call's multiply-adds take at the device's peak."""
    issued = profile.counters.issued
    if issued["tensor"]:
        return _tensor_seconds(profile, device)
    if issued["dot"]:
        return issued["dot"] * WARP / (_LANES["dot"] * device.multiprocessors * device.clock)
    return 2 * issued["fma"] * WARP / device.flops
