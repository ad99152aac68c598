"""A fusion written with patterns: leaky ReLU in the form max(x, a x) is found, renamed, and ends inside a convolution.

python examples/lesson_04_pattern_fusion/lesson.py
"""

from __future__ import annotations

from functools import partial

import numpy as np

import cnnc
from cnnc import dsl, interp
from cnnc.ir import Bind, Const, Graph, Match, Miss, Notes, Op, Patch, Rule, match, parse_graph, rewrite
from cnnc.ops import OPS
from cnnc.ops.nonlinearity import LeakyReluAttrs
from cnnc.tuning.turns import time_in_turns

X = Bind("x")
LEAKY = Op("max", X, Op("mul", X, Const("slope"), commutative=True), commutative=True)
"""max(x, slope * x): the same x both times, the operands in any order."""

SPELLINGS = """\
graph "spellings" stage=imported {
  input %x: f32[N, 4]
  input %z: f32[N, 4]
  const %tenth: f32[] = [0.1]
  const %three: f32[] = [3.0]
  const %many: f32[4] = [0.1, 0.2, 0.3, 0.4]
  %ax: f32[N, 4] = mul(%x, %tenth)
  %plain: f32[N, 4] = max(%x, %ax)
  %xa: f32[N, 4] = mul(%tenth, %x)
  %turned: f32[N, 4] = max(%xa, %x)
  %bx: f32[N, 4] = mul(%x, %tenth)
  %other_x: f32[N, 4] = max(%z, %bx)
  %cx: f32[N, 4] = mul(%x, %tenth)
  %read_twice: f32[N, 4] = max(%x, %cx)
  %reader: f32[N, 4] = exp(%cx)
  %dx: f32[N, 4] = mul(%x, %three)
  %steep: f32[N, 4] = max(%x, %dx)
  %ex: f32[N, 4] = mul(%x, %many)
  %slopes: f32[N, 4] = max(%x, %ex)
  output "plain" = %plain
  output "turned" = %turned
  output "other_x" = %other_x
  output "read_twice" = %read_twice
  output "reader" = %reader
  output "steep" = %steep
  output "slopes" = %slopes
}
"""


def to_leaky_relu(found: Match, patch: Patch) -> str | None:
    """Put leaky_relu in the place of the maximum, or say why not."""
    slope = found.array("slope")
    if slope.size != 1:
        return f"the slope {slope} is not one number"
    if not 0 <= slope <= 1:
        return f"with a slope of {slope.item():g} the maximum takes the other branch"
    made = patch.node("leaky_relu", [found["x"]], LeakyReluAttrs(alpha=float(slope)), loc=found.loc)
    patch.replace(found.root.output, made)
    return None


RULE = Rule("recognize-leaky-relu", LEAKY, to_leaky_relu)


class Detector(dsl.Module):
    """Three layers as detectors of 2016 had them: [N, 16, H, W] -> [N, 16, H, W]."""

    def __init__(self) -> None:
        self.layers = [dsl.Conv2d(16, 16, 1) for _ in range(3)]

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """Leaky ReLU is spelled out."""
        for layer in self.layers:
            y = layer(x)
            x = dsl.maximum(y, 0.1 * y)
        return x


def show_endless_rule() -> None:
    """A rule whose result fits its pattern again."""

    def turn(found: Match, patch: Patch) -> str | None:
        patch.replace(found.root.output, patch.node("add", [found["b"], found["a"]]))
        return None

    graph = parse_graph(SPELLINGS.replace("max(%x, %ax)", "add(%x, %ax)"), OPS)
    rule = Rule("turn-addends", Op("add", Bind("a"), Bind("b")), turn)
    print(
        f"    {len(graph)} nodes, one of them an add: {rewrite(graph, [rule], Notes())} rewrites, then it was stopped"
    )


def count_ops(graph: Graph) -> str:
    """``conv 3, ...`` without changes of layout."""
    ops = [node.op for node in graph.nodes if node.op != "convert_layout"]
    return ", ".join(f"{op} {ops.count(op)}" for op in dict.fromkeys(ops))


def main() -> None:
    """Tell the story."""
    print("1. A pattern is matched from its root upwards. Does max(x, a x) fit?")
    graph = parse_graph(SPELLINGS, OPS)
    for name in graph.output_names:
        node = graph.value(name).producer
        assert node is not None
        found = match(graph, LEAKY, node)
        if isinstance(found, Miss):
            print(f"    {name:11} no{'' if found.structural else ', though nearly'}: {found.reason}")
        else:
            print(f"    {name:11} yes: x is %{found['x'].name}, the slope {found.array('slope')}")

    print("\n2. The rule looks at what the pattern cannot say, and refuses in a sentence")
    notes = Notes()
    feeds = dict(zip("xz", np.random.default_rng(0).standard_normal((2, 3, 4), np.float32)))
    before = interp.run(graph, feeds)
    count = rewrite(graph, [RULE], notes)
    after = interp.run(graph, feeds)
    print(f"    {count} rewrites: {', '.join(node.output.name for node in graph.nodes if node.op == 'leaky_relu')}")
    for refusal in notes.refusals.values():
        print(f"    refused at {refusal.node}: {refusal.reason}")
    same = all(np.array_equal(before[name], after[name]) for name in before)
    print(f"    the same bits as before: {same}; a second run: {rewrite(graph, [RULE], Notes())} rewrites")

    print("\n3. A rule that never ends")
    show_endless_rule()

    print("\n4. Worth it? Three 1x1 convolutions, 16 channels, 64x64 pixels; microseconds on one thread")
    model = dsl.model(Detector(), ("N", 16, 64, 64))
    graphs = {"as written": model.graph(), "recognized": model.graph()}
    rewrite(graphs["recognized"], [RULE], Notes())
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 16, 64, 64), np.float32)}
    compiled = {name: cnnc.compile(made) for name, made in graphs.items()}
    calls = {name: partial(one.session(threads=1).run, None, feeds) for name, one in compiled.items()}
    for name, seconds in time_in_turns(calls).items():
        print(f"    {name}: {seconds * 1e6:5.0f}   {count_ops(compiled[name].graph)}")
    results = [one.run(feeds)["output"] for one in compiled.values()]
    print(f"    largest difference of the results: {np.abs(results[0] - results[1]).max():.1e}")

    print("\n5. What the fused layers remember: their origins")
    for node in compiled["recognized"].graph.nodes:
        if node.op == "conv":
            print(f"    conv of {' + '.join(place.partition(' ')[0] for place in node.loc)}")


if __name__ == "__main__":
    main()
