"""What is asked of exercise 4."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from types import ModuleType

import numpy as np

from cnnc import dsl, interp
from cnnc.errors import CnncError
from cnnc.ir import Graph, Notes, Rule, clone_graph, parse_graph, print_graph, rewrite, verify
from cnnc.ops import OPS
from cnnc.passes import Pass, parse_pipeline

SOFTSIGN = """\
graph "softsign" stage=imported {
  input %x: f32[N, 4]
  input %z: f32[N, 4]
  const %one: f32[] = [1.0]
  const %ones: f32[4] = [1.0, 1.0, 1.0, 1.0]
  const %pair: f32[2, 1, 4] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
  const %two: f32[] = [2.0]
  %a: f32[N, 4] = abs(%x)
  %s: SHAPE = add(ADDENDS)
  %y: SHAPE = div(QUOTIENT)
  output "y" = %y
}
"""
CONV = """\
graph "residual" stage=imported {
  input %x: f32[N, 2, 5, 5]
  input %r: f32[N, 2, 5, 5]
  input %row: f32[N, 2, 1, 5]
  const %w: f32[2, 2, 1, 1] = [1.0, -2.0, 0.5, 3.0]
  const %b: f32[2] = [0.25, -1.0]
  %y: f32[N, 2, 5, 5] = conv(CONV)
  %z: f32[N, 2, 5, 5] = add(ADDENDS)
  output "z" = %z
}
"""


class Block(dsl.Module):
    """The network of part 3: [N, 4, H, W] -> the same."""

    def __init__(self) -> None:
        self.conv = dsl.Conv2d(4, 4, 3, padding=1)
        self.norm = dsl.BatchNorm(4)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """A residual block with SiLU, spelled out."""
        y = self.norm(self.conv(x)) + x
        return y * dsl.sigmoid(y)


def check_softsign(student: ModuleType) -> None:
    """Part 1: x / (1 + |x|) becomes softsign"""
    rule = student.softsign_rule()

    def graph(addends: str, quotient: str = "%x, %s", shape: str = "f32[N, 4]") -> Graph:
        text = SOFTSIGN.replace("ADDENDS", addends).replace("QUOTIENT", quotient).replace("SHAPE", shape)
        return parse_graph(text, OPS)

    _check_fires(rule, "1 + |x|", graph("%one, %a"), "softsign")
    _check_fires(rule, "|x| + 1", graph("%a, %one"), "softsign")
    _check_fires(rule, "a constant of four ones", graph("%a, %ones"), "softsign")
    _check_silent(rule, "the constant is 2", graph("%two, %a"))
    _check_silent(rule, "the numerator is another tensor", graph("%one, %a", "%z, %s"))
    _check_silent(rule, "numerator and denominator are exchanged", graph("%one, %a", "%s, %x"))
    shared = graph("%one, %a")
    shared.set_outputs([*shared.outputs, shared.value("s")], ["y", "s"])
    _check_silent(rule, "1 + |x| is an output of the graph too", shared, refused=True)
    wide = graph("%pair, %a", shape="f32[2, N, 4]")
    _check_silent(rule, "the ones have shape [2, 1, 4] and the result is not x's shape", wide, refused=True)


def check_residual(student: ModuleType) -> None:
    """Part 2: a convolution takes a residual"""
    rule = student.residual_rule()

    def graph(addends: str, conv: str = "%x, %w, %b") -> Graph:
        return parse_graph(CONV.replace("ADDENDS", addends).replace("CONV", conv), OPS)

    _check_fires(rule, "y + skip", graph("%y, %r"), "conv")
    _check_fires(rule, "skip + y", graph("%r, %y"), "conv")
    _check_fires(rule, "a convolution without bias", graph("%y, %r", "%x, %w"), "conv")
    _check_fires(rule, "the skip connection is the convolution's input", graph("%x, %y"), "conv")
    shared = graph("%y, %r")
    shared.set_outputs([*shared.outputs, shared.value("y")], ["z", "y"])
    activated = CONV.replace("ADDENDS", "%y, %r").replace(
        "conv(CONV)", 'conv(%x, %w) {activation=Activation(kind="relu")}'
    )
    for case, made in (
        ("the convolution's result is an output of the graph too", shared),
        ("the convolution has a residual already", graph("%y, %r", "%x, %w, %b, %x")),
        ("the convolution has an activation", parse_graph(activated, OPS)),
        ("the result is added to itself", graph("%y, %y")),
        ("the other addend has one row, which is broadcast", graph("%y, %row")),
    ):
        _check_silent(rule, case, made, refused=True)


def check_order(student: ModuleType) -> None:
    """Part 3: an order of passes"""
    wanted = sorted(parse_pipeline("fold-batch-norm,fuse-conv-activation,fuse-conv-residual,recognize-silu"), key=str)
    try:
        passes = parse_pipeline(student.ORDER)
    except CnncError as error:
        raise AssertionError(f"ORDER is no pipeline: {error}") from error
    assert sorted(passes, key=str) == wanted, f"ORDER should hold each of {', '.join(map(str, wanted))} once"
    model = dsl.model(Block(), ("N", 4, 8, 8))

    def left(order: Sequence[Pass]) -> list[str]:
        graph = model.graph()
        for item in order:
            item.run(graph, Notes())
        return [node.op for node in graph.nodes]

    best = min(len(left(order)) for order in permutations(wanted))
    ops = left(passes)
    assert len(ops) == best, f"your order leaves {len(ops)} nodes, {', '.join(ops)}; there is one that leaves {best}"


def _check_fires(rule: Rule, case: str, graph: Graph, op: str) -> None:
    before = clone_graph(graph)
    random = np.random.default_rng(0)
    feeds = {value.name: random.standard_normal((3, *value.type.shape[1:]), np.float32) for value in graph.inputs}
    notes = Notes()
    count = rewrite(graph, [rule], notes, limit=5)
    text = print_graph(before)
    reasons = "".join(f"\nit was refused: {refusal.reason}" for refusal in notes.refusals.values())
    assert count > 0, f"{case}: the rule did not fire in\n{text}{reasons}"
    assert count == 1, f"{case}: the rule fired {count} times; once should leave nothing to do in\n{text}"
    verify(graph)
    ops = [node.op for node in graph.nodes]
    assert ops == [op], f"{case}: {op} alone should be left, not {', '.join(ops)}:\n{print_graph(graph)}"
    [truth], [got] = interp.run(before, feeds).values(), interp.run(graph, feeds).values()
    assert np.allclose(got, truth, atol=1e-6), f"{case}: the numbers have changed; now\n{print_graph(graph)}"


def _check_silent(rule: Rule, case: str, graph: Graph, *, refused: bool = False) -> None:
    before = print_graph(graph)
    notes = Notes()
    try:
        count = rewrite(graph, [rule], notes, limit=5)
    except CnncError as error:
        raise AssertionError(f"{case}: the rule should refuse in a sentence; it raised: {error}") from error
    assert count == 0, f"{case}: the rule fired in\n{before}and made\n{print_graph(graph)}"
    assert print_graph(graph) == before, f"{case}: the graph has changed"
    assert notes.refusals or not refused, f"{case}: the rule should say why it does not fire; return the sentence"


PARTS = (check_softsign, check_residual, check_order)
