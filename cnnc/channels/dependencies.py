"""Which channels of a graph depend on each other: every op's rule, from the first node to the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cnnc.channels import rules_channelwise as channelwise
from cnnc.channels import rules_layers as layers
from cnnc.channels import rules_moves as moves
from cnnc.channels.couplings import Couplings, Labels
from cnnc.channels.tracker import Axes, Reading, Source, Tracker
from cnnc.frozen_dataclass import dataclass
from cnnc.ir import Graph, Node, Value
from cnnc.ops import OPS

Rule = Callable[[Node, Tracker], None]

_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "conv": layers.conv,
        "conv_transpose": layers.conv_transpose,
        "gemm": layers.gemm,
        "matmul": layers.matmul,
        "batch_normalization": channelwise.channel_vectors,
        "scale_shift": channelwise.channel_vectors,
        "group_normalization": channelwise.group_normalization,
        "resize": channelwise.resize,
        "dropout": channelwise.elementwise,
        "reshape": moves.reshape,
        "flatten": moves.reshape,
        "squeeze": moves.reshape,
        "unsqueeze": moves.reshape,
        "transpose": moves.transpose,
        "concat": moves.concat,
        "split": moves.split,
        "slice": moves.slice_,
        "pad": moves.pad,
        "expand": moves.expand,
        "constant_of_shape": moves.constant_of_shape,
        "gather": moves.gather,
        "channel_shuffle": moves.channel_shuffle,
        "depth_to_space": moves.depth_to_space,
        "space_to_depth": moves.space_to_depth,
        **dict.fromkeys(
            (
                "max_pool",
                "average_pool",
                "lp_pool",
                "global_average_pool",
                "global_max_pool",
                "global_lp_pool",
                "instance_normalization",
            ),
            channelwise.over_maps,
        ),
        **dict.fromkeys(
            (
                "softmax",
                "log_softmax",
                "hardmax",
                "lrn",
                "layer_normalization",
                "rms_normalization",
                "lp_normalization",
                "mean_variance_normalization",
            ),
            channelwise.along_axes,
        ),
        **dict.fromkeys(
            (
                "reduce_sum",
                "reduce_l1",
                "reduce_l2",
                "reduce_sum_square",
                "reduce_mean",
                "reduce_max",
                "reduce_min",
                "reduce_prod",
                "reduce_log_sum",
                "reduce_log_sum_exp",
            ),
            channelwise.reduction,
        ),
    }
)
"""Rules of ops that are not elementwise. The channels of operands of any other op must stay."""

_SIZE_OPERANDS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "reshape": frozenset({1}),
        "expand": frozenset({1}),
        "slice": frozenset({1, 2}),
        "split": frozenset({1}),
        "pad": frozenset({1}),
        "resize": frozenset({3}),
        "constant_of_shape": frozenset({0}),
    }
)
"""Operands that state sizes, which ``shrinking`` corrects where they do not follow by themselves."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The channels of a graph.

    Attributes:
        graph: it must not change afterwards.
        couplings: classes of channels that go together, and why some must stay.
        labels: of the axes of each value; values without an entry have none.
        readings: ops that sum over channels.
        sources: weights whose slices produce channels.
    """

    graph: Graph
    couplings: Couplings
    labels: Mapping[Value, Axes]
    readings: tuple[Reading, ...]
    sources: tuple[Source, ...]

    def axes(self, value: Value) -> Axes:
        """Labels of each axis."""
        return self.labels.get(value) or [None] * len(value.type.shape)

    def source_labels(self, source: Source) -> Labels | None:
        """The channels that the slices of a source produce."""
        return self.axes(source.node.input(source.position))[source.axis]

    def members(self, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which channel numbers belong to these classes."""
        everything = np.arange(self.couplings.count)
        return np.isin(self.couplings.roots(everything), classes)

    def sparing(self, classes: NDArray[np.int64], worth: NDArray[np.float64]) -> NDArray[np.int64]:
        """The classes without some of the highest worth, so that no tensor loses all of its channels.

        Args:
            worth: by channel number, of each class's root.
        """
        gone = np.zeros(self.couplings.count, bool)
        gone[classes] = True
        for axes in self.labels.values():
            for labels in axes:
                if labels is not None and gone[roots := self.couplings.roots(labels)].all():
                    gone[roots[np.argmax(worth[roots])]] = False
        return np.flatnonzero(gone)


def dependencies(graph: Graph) -> Dependencies:
    """Follow the channels through a graph of the stage ``imported`` or ``normalised``."""
    tracker = Tracker()
    for node in graph.nodes:
        _visit(node, tracker)
    for value in graph.outputs:
        for labels in tracker.axes(value):
            tracker.pin(labels, f"it is graph output {value.name!r}")
    return Dependencies(graph, tracker.couplings, tracker.labels, tuple(tracker.readings), tuple(tracker.sources))


def _visit(node: Node, tracker: Tracker) -> None:
    if node.op in ("shape", "size"):
        tracker.sizes[node.output] = [labels for labels in _measured(node, tracker) if labels is not None]
        return
    computed = [index for index, value in enumerate(node.inputs) if value is not None and tracker.sizes.get(value)]
    if computed and not set(computed) <= _SIZE_OPERANDS.get(node.op, frozenset()):
        _compute_with_sizes(node, computed, tracker)
        return
    rule = channelwise.elementwise if OPS[node.op].elementwise else _RULES.get(node.op)
    if rule is None:
        tracker.pin_all(node, f"there is no rule for {node.op} {node.name!r}")
        return
    rule(node, tracker)


def _measured(node: Node, tracker: Tracker) -> Axes:
    """Labels of the axes whose sizes ``shape`` or ``size`` gives, but for those that are only picked from."""
    attrs: object = node.attrs
    axes = tracker.axes(node.input(0))
    if node.op == "shape":
        axes = axes[getattr(attrs, "start", 0) : getattr(attrs, "end", None)]
    picked: list[int] = []
    for user, position in node.output.uses:
        indices = user.input(1).fact.array if user.op == "gather" and position == 0 else None
        if indices is None:
            return axes
        picked += indices.reshape(-1).tolist()
    return [axes[index] for index in picked] if node.op == "shape" else axes


def _compute_with_sizes(node: Node, computed: list[int], tracker: Tracker) -> None:
    """Arithmetic on sizes alone follows them by itself; a tensor that meets one would be changed."""
    found = [labels for index in computed for labels in tracker.sizes[node.input(index)]]
    others = [value for index, value in enumerate(node.inputs) if value is not None and index not in computed]
    if all(value.is_constant or value.content is not None or value in tracker.sizes for value in others):
        for value in node.outputs:
            tracker.sizes[value] = found
        return
    for labels in found:
        tracker.pin(labels, f"{node.op} {node.name!r} computes with their number")
    tracker.pin_all(node, f"{node.op} {node.name!r} computes with sizes")
