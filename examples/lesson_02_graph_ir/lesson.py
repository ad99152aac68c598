"""The graph IR: its text, what a graph knows of itself, what it refuses, and a rewrite that is right but not wise.

python examples/lesson_02_graph_ir/lesson.py
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

import cnnc
from cnnc import dsl, interp
from cnnc.errors import CnncError
from cnnc.ir import Graph, Patch, clone_graph, only_use, parse_graph, print_graph, verify
from cnnc.ops import OPS
from cnnc.tuning.turns import time_in_turns

TEXT = """\
graph "edges" stage=imported {
  input %image: f32[N, 1, 6, 6]
  const %filter: f32[1, 1, 3, 3] = [-1.0, -1.0, -1.0, -1.0, 8.0, -1.0, -1.0, -1.0, -1.0]
  %map: f32[N, 1, 6, 6] = conv(%image, %filter) {pads=(1, 1, 1, 1)} @"conv1"
  %edges: f32[N, 1, 6, 6] = relu(%map)
  %small: f32[N, 1, 3, 3] = max_pool(%edges) {kernel_shape=(2, 2), strides=(2, 2)}
  output "result" = %small
}
"""

MISTAKES = (
    ("a name that nothing defines", "relu(%map)", "relu(%maps)"),
    ("a node that reads what comes after it", "relu(%map)", "relu(%small)"),
    ("an op that does not exist", "relu", "rleu"),
    ("an attribute that does not exist", "strides=", "stride="),
    ("a name that is taken", "%small: f32[N, 1, 3, 3]", "%edges: f32[N, 1, 3, 3]"),
    ("a type that the operands do not give", "%edges: f32[N, 1, 6, 6]", "%edges: f32[N, 1, 5, 6]"),
    ("an image of three channels for a filter of one", "%image: f32[N, 1, 6, 6]", "%image: f32[N, 3, 6, 6]"),
    ("a window larger than the map", "kernel_shape=(2, 2)", "kernel_shape=(9, 9)"),
)
"""What is wrong, the text that is replaced, and by what."""


def show_error(what: str, action: Callable[[], object]) -> None:
    """What an action that must fail says."""
    try:
        action()
    except CnncError as error:
        print(f"    {what}\n        {type(error).__name__}: " + str(error).replace("\n", "\n        "))
        return
    raise SystemExit(f"{what} was not noticed")


def read_later_value(graph: Graph) -> None:
    """The convolution shall read the pool's result, which is computed from its own."""
    conv, _, pool = graph.nodes
    graph.set_input(conv, 0, pool.output)


def remove_used_node(graph: Graph) -> None:
    """The pool still needs what relu gives."""
    _, relu, _ = graph.nodes
    graph.remove_node(relu)


def replace_by_other_type(graph: Graph) -> None:
    """A global pool gives 1x1 maps where others expect 3x3."""
    _, relu, pool = graph.nodes
    patch = Patch(graph, pool)
    patch.replace(pool.output, patch.node("global_average_pool", [relu.output]))


def overwrite_type(graph: Graph) -> None:
    """A type that is not what relu gives."""
    _, relu, _ = graph.nodes
    relu.output.type = graph.value("small").type


def overwrite_inputs(graph: Graph) -> None:
    """Relu reads the image, but the image does not know."""
    _, relu, _ = graph.nodes
    relu._inputs = (graph.value("image"),)


def skip_ahead(graph: Graph) -> None:
    """An op that normalisation removes, in a graph that says it is normalised."""
    _, relu, pool = graph.nodes
    graph.set_input(pool, 0, graph.add_node("identity", [relu.output], before=pool).output)
    graph.stage = "normalised"


def pool_before_relu(graph: Graph) -> int:
    """max_pool(relu(x)) becomes relu(max_pool(x)), which has the same bits; returns how often.

    Maximum and ReLU are both monotone: the largest of max(x, 0) is max(the largest x, 0).
    """
    done = 0
    for pool in graph.nodes:
        relu = pool.input(0).producer if pool.op == "max_pool" else None
        # Whoever else reads relu's result still needs it: then nothing is saved.
        if relu is None or relu.op != "relu" or only_use(graph, relu.output) is not pool:
            continue
        patch = Patch(graph, pool)
        pooled = patch.node("max_pool", [relu.input(0)], pool.attrs, loc=pool.loc)
        patch.replace(pool.output, patch.node("relu", [pooled], relu.attrs, loc=relu.loc))
        patch.apply()
        done += 1
    return done


