"""The machine's own constants of the cost model: measured once, on request, and kept in the cache."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from typing import Any

from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.runtime.jit import cache
from cnnc.runtime.jit.target import cpu_model, has_bfloat_products, host_target

VERSION = 2


def calibrate() -> Machine:
    """Measure this machine, in about a second, and keep the result for later compilations.

    The rates are of one thread. Builds depend on them from then on; ``forget`` undoes it.
    """
    from cnnc.tuning.bandwidth import MemoryReader, cache_sizes
    from cnnc.tuning.machine_peak import MachinePeak

    sizes, rates = cache_sizes(), MemoryReader().levels()
    machine = Machine(
        flops=MachinePeak().flops(),
        bf16_flops=MachinePeak("bf16").flops() if has_bfloat_products(host_target()) else USUAL_MACHINE.bf16_flops,
        l2_bandwidth=rates["L2"],
        l3_bandwidth=rates["L3"],
        memory_bandwidth=rates["DRAM"],
        l2_bytes=sizes["L2"],
        l3_bytes=sizes["L3"],
    )
    cache.store_file(_file_name(), json.dumps(machine_to_json(machine), indent=1).encode())
    return machine


def known_machine() -> Machine:
    """What ``calibrate`` measured here, or the usual machine where it has not run."""
    return calibrated_machine() or USUAL_MACHINE


def calibrated_machine() -> Machine | None:
    """What ``calibrate`` measured here; None where it has not run, or the file is damaged."""
    data = cache.load_file(_file_name())
    try:
        return None if data is None else machine_of_json(json.loads(data))
    except (ValueError, RecursionError):
        return None


def machine_to_json(machine: Machine) -> dict[str, Any]:
    """What ``machine_of_json`` reads."""
    return {"version": VERSION, **dataclasses.asdict(machine)}


def machine_of_json(value: Any) -> Machine:
    """A machine from what JSON holds.

    Raises:
        ValueError: it is none of this version.
    """
    names = [item.name for item in dataclasses.fields(Machine)]
    if not isinstance(value, dict) or value.get("version") != VERSION or not set(names) <= value.keys():
        raise ValueError("these are no rates of a machine")
    rates = [value[name] for name in names]
    if not all(type(rate) in (int, float) and 0 < rate < math.inf for rate in rates):
        raise ValueError("a machine has a rate that is no positive number")
    return Machine(*rates[:5], *map(int, rates[5:]))


def forget() -> None:
    """Go by the usual machine again."""
    cache.remove_file(_file_name())


def _file_name() -> str:
    target = host_target()
    name = f"{cpu_model()}\0{target.cpu}{target.features}"
    return f"machine-{hashlib.sha256(name.encode()).hexdigest()}.json"
