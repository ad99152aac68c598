"""A PTX emulator: parses the PTX that compilers write for NVIDIA GPUs and executes it on NumPy arrays.

    module = parse_ptx(text)
    emulator = Emulator(module)
    address = emulator.memory.allocate(array)
    counters = emulator.launch("kernel", grid=(4,), block=(128,), arguments=[address, 512])

It checks every access (bounds, alignment, races on shared memory), every barrier, and counts what the hardware would
be charged with: instructions by class, memory sectors against the least possible, bank conflicts, divergent branches.
"""

from cnnc.ptx.counters import Counters
from cnnc.ptx.execute import Emulator
from cnnc.ptx.memory import AccessError, GlobalMemory
from cnnc.ptx.module import Entry, Module
from cnnc.ptx.parser import parse_ptx

__all__ = ["AccessError", "Counters", "Emulator", "Entry", "GlobalMemory", "Module", "parse_ptx"]
