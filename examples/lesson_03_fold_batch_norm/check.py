"""What is asked of exercise 3."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cnnc import frontends, interp, passes
from cnnc.dims import symbol
from cnnc.ir import Graph, Notes, Value, clone_graph, print_graph, verify
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

MODELS = Path(__file__).resolve().parent.parent / "models"


def check_weights(student: ModuleType) -> None:
    """Part 1: weights and bias"""
    random = np.random.default_rng(3)
    for case, shape, has_bias in (
        ("a 3x3 convolution", (6, 4, 3, 3), True),
        ("no bias", (6, 4, 1, 1), False),
        ("depthwise", (8, 1, 3, 3), True),
    ):
        channels = shape[0]
        weights = random.standard_normal(shape, np.float32)
        bias = random.standard_normal(channels, np.float32) if has_bias else None
        gamma, beta, mean = random.standard_normal((3, channels), np.float32)
        variance = random.uniform(1e-6, 2, channels).astype(np.float32)
        given = [None if array is None else array.copy() for array in (weights, bias)]
        new_weights, new_bias = student.fold_weights(weights, bias, gamma, beta, mean, variance, 1e-3)
        assert np.array_equal(weights, given[0]), f"{case}: the weights that were given have changed; make new ones"
        scale = gamma / np.sqrt(variance.astype(np.float64) + 1e-3)
        wide = np.zeros(channels) if bias is None else bias.astype(np.float64)
        exact = {"weights": weights * scale.reshape(-1, 1, 1, 1), "bias": (wide - mean) * scale + beta}
        for name, got in (("weights", new_weights), ("bias", new_bias)):
            assert got.shape == exact[name].shape, f"{case}, {name}: the shape is {got.shape}, not {exact[name].shape}"
            assert got.dtype == np.float32, f"{case}, {name}: the dtype is {got.dtype}, not float32"
            error = np.abs(got - exact[name]).max() / np.abs(exact[name]).max()
            assert error < 1e-5, f"{case}, {name}: off by {error:.1e} of the largest one; another formula?"
            steps = np.abs(got - exact[name]) / np.spacing(np.abs(exact[name]).astype(np.float32))
            assert steps.max() < 0.51, (
                f"{case}, {name}: off by {steps.max():.2f} steps of float32, half a step is what one rounding "
                "takes; were they computed in float64 throughout?"
            )


def check_pass(student: ModuleType) -> None:
    """Part 2: the pass fires where it may, and only there"""
    fires = {
        "a convolution with bias": _Sketch().conv(bias=True).norm(),
        "one without": _Sketch().conv().norm(),
        "a depthwise one with strides": _Sketch().conv(group=4, strides=(2, 2), pads=(1, 0, 1, 0)).norm(),
        "another epsilon": _Sketch().conv().norm(epsilon=0.5),
        "two pairs in a row": _Sketch().conv().norm().conv(bias=True).norm(),
        "two convolutions that share their weights, one with a normalization": _Sketch().conv().also_plain().norm(),
    }
    for case, sketch in fires.items():
        _check_fires(student, case, sketch)
    refuses = {
        "another node reads the convolution's result": _Sketch().conv().also("relu").norm(),
        "the convolution's result is an output of the graph": _Sketch().conv().also(None).norm(),
        "the weights are an input of the graph": _Sketch().conv(constant=False).norm(),
        "gamma is an input of the graph": _Sketch().conv().norm(constant=False),
        "there is a relu between the two": _Sketch().conv().relu().norm(),
        "there is no convolution": _Sketch().norm(),
    }
    for case, sketch in refuses.items():
        graph = sketch.done()
        before = print_graph(graph)
        changed = _run(student, graph)
        assert print_graph(graph) == before, f"it fired where {case}: before\n{before}after\n{print_graph(graph)}"
        assert not changed, f"it reports a change where {case}, but made none"


def check_networks(student: ModuleType) -> None:
    """Part 3: on trained networks it does what cnnc's own pass does"""
    image = np.random.default_rng(0).standard_normal((2, 1, 28, 28), np.float32)
    for name in ("resnet14_fashion-bn", "mbv2mini_fashion-bn"):
        graph = frontends.import_onnx(MODELS / f"{name}.onnx")
        passes.make_pass("eliminate-no-ops").run(graph, Notes())
        own = clone_graph(graph)
        passes.make_pass("fold-batch-norm").run(own, Notes())
        truth = interp.run(graph, {"input": image}, float64=True)["logits"]
        _run(student, graph)
        verify(graph)
        left = [node.name for node in graph.nodes if node.op == "batch_normalization"]
        assert not left, f"{name}: {len(left)} normalizations are left: {left[:3]}; cnnc's own pass leaves none"
        assert len(graph) == len(own), f"{name}: {len(graph)} nodes are left, {len(own)} with cnnc's own pass"
        for mine, theirs in zip(graph.nodes, own.nodes, strict=True):
            assert mine.op == theirs.op, f"{name}: {mine.name} is a {mine.op}, {theirs.op} with cnnc's own pass"
            lost = [place for place in theirs.loc if place not in mine.loc]
            assert not lost, f"{name}: {mine.op} {mine.name} has lost its origin {lost[0]}: pass loc= to patch.node"
        got = interp.run(graph, {"input": image})["logits"]
        error = np.abs(got - truth).max() / truth.std()
        assert error < 1e-5, f"{name}: the scores are off by {error:.1e} standard deviations"


