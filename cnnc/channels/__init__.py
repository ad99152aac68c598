"""Channels of a graph: which depend on each other, and the graph without some of them.

Every index along a channel axis carries a channel's number (``couplings``). The rules of the ops (``rules_*``,
``reshape_labels``) carry numbers from tensor to tensor and couple channels that can only go together (``tracker``,
``dependencies``). ``shrinking`` makes the graph without some classes of channels; ``size_operands`` corrects the
reshapes, splits and slices in it.

The method is that of Fang et al., DepGraph: Towards Any Structural Pruning, 2023, with channels in place of layers as
the nodes of the graph of dependencies.
"""

from cnnc.channels.couplings import Couplings, Labels
from cnnc.channels.dependencies import Dependencies, dependencies
from cnnc.channels.shrinking import shrink
from cnnc.channels.tracker import Reading, Source

__all__ = ["Couplings", "Dependencies", "Labels", "Reading", "Source", "dependencies", "shrink"]
