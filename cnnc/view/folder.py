"""A folder of pictures: a PNG file each, and a page that shows them all."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from cnnc.view.picture import Picture

INDEX = "index.html"
_LONGEST_NAME = 80

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 2em; background: #fafafa; color: #282828; }}
figure {{ margin: 0 0 2em 0; }}
img {{ max-width: 100%; image-rendering: pixelated; border: 1px solid #ddd; }}
figcaption {{ margin-bottom: 0.4em; }}
</style>
</head>
<body>
<h1>{title}</h1>
{figures}
</body>
</html>
"""
_FIGURE = """<figure>
<figcaption>{caption}</figcaption>
<img src="{file}" alt="{caption}" width="{width}" height="{height}">
</figure>"""


def save_pictures(pictures: Sequence[Picture], folder: Path, title: str) -> tuple[Path, ...]:
    """Write every picture, named by its place and layer, and ``index.html``; files of these names are replaced.

    Returns:
        The files, the page last.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files, figures = [], []
    for number, picture in enumerate(pictures, 1):
        path = folder / file_name(number, picture)
        image = picture.image()
        image.save(path, format="PNG", optimize=True)
        files.append(path)
        caption = html.escape(f"{picture.caption[0]}. {picture.caption[1]}")
        figures.append(_FIGURE.format(caption=caption, file=path.name, width=image.width, height=image.height))
    page = folder / INDEX
    page.write_text(_PAGE.format(title=html.escape(title), figures="\n".join(figures)), encoding="utf-8")
    return (*files, page)


def file_name(number: int, picture: Picture) -> str:
    """Such as ``003_conv1_Conv_kernels.png``: letters, digits and ``._-`` of the layer's name only."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", picture.layer.partition(" (")[0]).strip("_.")
    return f"{number:03d}_{plain[:_LONGEST_NAME] or picture.op}_{picture.what}.png"
