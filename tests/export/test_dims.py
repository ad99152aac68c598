"""Symbolic sizes are read off the shapes of tensors, and arithmetic on them is exact."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from cnnc.dims import Dim, ceil_div, floor_div, maximum, minimum, modulo, symbol
from cnnc.errors import UnsupportedError
from cnnc.export import export_graph
from cnnc.frontends import import_onnx
from tests.export.judged import check_results, exported, run_onnxruntime
from tests.passes.sketch import Sketch

N, H, W = symbol("N"), symbol("H"), symbol("W")
EXPRESSIONS: tuple[Dim, ...] = (
    N,
    N * 3 + 2,
    H * W * 2 - N,
    ceil_div(H, 4),
    floor_div(H - 7, 2),
    floor_div(N - H, 3) + 1,
    modulo(H - W, 5),
    maximum(H, W),
    minimum(N * 4, W) - 1,
    maximum(floor_div(H - 9, 2), 0) * W,
    floor_div(H * W, N),
)


@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("dim", EXPRESSIONS, ids=str)
def test_expressions(dim: Dim, scalar: bool) -> None:
    """Both for large sizes and for such as make an operand of the floor division negative."""
    sketch = Sketch()
    sketch.input("N", 3, "H", "W")
    graph = sketch.returns(sketch.op("dims", dims=(dim,), scalar=scalar)).graph
    for sizes in ({"N": 2, "H": 20, "W": 13}, {"N": 5, "H": 1, "W": 2}):
        check_results(graph, sizes=sizes)


def test_numbers_are_constants_and_runs_of_them_one() -> None:
    sketch = Sketch()
    sketch.input("N", 3)
    mixed, known = sketch.op("dims", dims=(N, 4, 5, N, 6)), sketch.op("dims", dims=(7, 8))
    model = check_results(sketch.returns(mixed, known).graph)
    assert [node.op_type for node in model.graph.node] == ["Shape", "Concat"]
    assert {tensor.name: tuple(onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer} == {
        "y0.sizes": (4, 5),
        "y0.sizes_1": (6,),
        "y1": (7, 8),
    }


def test_a_size_is_computed_once() -> None:
    sketch = Sketch()
    x = sketch.input("N", "H")
    first = sketch.op("reshape", x, sketch.op("dims", dims=(N * H, 1)))
    second = sketch.op("reshape", x, sketch.op("dims", dims=(1, N * H)))
    model = check_results(sketch.returns(first, second).graph)
    assert [node.op_type for node in model.graph.node].count("Shape") == 2


def test_sizes_that_values_decide_are_read_off_their_tensor() -> None:
    sketch = Sketch()
    places = sketch.op("non_zero", sketch.input("N", 3))
    count = places.type.shape[1]
    y = sketch.op("dims", dims=(count * 2, 1))
    model = exported(sketch.returns(places, y).graph)
    feeds = {"x": np.array([[1, 0, 2], [0, 0, 3]], np.float32)}
    assert run_onnxruntime(model, feeds)["y1"].tolist() == [6, 1]


def test_a_size_that_is_no_axis_is_refused() -> None:
    sketch = Sketch()
    sketch.input("N", 3)
    sketch.returns(sketch.op("dims", dims=(H,), name="target"))
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    text = str(caught.value)
    assert "dims node 'target'" in text and "size H is no axis" in text and "next step: give the input sizes" in text


def test_symbols_of_the_inputs_keep_their_names() -> None:
    sketch = Sketch()
    sketch.returns(sketch.op("relu", sketch.input("batch", 3, "height", "width")))
    again = import_onnx(exported(sketch.graph))
    assert [str(dim) for dim in again.inputs[0].type.shape] == ["batch", "3", "height", "width"]
