"""Options that name input files and say how images become arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--input`` and the options for images; the command gets ``inputs`` (texts) and ``images`` (settings)."""
    return _INPUT(image_options(command))


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options for images; the command gets ``images`` (settings)."""

    @functools.wraps(command)
    def with_settings(
        *args: Any,
        size: str | None,
        mean: str | None,
        std: str | None,
        white: float,
        channels: str,
        layout: str,
        **options: Any,
    ) -> Any:
        from cnnc.cli.images import ImageSettings

        settings = ImageSettings.of(size, mean, std, white, channels, layout)
        return command(*args, images=settings, **options)

    wrapped: Callable[..., Any] = with_settings
    for option in reversed(_IMAGES):
        wrapped = option(wrapped)
    return wrapped


_INPUT = click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="An array (.npy, .npz, ONNX .pb) or image (PNG, JPEG) for an input. The name may be left out where there "
    "is one input; several files for one input make a batch.",
)

_IMAGES = (
    click.option("--size", metavar="HxW", help="Images: resize to this; the model's size if it has one."),
    click.option("--mean", metavar="R,G,B", help="Images: subtract this from pixels that run from 0 to --white."),
    click.option("--std", metavar="R,G,B", help="Images: divide by this afterwards."),
    click.option("--white", type=float, default=1.0, show_default=True, help="Images: the value of a white pixel."),
    click.option(
        "--channels",
        type=click.Choice(["rgb", "bgr"]),
        default="rgb",
        show_default=True,
        help="Images: order of the channels. A model with one channel gets grey.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["NCHW", "NHWC"]),
        default="NCHW",
        show_default=True,
        help="Images: order of the input's axes.",
    ),
)
