"""GPUs without a GPU: programs on the PTX emulator, what their kernels are charged with, and predicted times."""

from __future__ import annotations

from cnnc.emulation.array_kernel import compile_arrays, launch_arrays
from cnnc.emulation.device import EmulatedDevice
from cnnc.emulation.prediction import Prediction, peak_flops, predict
from cnnc.emulation.profile import CallProfile, Profiler

__all__ = [
    "CallProfile",
    "EmulatedDevice",
    "Prediction",
    "Profiler",
    "compile_arrays",
    "launch_arrays",
    "peak_flops",
    "predict",
]
