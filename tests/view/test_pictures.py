"""Pictures of kernels and activations of networks in one, two and three dimensions."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnc
from cnnc import models, view
from cnnc.compiler import CompiledModel
from cnnc.errors import InputError, OptionError
from cnnc.frontends.dsl.initialisers import zeros
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.types import DType, TensorType
from cnnc.view.colour_map import DIVERGING, colours, paint, scale_of
from cnnc.view.folder import INDEX, file_name
from cnnc.view.layers import MOST_BY_DEFAULT, chosen_layers

LENET = Path(__file__).resolve().parents[2] / "examples" / "models" / "lenet5_fashion.onnx"


@pytest.fixture(scope="module")
def lenet() -> CompiledModel:
    return cnnc.compile(LENET)


def network(shape: tuple[int, ...], filters: tuple[int, ...], name: str = "layer", **attributes: object) -> Graph:
    """A convolution and a ReLU behind it."""
    graph, rng = Graph(OPS), np.random.default_rng(0)
    x = graph.add_input("x", TensorType(shape, DType.F32))
    weight = graph.add_constant(rng.standard_normal(filters).astype(np.float32), "w")
    conv = graph.add_node("conv", [x, weight], OPS["conv"].attrs(**attributes), names=["c"], loc=(name,))
    graph.set_outputs([graph.add_node("relu", [conv.output], names=["y"], loc=("end",)).output], ["y"])
    return graph


def names(graph: Graph, *wanted: str) -> list[str]:
    return [shown.node.name for shown in chosen_layers(graph, wanted)]


def test_layers_by_name_tensor_part_pattern_and_text(lenet: CompiledModel) -> None:
    graph = lenet.source_graph()
    assert names(graph, "/c1/Conv") == names(graph, "/c1/Conv_output_0") == names(graph, "c1") == ["/c1/Conv"]
    assert names(graph, "*/Conv") == names(graph, "Conv") == ["/c1/Conv", "/c2/Conv"]
    assert names(graph, "/Relu") == ["/Relu"]
    assert names(graph, "f1", "c1") == ["/c1/Conv", "/f1/Gemm"]
    assert len(names(graph, "all")) == len(graph)


def test_a_name_that_means_nothing(lenet: CompiledModel) -> None:
    with pytest.raises(InputError, match="no layer and no tensor called 'conv1'"):
        chosen_layers(lenet.source_graph(), ["conv1"])
    with pytest.raises(InputError) as caught:
        chosen_layers(lenet.source_graph(), ["/c1/Cnov"])
    assert caught.value.hint == "did you mean '/c1/Conv'?" or "/c1/Conv" in caught.value.hint


def test_layers_by_default(lenet: CompiledModel) -> None:
    chosen = chosen_layers(lenet.source_graph(), [])
    assert [each.node.op for each in chosen if each.kernels] == ["conv", "conv", "gemm", "gemm", "gemm"]
    assert [each.node.op for each in chosen if each.activations] == ["relu", "relu", "relu", "relu", "gemm"]
    graph = models.model("resnet18").graph()
    kernels = [each.node for each in chosen_layers(graph, []) if each.kernels]
    assert 2 <= len(kernels) <= MOST_BY_DEFAULT
    assert kernels[0].output.type.shape[2:] == (112, 112)
    assert len({node.output.type.shape[2:] for node in kernels}) == len(kernels)
    kernels = [each.node for each in chosen_layers(models.model("resnet50", init=zeros).graph(), []) if each.kernels]
    assert [node.input(1).type.shape[2:] for node in kernels] == [(7, 7), (3, 3), (3, 3), (3, 3), (3, 3), ()]


def test_filters_of_three_channels_that_read_the_input_are_in_colour() -> None:
    graph = network((1, 3, 8, 8), (4, 3, 3, 3))
    [picture] = view.kernels(graph)
    assert picture.colours == "rgb"
    assert picture.low == -picture.high
    [inner] = view.kernels(network((1, 6, 8, 8), (4, 6, 3, 3)))
    assert inner.colours == DIVERGING


def test_kernels_are_the_weights(lenet: CompiledModel) -> None:
    [picture] = view.kernels(lenet.source_graph(), ["c1"])
    weight = lenet.source_graph().value("c1.weight").array
    assert weight is not None
    assert picture.shape == (6, 1, 5, 5)
    assert picture.high == np.abs(weight).max()
    wanted = paint(weight, scale_of(weight, around_zero=True)).reshape(-1, 3)
    background = np.array([(250, 250, 250)])
    seen = np.unique(np.concatenate([wanted, background]).astype(np.uint8), axis=0)
    assert (np.unique(picture.pixels.reshape(-1, 3), axis=0) == seen).all()


def test_channels_that_are_left_out_are_counted(lenet: CompiledModel) -> None:
    [picture] = view.kernels(lenet.source_graph(), ["c2"], channels=4)
    assert picture.left_out == "12 of 16 filters, 2 of 6 input channels"
    assert picture.left_out in picture.caption[1]
    [flattened] = view.kernels(lenet.source_graph(), ["f1"])
    assert flattened.shape == (120, 16, 5, 5)
    for channels in (0, 257):
        with pytest.raises(OptionError, match="not between 1 and 256"):
            view.kernels(lenet.source_graph(), channels=channels)


def test_layers_without_weights(lenet: CompiledModel) -> None:
    with pytest.raises(InputError, match="have no constant weights"):
        view.kernels(lenet.source_graph(), ["/Relu"])


@pytest.mark.parametrize(
    ("filters", "columns"),
    [((5, 1, 3, 3), 3), ((5, 4, 3, 3), 4), ((5, 4, 7), 3), ((5, 4, 2, 3, 3), 8), ((5, 4, 1, 1), 1), ((5, 4, 1), 1)],
)
def test_windows_of_any_rank(filters: tuple[int, ...], columns: int) -> None:
    groups = {"group": 5} if filters[1] == 1 else {}
    shape = (1, filters[1] * groups.get("group", 1), *(8,) * (len(filters) - 2))
    [picture] = view.kernels(network(shape, filters, **groups))
    assert picture.shape == filters
    is_gap = (picture.pixels[3] == (250, 250, 250)).all(axis=1)
    assert np.count_nonzero(is_gap[:-1] & ~is_gap[1:]) == columns


@pytest.mark.jit
@pytest.mark.parametrize(
    ("shape", "filters"), [((2, 4, 40), (5, 4, 3)), ((2, 4, 9, 7), (5, 4, 3, 3)), ((2, 4, 20, 9, 7), (5, 4, 1, 1, 1))]
)
def test_activations_of_any_rank(shape: tuple[int, ...], filters: tuple[int, ...]) -> None:
    compiled = cnnc.compile(network(shape, filters))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    first, second = (view.activations(compiled, {"x": x}, ["layer", "end"], sample=sample) for sample in (0, 1))
    assert [picture.op for picture in first] == ["conv", "relu"]
    conv, relu = first
    result = compiled.run({"x": x}, capture=["layer"])["layer"]
    assert conv.high == np.abs(result[0]).max() and conv.low == -conv.high
    assert relu.low == 0 and relu.high == result[0].max()
    assert conv.shape == result.shape
    assert not np.array_equal(first[0].pixels, second[0].pixels)
    assert ("4 of 20 slices" in conv.left_out) == (len(shape) == 5)
    with pytest.raises(InputError, match="no sample 2 among 2"):
        view.activations(compiled, {"x": x}, ["layer"], sample=2)


@pytest.mark.jit
def test_vectors_are_squares(lenet: CompiledModel) -> None:
    x = np.zeros((1, 1, 28, 28), np.float32)
    [picture] = view.activations(lenet, {"input": x}, ["f3"])
    assert picture.shape == (1, 10)
    assert picture.shown == "a square is a channel"


def test_what_cannot_be_shown() -> None:
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((3,), DType.F32))
    graph.set_outputs([graph.add_node("relu", [x], names=["y"], loc=("end",)).output], ["y"])
    with pytest.raises(InputError, match="give no maps"):
        view.activations(cnnc.compile(graph), {"x": np.zeros(3, np.float32)}, ["end"])


def test_the_same_picture_is_the_same_file(lenet: CompiledModel, tmp_path: Path) -> None:
    first, second = view.kernels(lenet.source_graph()), view.kernels(lenet.source_graph())
    files = view.save_pictures(first, tmp_path / "a", "a"), view.save_pictures(second, tmp_path / "b", "a")
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
    with Image.open(files[0][0]) as image:
        assert image.size == first[0].image().size
        at = image.size[0] - 1, 0
        assert image.getpixel(at) == (250, 250, 250)
    assert first[0]._repr_png_() == first[0].png()
    assert first[0].png().startswith(b"\x89PNG")


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>/../../etc/\N{SNOWMAN}"
    [picture] = view.kernels(network((1, 1, 8, 8), (2, 1, 3, 3), name=name))
    files = view.save_pictures([picture], tmp_path, name)
    assert [path.parent for path in files] == [tmp_path, tmp_path]
    assert files[0].name == file_name(1, picture) == "001_script_alert_1_script_.._.._etc_kernels.png"
    page = (tmp_path / INDEX).read_text()
    assert "<script" not in page
    assert html.escape(name) in page


def test_legend_shows_the_map() -> None:
    [picture] = view.kernels(network((1, 4, 8, 8), (2, 4, 3, 3)))
    pixels = np.asarray(picture.image())
    rows = (pixels[:, 8:263] == colours(DIVERGING)).all(axis=(1, 2))
    assert rows.sum() == 12
