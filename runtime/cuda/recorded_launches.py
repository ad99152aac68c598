"""Launches that come again: what a call launched at some addresses, it launches as one CUDA graph next time.

A launch takes a few microseconds of the host, as many as a small kernel takes on the device: networks of small layers
would wait for the host.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.device import Device

KEPT = 64
"""Records that are kept, the newest ones used."""


@dataclass(frozen=True, slots=True)
class _Run:
    """The last run of some launches.

    Attributes:
        places: all addresses that went into their arguments.
        record: what the device made of them; None where they ran once, or the device makes no records.
        plain: never to be recorded.
    """

    places: tuple[int, ...]
    record: Any | None = None
    plain: bool = False


class RecordedLaunches:
    """Of one device; for one caller at a time."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._runs: OrderedDict[Hashable, _Run] = OrderedDict()

    def run(self, key: Hashable, places: tuple[int, ...], launch: Callable[[], None]) -> None:
        """Do what ``launch`` does: launches that depend on nothing but ``key`` and ``places``.

        The first time at new places it is called. The second time it is recorded, from then on the record runs.
        """
        last = self._runs.pop(key, None)
        if last is None or last.places != places:
            last = _Run(places)
            launch()
        elif last.plain:
            launch()
        else:
            record = self._device.record(launch) if last.record is None else last.record
            last = _Run(places, record, plain=record is None)
            if record is None:
                launch()
            else:
                self._device.replay(record)
        self._runs[key] = last
        if len(self._runs) > KEPT:
            self._runs.popitem(last=False)