class Block(dsl.Module):
    """A convolution, ReLU and a pool, for times: [N, 16, H, W] -> [N, 32, H/2, W/2]."""

    def __init__(self) -> None:
        self.conv = dsl.Conv2d(16, 32, 1)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """Maxima of 2x2 pixels."""
        return dsl.max_pool(dsl.relu(self.conv(x)), 2)


def main() -> None:
    """Tell the story."""
    print("1. A graph is text, and text is a graph")
    graph = parse_graph(TEXT, OPS)
    print(print_graph(graph))
    assert print_graph(graph) == TEXT
    image = np.zeros((1, 1, 6, 6), np.float32)
    image[0, 0, 1:5, 2:4] = 1
    found = interp.run(graph, {"image": image}, capture=["map"])
    for line, left, right in zip(("", "", "image", "", "", ""), image[0, 0], found["map"][0, 0]):
        print(f"    {line:6} {' '.join(f'{x:2.0f}' for x in left)}    {' '.join(f'{x:3.0f}' for x in right)}")
    print(f"    result of 2x2 maxima: {found['result'][0, 0].astype(int).tolist()}")

    print("\n2. What every value knows: its type, who computes it, who reads it")
    for value in graph.values:
        producer = "input" if value in graph.inputs else "constant" if value.producer is None else value.producer.op
        readers = ", ".join(f"{node.op} as operand {position}" for node, position in value.uses)
        print(f"    %{value.name:7} {value.type!s:16} from {producer:9} read by {readers or 'nobody: an output'}")

    print("\n3. Broken text is refused where it is read")
    for what, old, new in MISTAKES:
        show_error(what, partial(parse_graph, TEXT.replace(old, new), OPS))

    print("\n4. A broken edit is refused before it is done")
    for edit in (read_later_value, remove_used_node, replace_by_other_type):
        changed = clone_graph(graph)
        show_error(edit.__doc__ or "", partial(edit, changed))
        verify(changed)

    print("\n5. What is done behind the graph's back, the verifier finds")
    for edit in (overwrite_type, overwrite_inputs, skip_ahead):
        changed = clone_graph(graph)
        edit(changed)
        show_error(edit.__doc__ or "", partial(verify, changed))

    print("\n6. A right edit: the pool moves before the ReLU, which then has a quarter of the work")
    changed = clone_graph(graph)
    assert pool_before_relu(changed) == 1
    verify(changed)
    print("\n".join(line for line in print_graph(changed).splitlines() if " = " in line and "const" not in line))
    assert np.array_equal(interp.run(changed, {"image": image})["result"], found["result"])
    print("  the same bits come out\n")

    print("7. Is it worth it? [1, 16, 128, 128] through convolution, ReLU and pool; microseconds on one thread")
    model = dsl.model(Block(), ("N", 16, 128, 128))
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 16, 128, 128), np.float32)}
    for level in (0, 2):
        graphs = {"relu, then pool": model.graph(), "pool, then relu": model.graph()}
        pool_before_relu(graphs["pool, then relu"])
        compiled = {name: cnnc.compile(made, level=level) for name, made in graphs.items()}
        calls = {name: partial(one.session(threads=1).run, None, feeds) for name, one in compiled.items()}
        for name, seconds in time_in_turns(calls).items():
            print(f"    -O{level} {name}: {seconds * 1e6:7.0f}   runs as {', '.join(ops(compiled[name].graph))}")


def ops(graph: Graph) -> list[str]:
    """The ops of a placed graph, with their fused activations, without changes of layout."""
    names = []
    for node in graph.nodes:
        kind = getattr(getattr(node.attrs, "activation", None), "kind", "none")
        names.append(node.op if kind == "none" else f"{node.op}+{kind}")
    return [name for name in names if name != "convert_layout"]


if __name__ == "__main__":
    main()
