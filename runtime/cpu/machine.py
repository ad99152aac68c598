"""What one core does in a second: the constants of the cost model. Measured ones come from ``cnnc calibrate``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates of one core, while the others have work of their own.

    Attributes:
        flops: multiply-adds on registers, two operations each, a second.
        bf16_flops: the same for products of bfloat16, where the CPU has them; elsewhere nothing depends on it.
        l2_bandwidth, l3_bandwidth, memory_bandwidth: bytes a second that loops of vector loads read.
        l2_bytes, l3_bytes: sizes of the caches.
    """

    flops: float
    bf16_flops: float
    l2_bandwidth: float
    l3_bandwidth: float
    memory_bandwidth: float
    l2_bytes: int
    l3_bytes: int

    def fma_seconds(self, lanes: int) -> float:
        """Seconds of a multiply-add on vectors of ``lanes`` floats: the unit in which tilings count their costs."""
        return 2 * lanes / self.flops

    def bf16_step_cost(self) -> float:
        """Vector multiply-adds of float32 in the time of an instruction that adds two products of bfloat16 a lane."""
        return 2 * self.flops / self.bf16_flops

    def l3_bytes_per_fma(self, lanes: int) -> float:
        """Bytes that the third-level cache gives in the time of a vector multiply-add."""
        return self.l3_bandwidth * self.fma_seconds(lanes)

    def memory_bytes_per_fma(self, lanes: int) -> float:
        """Bytes that memory gives in the time of a vector multiply-add."""
        return self.memory_bandwidth * self.fma_seconds(lanes)

    def bandwidth(self, size: int) -> float:
        """Bytes a second from the smallest cache that holds ``size`` bytes twice over, or from memory."""
        if 2 * size <= self.l2_bytes:
            return self.l2_bandwidth
        return self.l3_bandwidth if 2 * size <= self.l3_bytes else self.memory_bandwidth


USUAL_MACHINE = Machine(
    flops=115e9,
    bf16_flops=230e9,
    l2_bandwidth=110e9,
    l3_bandwidth=95e9,
    memory_bandwidth=28e9,
    l2_bytes=1 << 20,
    l3_bytes=32 << 20,
)
"""A core of an AMD EPYC (Zen 4). Where nothing is calibrated every build goes by these, so that it can be repeated."""

CALL_SECONDS = 5e-7
"""Of a kernel call, beside its work: begin and end of an instruction, a few claims of chunks."""
