"""Options of ``cnnc quantize`` that say how ranges, weights and biases are found."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

_METHODS = ("minmax", "average", "percentile", "entropy", "mse")
_ROUNDINGS = ("nearest", "gptq")


def quantization_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets ``settings``."""

    @functools.wraps(command)
    def with_settings(*args: Any, per_tensor: bool, keep_range: bool, keep_bias: bool, **options: Any) -> Any:
        from cnnc.quantization import Settings

        settings = Settings(
            per_channel=not per_tensor,
            clip_weights=not keep_range,
            correct_bias=not keep_bias,
            **{name: options.pop(name) for name in _AS_THEY_ARE},
        )
        return command(*args, settings=settings, **options)

    wrapped: Callable[..., Any] = with_settings
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_AS_THEY_ARE = (
    "method",
    "percentile",
    "symmetric",
    "equalise",
    "rounding",
    "reestimate_batch_norm",
    "keep_first",
    "keep_last",
    "exclude",
)
"""Fields of ``Settings`` that are options of the same name."""

_OPTIONS = (
    click.option(
        "--method",
        type=click.Choice(_METHODS),
        default="minmax",
        show_default=True,
        help="How the range of an activation is taken from the samples.",
    ),
    click.option(
        "--percentile", type=float, default=99.99, show_default=True, help="For that method: percent in range."
    ),
    click.option("--per-tensor", is_flag=True, help="One scale for each weight tensor, instead of one a channel."),
    click.option("--symmetric", is_flag=True, help="Ranges of activations lie evenly around 0."),
    click.option(
        "--equalise/--no-equalise",
        default=None,
        help="Balance the weights' ranges between convolutions first; done where --per-tensor is given.",
    ),
    click.option("--keep-range", is_flag=True, help="Scales hold the largest weight, instead of the least error."),
    click.option(
        "--rounding",
        type=click.Choice(_ROUNDINGS),
        default="gptq",
        show_default=True,
        help="How weights become integers: the nearest, or those with the nearest results.",
    ),
    click.option("--keep-bias", is_flag=True, help="Biases do not take up the mean error of rounded weights."),
    click.option("--reestimate-batch-norm", is_flag=True, help="Scales keep the deviation of each channel's results."),
    click.option("--keep-first", is_flag=True, help="Layers that read the model's inputs stay in float."),
    click.option("--keep-last", is_flag=True, help="Layers that give the model's results stay in float."),
    click.option("--exclude", multiple=True, metavar="TEXT", help="Nodes whose name contains this stay in float."),
)
