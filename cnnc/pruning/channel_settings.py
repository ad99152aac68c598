"""What a user may choose of a pruning of channels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import gcd

from cnnc.errors import OptionError
from cnnc.pruning.settings import CRITERIA

CHANNEL_SCOPES = ("layer", "global")
"""Whether every group of channels has the ratio, or all groups together."""


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """How to prune channels. Ratios are shares of channels that go, at least 0 and less than 1.

    Attributes:
        sparsity: ratio of the groups that ``ratios`` does not name; None: those stay whole, or the latency decides.
        target_latency: instead of a sparsity, how long a run may take: ``5ms``, ``800us``, ``0.1s``, or ``0.7x`` of
            what it takes; see ``channel_latency``. Groups that ``ratios`` names keep their ratio.
        criterion: of ``CRITERIA``, see ``channel_scores``.
        p: for ``lp``, the exponent of the norm of a filter: 1, 2, any other above 0, or infinity.
        scope: of ``CHANNEL_SCOPES``. ``layer``: every group of channels has the ratio; ``global``: the channels of
            least score go wherever they are.
        max_layer_sparsity: with ``global`` and with a latency, no group loses more than this share.
        ratios: names of layers or of their weights, and the ratio of the group that they are in; the last one counts.
        exclude: names of layers or of their weights whose channels stay, with all that must stay with them.
        round_to: how many channels are left is a multiple of this; None: of ``default_multiple``.
        min_channels: so many are left in every group, at least.

    In names ``*`` stands for any text and ``?`` for any character.

    Raises:
        OptionError: a value that makes no sense.
    """

    sparsity: float | None = None
    target_latency: str | None = None
    criterion: str = "magnitude"
    p: float = 2.0
    scope: str = "layer"
    max_layer_sparsity: float = 1.0
    ratios: tuple[tuple[str, float], ...] = ()
    exclude: tuple[str, ...] = ()
    round_to: int | None = None
    min_channels: int = 1

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise OptionError(f"there is no criterion {self.criterion!r}", hint=f"use {', '.join(CRITERIA)}")
        if self.scope not in CHANNEL_SCOPES:
            hint = f"use {', '.join(CHANNEL_SCOPES)}"
            raise OptionError(f"there is no scope {self.scope!r} for channels", where="scope", hint=hint)
        if not self.p > 0:
            raise OptionError(f"p={self.p} gives no norm", where="p", hint="give 1, 2, another number above 0, or inf")
        if not 0 < self.max_layer_sparsity <= 1:
            what = f"max_layer_sparsity={self.max_layer_sparsity} is not above 0 and at most 1"
            raise OptionError(what, where="max_layer_sparsity", hint="give 0.9, for example")
        for where, ratio in [("sparsity", self.sparsity), *self.ratios]:
            if ratio is not None and not 0 <= ratio < 1:
                what = f"{ratio} is no share of channels to remove: it lies from 0 to below 1"
                raise OptionError(what, where=where, hint="give 0.3 to remove three tenths")
        if self.target_latency is not None:
            if self.sparsity is not None:
                what = "a latency to reach decides how many channels go; a sparsity is given, too"
                raise OptionError(what, where="target_latency", hint="give one of them")
            parse_latency(self.target_latency)
        for where, count in (("round_to", self.round_to), ("min_channels", self.min_channels)):
            if count is not None and count < 1:
                raise OptionError(f"{count} is no number of channels", where=where, hint="give 1 or more")

    def check_amount(self) -> None:
        """Refuse settings that do not say how many channels go.

        Raises:
            OptionError: there is neither a sparsity, nor a ratio, nor a latency.
        """
        if self.sparsity is None and not self.ratios and self.target_latency is None:
            raise OptionError("it is not said how many channels go", where="sparsity", hint="give 0.3, for example")

    def multiple(self, channels: int, width: int) -> int:
        """How many classes of ``width`` channels are added or left at a time, in a group of so many channels."""
        channels_at_a_time = self.round_to or default_multiple(channels)
        return channels_at_a_time // gcd(channels_at_a_time, width)


@dataclass(frozen=True, slots=True)
class LatencyTarget:
    """How long a run may take: ``seconds``, or ``ratio`` of what it takes before; the other is None."""

    seconds: float | None
    ratio: float | None

    def limit(self, before: float) -> float:
        """In seconds, where the model takes ``before``."""
        if self.seconds is not None:
            return self.seconds
        assert self.ratio is not None
        return self.ratio * before


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def parse_latency(text: str) -> LatencyTarget:
    """``5ms``, ``800us``, ``0.1s`` or ``0.7x``.

    Raises:
        OptionError: it is none of these.
    """
    found = re.fullmatch(r"([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)(us|ms|s|x)", text.strip())
    number = float(found[1]) if found else 0.0
    if found is None or not number > 0:
        hint = "write 5ms, 800us, 0.1s, or 0.7x for that share of what the model takes"
        raise OptionError(f"{text!r} is no latency", where="target_latency", hint=hint)
    if found[2] == "x":
        return LatencyTarget(None, number)
    return LatencyTarget(number * _UNITS[found[2]], None)


def default_multiple(channels: int) -> int:
    """Channels are left in multiples of 8 where there are 64 or more, of 4 from 32 on, of 2 from 16 on.

    Kernels work on vectors of 16 output channels and have tiles for a last half vector (``runtime/cpu``); integer
    layers take four channels at a time. So 8 wastes no lanes. In smaller groups 8 would be more than an eighth of the
    channels, and a ratio would be met only roughly.
    """
    return next((multiple for multiple in (8, 4, 2) if multiple * 8 <= channels), 1)
