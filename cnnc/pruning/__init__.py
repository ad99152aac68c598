"""Pruning: weights of least worth become 0, without training.

``weights`` says which constants are pruned, ``criteria`` what their elements are worth, ``patterns`` which of them go
together, and ``allocation`` how many; ``masks`` sets them to 0. ``api`` joins them, ``report`` tells what became of a
model. ``sensitivity`` scores models with one layer pruned. ``gradients`` reads files of them.

Whole channels go in files of their own: ``channel_groups`` says which are compared with each other, ``channel_scores``
what they are worth, ``channel_allocation`` how many of each group go, and ``channel_api`` joins these; which channels
can only go together, and the smaller graph, come from ``cnnc.channels``.

``recovery`` makes up for what went on sample data: ``reconstruction`` fits layers by ``least_squares`` to
``paired_moments`` of the dense network and the pruned one, and ``batch_norm_reestimation`` takes statistics anew.
"""

from cnnc.pruning.api import Pruned, prune, prune_graph, recovered
from cnnc.pruning.channel_api import PrunedChannels, prune_channels, prune_graph_channels
from cnnc.pruning.channel_report import GroupReport, ModelCost
from cnnc.pruning.channel_settings import ChannelSettings
from cnnc.pruning.masks import Masks, apply_masks
from cnnc.pruning.recovery import RECOVERIES, Recovery
from cnnc.pruning.report import Totals, WeightReport
from cnnc.pruning.sensitivity import Sensitivity, scan_sensitivity
from cnnc.pruning.sensitivity_plot import plot_sensitivity
from cnnc.pruning.settings import CRITERIA, SCOPES, Settings

__all__ = [
    "CRITERIA",
    "RECOVERIES",
    "SCOPES",
    "ChannelSettings",
    "GroupReport",
    "Masks",
    "ModelCost",
    "Pruned",
    "PrunedChannels",
    "Recovery",
    "Sensitivity",
    "Settings",
    "Totals",
    "WeightReport",
    "apply_masks",
    "plot_sensitivity",
    "prune",
    "prune_channels",
    "prune_graph",
    "prune_graph_channels",
    "recovered",
    "scan_sensitivity",
]
