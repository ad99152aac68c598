"""Measured kernel selection: what -O3 adds to -O2."""

from __future__ import annotations

from cnnc.tuning.calibration import known_machine
from cnnc.tuning.device_stopwatch import DeviceStopwatch
from cnnc.tuning.environment import Environment
from cnnc.tuning.selection import measure_graph, tuned_selection
from cnnc.tuning.stopwatch import KernelStopwatch, Stopwatch
from cnnc.tuning.tuning_file import Tuning, read_tuning

__all__ = [
    "DeviceStopwatch",
    "Environment",
    "KernelStopwatch",
    "Stopwatch",
    "Tuning",
    "known_machine",
    "measure_graph",
    "read_tuning",
    "tuned_selection",
]
