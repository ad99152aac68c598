"""Parameters have PyTorch's names and shapes: checked against graphs that PyTorch exported, where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from cnnc import models
from cnnc.dsl import Model

SHARED = Path(os.environ.get("CNNC_SHARED", Path(__file__).resolve().parents[3] / "shared"))
LIGHT = SHARED / "zoo" / "light"

SAME_NAMES = (
    "googlenet",
    "inception_v3",
    "vgg16",
    "vgg19_bn",
    "resnet18",
    "resnet50",
    "resnet152",
    "resnext50_32x4d",
    "densenet121",
    "squeezenet1_0",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
)
"""Networks of torchvision, whose graphs bear its names."""

SAME_SHAPES = ("mobilenet_v1", "shufflenet_v1_g3", "xception", "zfnet")
"""Networks that torchvision lacks: the graphs' names are those of whoever wrote them."""


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    return {name: parameter.shape for name, parameter in model.parameters.items()}


def shapes_in(name: str) -> Mapping[str, tuple[int, ...]]:
    """Weights, biases and statistics of an exported graph, by name."""
    onnx = pytest.importorskip("onnx")
    path = LIGHT / f"{name}.onnx"
    if not path.exists():
        pytest.skip("the model zoo is not here (CNNC_SHARED)")
    initializers = onnx.load(path, load_external_data=False).graph.initializer
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {part.name: tuple(part.dims) for part in initializers if part.name.rpartition(".")[2] in kinds}


@pytest.mark.parametrize("name", SAME_NAMES)
def test_names_and_shapes_are_those_of_torchvision(name: str) -> None:
    assert shapes_of(models.model(name)) == shapes_in(name)


def test_alexnet_with_one_tower_has_the_names_of_torchvision() -> None:
    assert shapes_of(models.model("alexnet_one_tower")) == shapes_in("alexnet")


@pytest.mark.parametrize("name", SAME_SHAPES)
def test_shapes_are_those_of_the_exported_graph(name: str) -> None:
    assert sorted(shapes_of(models.model(name)).values()) == sorted(shapes_in(name).values())
