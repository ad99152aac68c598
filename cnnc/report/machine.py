"""The machine's rates, which the roofline is drawn with."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.explanation.step_bytes import StepBytes
from cnnc.lower import Lowered
from cnnc.report.facts import MachineFact
from cnnc.runtime.cpu.machine import Machine
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.jit.target import cpu_model
from cnnc.runtime.kernel import Target
from cnnc.tuning.bandwidth import MemoryReader, cache_sizes
from cnnc.tuning.calibration import calibrated_machine, known_machine
from cnnc.tuning.machine_peak import MachinePeak

MEASURED, CALIBRATED, USUAL = "measured", "calibrated", "usual"

FLOPS_PER_MAC = 2


def machine_fact(target: Target, *, measure: bool) -> MachineFact:
    """Rates of one core of this machine's CPU, or of the device that stands for a GPU architecture.

    Args:
        measure: measure them now, in about a second, instead of taking what is known.
    """
    if is_cuda(target):
        device = facts_of(target)
        of_device = ("L2", device.l2_bandwidth), ("DRAM", device.memory_bandwidth)
        return MachineFact(device.name, USUAL, 1, device.flops, of_device, (("L2", device.l2_bytes),))
    if measure:
        sizes, levels = cache_sizes(), MemoryReader().levels()
        rates = tuple((name, levels[name]) for name in ("L2", "L3", "DRAM"))
        caches = tuple((name, sizes[name]) for name in ("L2", "L3"))
        return MachineFact(cpu_model(), MEASURED, 1, MachinePeak().flops(), rates, caches)
    origin = USUAL if calibrated_machine() is None else CALIBRATED
    return _of_known(cpu_model() if origin == CALIBRATED else "a usual machine", origin, known_machine())


def _of_known(name: str, origin: str, machine: Machine) -> MachineFact:
    rates = ("L2", machine.l2_bandwidth), ("L3", machine.l3_bandwidth), ("DRAM", machine.memory_bandwidth)
    return MachineFact(name, origin, 1, machine.flops, rates, (("L2", machine.l2_bytes), ("L3", machine.l3_bytes)))


@dataclass(frozen=True, slots=True)
class Roof:
    """What the rates allow a layer.

    Attributes:
        constant_bytes: of all constants of the model: the cache that holds them is what each run reads them from.
    """

    machine: MachineFact
    constant_bytes: int

    @staticmethod
    def of(machine: MachineFact, lowered: Lowered) -> Roof:
        """The roof over the layers of a program."""
        return Roof(machine, sum(array.nbytes for array in lowered.constants))

    def seconds(self, macs: int, moved: StepBytes) -> tuple[float, float]:
        """Seconds of computing and of moving bytes, each alone.

        Activations come from the smallest cache that holds those of the layer twice over, constants from the smallest
        one that holds all of the model's.
        """
        activations = moved.read + moved.written
        moving = activations / self._bandwidth(activations) + moved.weights / self._bandwidth(self.constant_bytes)
        return FLOPS_PER_MAC * macs / self.machine.flops, moving

    def _bandwidth(self, size: int) -> float:
        rates = dict(self.machine.bandwidths)
        for level, capacity in self.machine.cache_bytes:
            if 2 * size <= capacity:
                return rates[level]
        return rates["DRAM"]
