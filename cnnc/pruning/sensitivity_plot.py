"""A sensitivity scan as a picture: a line for each layer, score against ratio."""

from __future__ import annotations

import math
import os
from pathlib import Path

from cnnc.errors import OptionError
from cnnc.pruning.sensitivity import Sensitivity

MOST_LABELS = 20
"""So many layers have a place in the legend: those that fall first."""


_COLOURS = 10
"""After so many lines matplotlib begins with the first colour again."""

_STYLES = ("-", "--", ":", "-.")


def check_plot(path: str | os.PathLike[str]) -> None:
    """Refuse a picture that cannot be made, before minutes of work.

    Raises:
        OptionError: matplotlib is not installed, or does not know the format.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        what = "a plot needs matplotlib, which is not installed"
        raise OptionError(what, where=str(path), hint="pip install cnnc[bench]") from error
    ending = Path(path).suffix.removeprefix(".")
    kinds = FigureCanvasBase.get_supported_filetypes()
    if ending not in kinds:
        what = f"no picture is of the kind {ending!r}"
        raise OptionError(what, where=str(path), hint=f"let its name end in one of {', '.join(sorted(kinds))}")


def plot_sensitivity(found: Sensitivity, path: str | os.PathLike[str]) -> None:
    """Write the picture; the file's ending says which format.

    Raises:
        OptionError: see ``check_plot``.
        OSError: the file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5))
    axes = figure.add_subplot()
    lowest = sorted(found.scores, key=lambda name: found.scores[name][::-1])
    start = [] if math.isinf(found.dense) else [(0.0, found.dense)]
    for index, name in enumerate(lowest):
        points = start + list(zip(found.ratios, found.scores[name], strict=True))
        label = found.layers[name] if name in lowest[:MOST_LABELS] else None
        style = _STYLES[index // _COLOURS % len(_STYLES)]
        axes.plot(*zip(*points, strict=True), marker=".", linestyle=style, label=label)
    axes.set_xlabel("share of the layer's weights that are 0")
    axes.set_ylabel(found.metric)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None} if Path(path).suffix == ".svg" else None)
