"""Opens this machine's GPU."""

from __future__ import annotations

from cnnc.errors import OptionError
from cnnc.runtime.cuda.device import Device


def open_device() -> Device:
    """This machine's first GPU.

    Raises:
        OptionError: there is none that programs can run on.
    """
    raise OptionError(
        "no GPU can be opened here",
        where="device",
        hint="run on the CPU, or pass an EmulatedDevice",
    )
