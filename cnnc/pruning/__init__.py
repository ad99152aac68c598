"""Pruning: weights of least worth become 0, without training.

``weights`` says which constants are pruned, ``criteria`` what their elements are worth, ``patterns`` which of them go
together, and ``allocation`` how many; ``masks`` sets them to 0. ``api`` joins them, ``report`` tells what became of a
model. ``sensitivity`` scores models with one layer pruned. ``gradients`` reads files of them.
"""

from cnnc.pruning.api import Pruned, prune, prune_graph
from cnnc.pruning.masks import Masks, apply_masks
from cnnc.pruning.report import Totals, WeightReport
from cnnc.pruning.sensitivity import Sensitivity, scan_sensitivity
from cnnc.pruning.sensitivity_plot import plot_sensitivity
from cnnc.pruning.settings import CRITERIA, SCOPES, Settings

__all__ = [
    "CRITERIA",
    "SCOPES",
    "Masks",
    "Pruned",
    "Sensitivity",
    "Settings",
    "Totals",
    "WeightReport",
    "apply_masks",
    "plot_sensitivity",
    "prune",
    "prune_graph",
    "scan_sensitivity",
]
