"""Images as model inputs: decoded, resized, scaled, normalised and laid out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnc.errors import InputError, OptionError
from cnnc.runtime.input_check import shape_text
from cnnc.runtime.program import Port
from cnnc.types import DType

Array = np.ndarray[Any, Any]

MAX_PIXELS = 1 << 27
"""Larger images are refused before they are decoded."""

_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How pixels become numbers: ``(pixel * white / 255 - mean) / std``.

    Attributes:
        size: (H, W), or None for the model's own.
        mean, std: one number, or one a channel.
        white: the value of a white pixel before ``mean`` is subtracted.
        channels: rgb or bgr.
        layout: NCHW or NHWC.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    white: float = 1.0
    channels: str = "rgb"
    layout: str = "NCHW"

    @staticmethod
    def of(
        size: str | None, mean: str | None, std: str | None, white: float, channels: str, layout: str
    ) -> ImageSettings:
        """Settings from the texts of the command line.

        Raises:
            OptionError: a text is not a size or not numbers.
        """
        means, deviations = _numbers("--mean", mean, (0.0,)), _numbers("--std", std, (1.0,))
        if 0.0 in deviations:
            raise OptionError("a standard deviation of 0 divides by 0", where="--std", hint="give positive numbers")
        return ImageSettings(_size(size), means, deviations, white, channels, layout)


def is_image(start: bytes) -> bool:
    """Whether a file that starts like this is a PNG or JPEG image."""
    return start.startswith(_MAGIC)


def image_array(path: Path, port: Port, settings: ImageSettings) -> Array:
    """The image as an array [1, C, H, W] or [1, H, W, C] of the input's dtype.

    Raises:
        InputError: the image cannot be read, or the input is no image.
        OptionError: ``mean`` or ``std`` has another number of values than the input has channels.
    """
    channels, size = _channels_and_size(port, settings)
    pixels = _pixels(path, channels, settings.size or size)
    if settings.channels == "bgr" and channels == 3:
        pixels = pixels[:, :, ::-1]
    values = _normalised(pixels, port, settings)
    if settings.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None])


def _channels_and_size(port: Port, settings: ImageSettings) -> tuple[int, tuple[int, int] | None]:
    """Channels of the input, and (H, W) where the model fixes them."""
    where = f"input {port.name!r}"
    if len(port.shape) != 4:
        raise InputError(
            f"an image needs an input of rank 4, this one is {shape_text(port.shape)}", where=where, hint="give an .npy"
        )
    channel_axis = 1 if settings.layout == "NCHW" else 3
    channels = port.shape[channel_axis]
    if not isinstance(channels, int):
        channels = 3
    if channels not in (1, 3):
        raise InputError(
            f"an image has 1 or 3 channels, axis {channel_axis} of {shape_text(port.shape)} is {channels}",
            where=where,
            hint=f"is the layout {'NHWC' if settings.layout == 'NCHW' else 'NCHW'}? see --layout",
        )
    height, width = port.shape[2:] if settings.layout == "NCHW" else port.shape[1:3]
    if isinstance(height, int) and isinstance(width, int):
        return channels, (height, width)
    return channels, None


def _pixels(path: Path, channels: int, size: tuple[int, int] | None) -> Array:
    """uint8 pixels [H, W, C]."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{image.width}x{image.height} pixels are too many", where=str(path), hint="shrink it")
            plain = image.convert("L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"the image cannot be read: {error}", where=str(path), hint="is it damaged?") from error
    if size is not None and plain.size != (size[1], size[0]):
        plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(plain)
    return pixels[:, :, None] if channels == 1 else pixels


def _normalised(pixels: Array, port: Port, settings: ImageSettings) -> Array:
    if port.dtype is DType.U8:
        return pixels
    if not port.dtype.is_float:
        raise InputError(
            f"an image cannot become {port.dtype.value}", where=f"input {port.name!r}", hint="give an .npy"
        )
    channels = pixels.shape[2]
    for option, values in (("--mean", settings.mean), ("--std", settings.std)):
        if len(values) not in (1, channels):
            raise OptionError(
                f"{len(values)} values for {channels} channels", where=option, hint=f"give 1 or {channels} numbers"
            )
    scaled = pixels.astype(np.float32) * np.float32(settings.white / 255)
    centred = scaled - np.array(settings.mean, np.float32)
    return (centred / np.array(settings.std, np.float32)).astype(port.dtype.numpy)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:[xX,](\d{1,5}))?", text)
    if found is None or not int(found[1]) or not int(found[2] or found[1]):
        raise OptionError(f"cannot read {text!r}", where="--size", hint="write HEIGHTxWIDTH, such as 224x224, or 224")
    return int(found[1]), int(found[2] or found[1])


def _numbers(option: str, text: str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    if text is None:
        return default
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"cannot read {text!r}", where=option, hint="write numbers: 0.485,0.456,0.406") from error
    if not all(np.isfinite(values)):
        raise OptionError(f"{text!r} is not finite", where=option, hint="write numbers: 0.485,0.456,0.406")
    return values
