"""GPUs without a GPU: programs on the PTX emulator, and what their kernels would cost on a device."""

from __future__ import annotations

from cnnc.emulation.device import EmulatedDevice

__all__ = ["EmulatedDevice"]
