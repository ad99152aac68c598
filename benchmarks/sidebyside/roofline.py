"""The roofline plot: each model's layers against the measured limits of the machine.

After Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52 (2009).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sidebyside.store import MACHINE, Store

COLUMNS = 4
COLOURS = {"conv": "tab:blue", "gemm": "tab:red", "matmul": "tab:red", "conv_transpose": "tab:purple"}
OTHER_COLOUR = "tab:green"
FLOPS_PER_MAC = 2


def plot_rooflines(store: Store, stem: Path) -> Path | None:
    """Write ``stem``-roofline.png and .svg, a panel a model; None if no model's layers are measured.

    A dot is a layer that multiplies: its size is its share of the model's time. Operations are those of direct
    convolution, so a layer that needs fewer may lie above the roof of multiply-adds.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    profiles = {model: store.read(model)["layers"] for model in store.models() if "layers" in store.read(model)}
    if not profiles:
        return None
    limits = store.read(MACHINE)["machine"]["limits"]
    rows = math.ceil(len(profiles) / COLUMNS)
    size = (4.2 * COLUMNS, 3.0 * rows)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=size, squeeze=False, sharex=True, sharey=True)
    panels = list(axes.flat)
    for axis, (model, profile) in zip(panels, profiles.items(), strict=False):
        _draw_roofs(axis, limits)
        _draw_layers(axis, profile["layers"])
        axis.set_title(f"{model}: {profile['seconds'] * 1e3:.3g} ms", fontsize=9)
    for axis in panels[len(profiles) :]:
        axis.set_visible(False)
    for row in axes:
        row[0].set_ylabel("GFLOP/s")
    for axis in panels[max(0, len(profiles) - COLUMNS) : len(profiles)]:
        axis.tick_params(labelbottom=True)
    figure.supxlabel("FLOP per byte that the layer reads or writes", fontsize=10)
    figure.tight_layout()
    png = stem.with_name(f"{stem.name}-roofline.png")
    figure.savefig(png, dpi=110)
    figure.savefig(png.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(figure)
    return png


def _draw_roofs(axis: Any, limits: Mapping[str, Any]) -> None:
    peak = limits["peak_flops"] / 1e9
    intensities = [2.0 ** (step / 8) for step in range(-3 * 8, 12 * 8)]
    for number, (level, rate) in enumerate(limits["bytes_per_second"].items()):
        roof = [min(peak, intensity * rate / 1e9) for intensity in intensities]
        axis.plot(intensities, roof, color="0.35", linewidth=0.8, linestyle=("-", "--", "-.", ":")[number % 4])
        axis.text(0.14, 0.16 * rate / 1e9, level, fontsize=6, color="0.35")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_ylim(1, 8 * peak)
    axis.grid(alpha=0.2)


def _draw_layers(axis: Any, layers: Sequence[Mapping[str, Any]]) -> None:
    total = sum(layer["seconds"] for layer in layers)
    shown = [layer for layer in layers if layer["macs"] and layer["bytes"]]
    axis.scatter(
        [FLOPS_PER_MAC * layer["macs"] / layer["bytes"] for layer in shown],
        [layer["gflops"] for layer in shown],
        s=[4 + 400 * layer["seconds"] / total for layer in shown],
        c=[COLOURS.get(layer["op"], OTHER_COLOUR) for layer in shown],
        alpha=0.5,
        linewidths=0,
    )
    rest = 1 - sum(layer["seconds"] for layer in shown) / total
    axis.text(0.98, 0.03, f"{rest:.0%} in other layers", fontsize=6, ha="right", transform=axis.transAxes)
