"""What a user may choose of a quantization."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import OptionError

METHODS = ("minmax", "average", "percentile", "entropy", "mse")
"""How the range of an activation is taken from samples, see ``ranges``."""

ROUNDINGS = ("nearest", "gptq")
"""How weights become integers, see ``rounding``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to quantize.

    Attributes:
        method: of ``METHODS``.
        percentile: for that method, the share of elements in the range, in percent.
        per_channel: one scale for each output channel of weights; else one for each weight tensor.
        symmetric: ranges of activations lie evenly around 0, unless nothing is below it.
        fold_batch_norm: fold batch normalizations into weights first.
        equalise: balance the weights' ranges between layers first, see ``equalisation``; None: if not ``per_channel``.
        clip_weights: weight scales of the least squared error, see ``weight_clipping``; else of the largest weight.
        rounding: of ``ROUNDINGS``, see ``rounding``.
        correct_bias: biases take up the mean error of rounded weights, see ``bias_correction``.
        reestimate_batch_norm: scales keep the deviation of a layer's results, see ``batch_norm_reestimation``; with one
            scale a tensor there is none to change.
        keep_first, keep_last: layers that read the model's inputs, or give its results, stay in float.
        exclude: names of nodes, or parts of them, that stay in float.

    Raises:
        OptionError: a value that makes no sense.
    """

    method: str = "minmax"
    percentile: float = 99.99
    per_channel: bool = True
    symmetric: bool = False
    fold_batch_norm: bool = True
    equalise: bool | None = None
    clip_weights: bool = True
    rounding: str = "gptq"
    correct_bias: bool = True
    reestimate_batch_norm: bool = False
    keep_first: bool = False
    keep_last: bool = False
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"there is no calibration method {self.method!r}", hint=f"use {', '.join(METHODS)}")
        if self.rounding not in ROUNDINGS:
            raise OptionError(f"there is no rounding {self.rounding!r}", hint=f"use {', '.join(ROUNDINGS)}")
        if not 50 < self.percentile <= 100:
            raise OptionError(f"percentile={self.percentile} is not above 50 and at most 100", where="percentile")

    @property
    def equalises(self) -> bool:
        return not self.per_channel if self.equalise is None else self.equalise

    @property
    def judges_inputs(self) -> bool:
        """Whether weights are chosen by what their layers read on the samples: a further pass over them."""
        return self.clip_weights or self.rounding != "nearest" or self.correct_bias or self.reestimate_batch_norm
