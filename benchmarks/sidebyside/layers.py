"""Each layer of a model against the machine: rate, and bytes that it must move, for the roofline plot."""

from __future__ import annotations

from typing import Any

from cnnc.cli.layer_profile import profile_layers
from cnnc.tuning.bandwidth import MemoryReader, cache_sizes
from cnnc.tuning.machine_peak import MachinePeak
from sidebyside.subject import Subject


def measure_layers(subject: Subject) -> dict[str, Any]:
    """The profile of every step on one thread, see ``profile_layers``."""
    return profile_layers(subject.compiled, subject.feeds, 1)


def measure_limits() -> dict[str, Any]:
    """The roofs on one thread: FLOP/s of multiply-adds in registers, bytes per second by level of the memory."""
    return {
        "peak_flops": MachinePeak().flops(),
        "bytes_per_second": MemoryReader().levels(),
        "cache_bytes": cache_sizes(),
    }
