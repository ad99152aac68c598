"""Sizes that are symbols: polynomials with a canonical form, the content of shape arithmetic, what can be proved.

python examples/lesson_05_symbolic_shapes/lesson.py
"""

from __future__ import annotations

from functools import partial

import numpy as np

import cnnc
import cnnc.errors
from cnnc import dsl, interp, passes
from cnnc.dims import Dim, evaluate, maximum, symbol
from cnnc.ir import Content, Notes, Value, parse_graph, print_graph
from cnnc.ops import OPS
from cnnc.tuning.turns import time_in_turns

N, H, W = symbol("N"), symbol("H"), symbol("W")

SHAPE_ARITHMETIC = """\
graph "exported" stage=imported {
  input %x: f32[N, 4, H, W]
  const %first: i64[1] = [0]
  const %last: i64[2] = [2, 3]
  const %two: i64[1] = [2]
  %shape: i64[4] = shape(%x)
  %batch: i64[1] = gather(%shape, %first)
  %map: i64[2] = gather(%shape, %last)
  %target: i64[5] = concat(%batch, %two, %two, %map) {axis=0}
  %halves: f32[N, 2, 2, H, W] = reshape(%x, %target)
  output "halves" = %halves
}
"""
"""What an exporter makes of x.reshape(x.shape[0], 2, 2, *x.shape[2:])."""


class Encoder(dsl.Module):
    """Two convolutions that halve the map: [N, 16, H, W] -> [N, 16, ...]."""

    def __init__(self) -> None:
        self.layers = [dsl.Conv2d(16, 16, 3, stride=2, padding=1) for _ in range(2)]

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """ReLU behind each."""
        for layer in self.layers:
            x = dsl.relu(layer(x))
        return x


def down_and_up(x: dsl.Tensor) -> dsl.Tensor:
    """The skip connection of a U-Net in its smallest form."""
    return x + dsl.upsample(dsl.max_pool(x, 2), 2)


def show_polynomials() -> None:
    """What becomes of expressions; equal expressions have one form, as far as it goes."""
    expressions: dict[str, Dim] = {
        "(4*N*H) // 4": (4 * N * H) // 4,
        "(H*W + H) // H": (H * W + H) // H,
        "(2*H + 6) // 2": (2 * H + 6) // 2,
        "(H//2) // 2": (H // 2) // 2,
        "max(H + 1, H)": maximum(H + 1, H),
        "(6*H) % 3": (6 * H) % 3,
        "2 * (H//2)": 2 * (H // 2),
    }
    for text, dim in expressions.items():
        print(f"    {text:16} = {dim!s:12} {evaluate(dim, {'N': 2, 'H': 9, 'W': 5}):4} for N=2, H=9, W=5")
    twice, once = ((H + 1) // 2 + 1) // 2, (H + 3) // 4
    equal = all(evaluate(twice, {"H": size}) == evaluate(once, {"H": size}) for size in range(1000))
    print(
        f"    not everything that is equal has one form: {twice} and {once} are {'' if twice == once else 'not '}equal,"
    )
    print(f"    though the numbers are, for H from 0 to 999: {equal}")


def content_text(value: Value) -> str:
    """What is known of a value's elements while types are inferred."""
    if value.array is not None:
        return str(value.array.tolist())
    return f"[{', '.join(map(str, value.content.dims))}]" if isinstance(value.content, Content) else "unknown"


def show_odd_sizes() -> None:
    """A network that takes even maps only, and where that is noticed."""
    model = dsl.model(down_and_up, ("N", 3, "H", "W"))
    for node in model.graph().nodes:
        print(f"    {node.op:9} {node.output.type}")
    for size in (8, 9):
        try:
            result = interp.run(model.graph(), {"x": np.ones((1, 3, size, size), np.float32)})["output"]
            print(f"    {size}x{size} runs: {result.shape}")
        except Exception as error:
            print(f"    {size}x{size} fails at run time, {type(error).__name__}: {str(error).strip()}")
    try:
        model.graph({"x": ("N", 3, 9, 9)})
    except cnnc.errors.ModelError as error:
        print(f"    9x9 as a fixed size is refused while the graph is made, ModelError:\n        {error}")


def main() -> None:
    """Tell the story."""
    print("1. Sizes are polynomials over symbols and floor divisions")
    show_polynomials()

    print("\n2. Sizes through a network: each is known before any number is")
    model = dsl.model(Encoder(), ("N", 16, "H", "W"), name="encoder")
    for node in model.graph().nodes:
        if node.op == "conv":
            print(f"    {node.output.type}")

    print("\n3. Shape arithmetic: the content of small integer tensors is carried along")
    graph = parse_graph(SHAPE_ARITHMETIC, OPS)
    for value in graph.values:
        if not value.type.dtype.is_float:
            print(f"    %{value.name:7} {value.type!s:7} {content_text(value)}")
    print(f"    so the reshape gives {graph.outputs[0].type}")
    passes.PassManager(passes.parse_pipeline("fold-shapes,eliminate-dead-code")).run(graph, Notes())
    print("  after fold-shapes nothing of it is computed at run time:")
    print("\n".join(line for line in print_graph(graph).splitlines() if "= dims" in line or "= reshape" in line))

    print("\n4. Odd sizes: a type that holds only sometimes")
    show_odd_sizes()

    print("\n5. What a symbol costs: the encoder on [1, 16, 64, 64], microseconds on one thread")
    compiled = {
        "N, H, W open": cnnc.compile(model),
        "N open": cnnc.compile(model, shapes={"x": ("N", 16, 64, 64)}),
    }
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 16, 64, 64), np.float32)}
    calls = {name: partial(one.session(threads=1).run, None, feeds) for name, one in compiled.items()}
    for name, seconds in time_in_turns(calls).items():
        print(f"    {name:12} {seconds * 1e6:6.0f}")


if __name__ == "__main__":
    main()
