"""How many channels a picture has at most, and the words for those that it leaves out."""

from __future__ import annotations

from cnnc.errors import OptionError

CHANNELS = 64
"""Most channels of a picture by default."""

MOST_CHANNELS = 256
"""Most that can be asked for."""


def check_channels(channels: int) -> None:
    """Refuse a number of channels that no picture can have.

    Raises:
        OptionError: it is not between 1 and ``MOST_CHANNELS``.
    """
    if not 1 <= channels <= MOST_CHANNELS:
        raise OptionError(
            f"{channels} is not between 1 and {MOST_CHANNELS}", where="channels", hint="name more layers instead"
        )


def missing(*counts: tuple[int, int, str]) -> str:
    """What is not shown of (shown, all, what they are) each: "32 of 96 filters"; "" where nothing is missing."""
    return ", ".join(f"{total - shown} of {total} {what}" for shown, total, what in counts if shown < total)
