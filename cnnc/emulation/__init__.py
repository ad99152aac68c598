"""GPUs without a GPU: programs on the PTX emulator, what their kernels are charged with, and predicted times."""

from __future__ import annotations

from cnnc.emulation.device import EmulatedDevice
from cnnc.emulation.prediction import Prediction, peak_flops, predict
from cnnc.emulation.profile import CallProfile, Profiler

__all__ = ["CallProfile", "EmulatedDevice", "Prediction", "Profiler", "peak_flops", "predict"]
