"""A picture of a layer: its pixels, what they show, and the file that it becomes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from cnnc.view.colour_map import STEPS, Pixels, colours
from cnnc.view.tiles import BACKGROUND

if TYPE_CHECKING:
    from PIL.Image import Image

COLOUR = "rgb"
"""In place of a colour map: values are shares of red, green and blue around a grey zero."""

_MARGIN = 8
_LINE = 16
_LEAST_WIDTH = 480
_BAR_HEIGHT = 12
_TEXT_COLOUR = (40, 40, 40)
_FAINT_COLOUR = (110, 110, 110)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Kernels or activations of one layer.

    Attributes:
        layer: name of the node.
        op: of the node.
        what: ``kernels`` or ``activations``.
        shape: of the whole weight or tensor.
        low, high: values of the first and the last colour.
        colours: ``diverging``, ``sequential``, or ``rgb``.
        shown: what the tiles are.
        left_out: what is not shown, or "".
        pixels: the tiles [H, W, 3].
    """

    layer: str
    op: str
    what: str
    shape: tuple[int, ...]
    low: float
    high: float
    colours: str
    shown: str
    left_out: str
    pixels: Pixels

    @property
    def caption(self) -> tuple[str, str]:
        """Two lines: whose picture it is, and what it shows."""
        sizes = "x".join(map(str, self.shape))
        missing = f"; left out: {self.left_out}" if self.left_out else ""
        return f"{self.layer}: {self.what} of {self.op}, {sizes}", f"{self.shown}{missing}"

    def image(self) -> Image:
        """The tiles between a caption and a legend, as an RGB image of Pillow."""
        from PIL import Image, ImageDraw, ImageFont

        height, width = self.pixels.shape[:2]
        size = max(width + 2 * _MARGIN, _LEAST_WIDTH), height + 3 * _LINE + _BAR_HEIGHT + 3 * _MARGIN
        image = Image.new("RGB", size, BACKGROUND)
        draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
        for line, (text, colour) in enumerate(zip(self.caption, (_TEXT_COLOUR, _FAINT_COLOUR), strict=True)):
            draw.text((_MARGIN, _MARGIN + line * _LINE), _fitting(text, size[0]), fill=colour, font=font)
        top = _MARGIN + 2 * _LINE + _MARGIN // 2
        image.paste(Image.fromarray(self.pixels), (_MARGIN, top))
        bar = Image.fromarray(self._legend_bar())
        image.paste(bar, (_MARGIN, top + height + _MARGIN))
        draw.text(
            (_MARGIN + bar.width + _MARGIN, top + height + _MARGIN - 2), self.legend, fill=_FAINT_COLOUR, font=font
        )
        return image

    @property
    def legend(self) -> str:
        """The range of the colours."""
        if self.colours == COLOUR:
            return f"{self.low:.4g} to {self.high:.4g} in red, green and blue; grey is 0"
        return f"{self.low:.4g} to {self.high:.4g}"

    def save(self, path: str | PathLike[str]) -> None:
        """Write a PNG file, the same bytes for the same picture and version of Pillow."""
        self.image().save(path, format="PNG", optimize=True)

    def png(self) -> bytes:
        """The bytes of such a file."""
        file = io.BytesIO()
        self.image().save(file, format="PNG", optimize=True)
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()

    def _legend_bar(self) -> Pixels:
        if self.colours == COLOUR:
            ramp = np.linspace(0, 255, STEPS).astype(np.uint8)
            row = np.repeat(ramp[:, None], 3, axis=1)
        else:
            row = colours(self.colours)
        return np.repeat(row[None], _BAR_HEIGHT, axis=0)


def _fitting(text: str, width: int) -> str:
    """``text``, cut where it is sure to leave the picture."""
    most = max(20, (width - 2 * _MARGIN) // 6)
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= most else printable[: most - 3] + "..."
