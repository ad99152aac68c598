"""What a user may choose of a quantization."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import OptionError

METHODS = ("minmax", "average", "percentile", "entropy", "mse")
"""How the range of an activation is taken from samples, see ``ranges``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to quantize.

    Attributes:
        method: of ``METHODS``.
        percentile: for that method, the share of elements in the range, in percent.
        per_channel: one scale for each output channel of weights; else one for each weight tensor.
        symmetric: ranges of activations lie evenly around 0, unless nothing is below it.
        fold_batch_norm: fold batch normalizations into weights first.
        exclude: names of nodes, or parts of them, that stay in float.

    Raises:
        OptionError: a value that makes no sense.
    """

    method: str = "minmax"
    percentile: float = 99.99
    per_channel: bool = True
    symmetric: bool = False
    fold_batch_norm: bool = True
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"there is no calibration method {self.method!r}", hint=f"use {', '.join(METHODS)}")
        if not 50 < self.percentile <= 100:
            raise OptionError(f"percentile={self.percentile} is not above 50 and at most 100", where="percentile")