def _run(student: ModuleType, graph: Graph) -> bool:
    return bool(student.FoldBatchNormByHand().run(graph, Notes()))


def _check_fires(student: ModuleType, case: str, sketch: _Sketch) -> None:
    graph = sketch.done()
    before = clone_graph(graph)
    feeds = sketch.feeds()
    truth = interp.run(graph, feeds, float64=True)
    assert _run(student, graph), (
        f"{case}: nothing changed, or the pass does not report that it did, in\n{print_graph(before)}"
    )
    verify(graph)
    assert "batch_normalization" not in [node.op for node in graph.nodes], (
        f"{case}: a normalization is left in\n{print_graph(graph)}"
    )
    for name, got in interp.run(graph, feeds).items():
        error = np.abs(got - truth[name]).max()
        assert error < 1e-4, f"{case}: output {name!r} is off by {error:.1e}; it should be off by rounding only"
    after = print_graph(graph)
    assert not _run(student, graph), f"{case}: a second run reports a change"
    assert print_graph(graph) == after, f"{case}: a second run changes the graph again"


@dataclass
class _Sketch:
    """A chain of layers on [N, 4, 7, 7], made call by call."""

    graph: Graph = field(default_factory=lambda: Graph(OPS, "sketch"))
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    others: list[Value] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.last = self.graph.add_input("x", TensorType((symbol("N"), 4, 7, 7), DType.F32))

    def conv(self, *, bias: bool = False, constant: bool = True, group: int = 1, **attrs: Any) -> _Sketch:
        """A 3x3 convolution."""
        weights = self._operand((4, 4 // group, 3, 3), "w", constant)
        self.source = self.last
        return self._add("conv", [weights, self._operand((4,), "b") if bias else None], group=group, **attrs)

    def also_plain(self) -> _Sketch:
        """A second convolution with the weights of the last one, whose result is an output."""
        weights = self.last.producer.input(1) if self.last.producer else None
        self.others.append(self.graph.add_node("conv", [self.source, weights], OPS["conv"].attrs()).output)
        return self

    def also(self, op: str | None) -> _Sketch:
        """The last value, or what ``op`` makes of it, is an output too."""
        self.others.append(self.last if op is None else self.graph.add_node(op, [self.last]).output)
        return self

    def norm(self, *, constant: bool = True, epsilon: float = 1e-5) -> _Sketch:
        """A batch normalization."""
        operands: list[Value | None] = [self._operand((4,), "gamma", constant)]
        operands += [self._operand((4,), name) for name in ("beta", "mean")]
        operands.append(self.graph.add_constant(self.random.uniform(0.5, 2, 4).astype(np.float32), "variance"))
        return self._add("batch_normalization", operands, epsilon=epsilon)

    def relu(self) -> _Sketch:
        """A ReLU."""
        return self._add("relu", [])

    def done(self) -> Graph:
        """The graph; its outputs are the last value and those that are outputs too."""
        values = [self.last, *self.others]
        self.graph.set_outputs(values, [f"y{index}" for index in range(len(values))])
        return self.graph

    def feeds(self) -> dict[str, np.ndarray]:
        """Noise for the graph's only input."""
        return {"x": self.random.standard_normal((2, 4, 7, 7), np.float32)}

    def _operand(self, shape: tuple[int, ...], name: str, constant: bool = True) -> Value:
        if not constant:
            return self.graph.add_input(name, TensorType(shape, DType.F32))
        return self.graph.add_constant(self.random.standard_normal(shape, np.float32), name)

    def _add(self, op: str, operands: list[Value | None], **attrs: Any) -> _Sketch:
        self.last = self.graph.add_node(
            op, [self.last, *operands], OPS[op].attrs(**attrs), loc=(f"{op}{len(self.graph)}",)
        ).output
        return self


PARTS = (check_weights, check_pass, check_networks)
