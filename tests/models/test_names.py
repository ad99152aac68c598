"""Networks are those of torchvision, parameter by parameter: checked against graphs that PyTorch exported.

They are skipped where the graphs are not at hand.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnc import frontends, interp, models
from cnnc.dsl import Model
from cnnc.dsl import model as make_model
from cnnc.models.espcn import ESPCN
from cnnc.models.inception_v3 import InceptionV3
from cnnc.models.unet import UNet

SHARED = Path(os.environ.get("CNNC_SHARED", Path(__file__).resolve().parents[3] / "shared"))
LIGHT = SHARED / "zoo" / "light"

pytestmark = pytest.mark.skipif(not LIGHT.is_dir(), reason="the model zoo is not here (CNNC_SHARED)")

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

SAME_ORDER = ("mobilenet_v1", "shufflenet_v1_g3", "xception")
"""Networks that torchvision lacks: the graphs' names are those of whoever wrote them, their order is the same."""

QUICK = ("squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x1_0", "googlenet", "efficientnet_b0")
"""Of these the results are compared in every run of the tests, of the others in slow campaigns."""


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    return {name: parameter.shape for name, parameter in model.parameters.items()}


def shapes_in(name: str) -> Mapping[str, tuple[int, ...]]:
    """Weights, biases and statistics of an exported graph, by name."""
    onnx = pytest.importorskip("onnx")
    initializers = onnx.load(LIGHT / f"{name}.onnx", load_external_data=False).graph.initializer
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {part.name: tuple(part.dims) for part in initializers if part.name.rpartition(".")[2] in kinds}


@pytest.mark.parametrize("name", SAME_NAMES)
def test_names_and_shapes_are_those_of_torchvision(name: str) -> None:
    assert shapes_of(models.model(name)) == shapes_in(name)


def test_alexnet_with_one_tower_has_the_names_of_torchvision() -> None:
    assert shapes_of(models.model("alexnet_one_tower")) == shapes_in("alexnet")


def filled(name: str) -> Any:
    """The exported graph with made-up weights, as an ONNX model."""
    spec = importlib.util.spec_from_file_location("materialize", SHARED / "zoo" / "materialize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.materialize(str(LIGHT / f"{name}.onnx"))


def judge_results(model: Model, exported: str, order: Sequence[str] | None = None) -> None:
    """With the weights of the exported graph the network computes what the graph does.

    Args:
        order: the network's parameters in the order of the graph's; their own order without.
    """
    proto = filled(exported)
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    arrays = {part.name: numpy_helper.to_array(part) for part in proto.graph.initializer}
    for name, theirs in zip(order or model.parameters, shapes_in(exported), strict=True):
        model.set(name, arrays[theirs])
    (given,) = model.inputs.values()
    x = np.random.default_rng(0).standard_normal((1, *given.shape[1:])).astype(np.float32)
    graph = frontends.import_onnx(proto.SerializeToString())
    (expected,) = interp.run(graph, {graph.inputs[0].name: x}).values()
    (got,) = interp.run(model.graph(), {"x": x}).values()
    assert np.abs(got - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("name", QUICK)
def test_results_are_those_of_torchvision(name: str) -> None:
    judge_results(models.model(name, init=None), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SAME_NAMES if name not in (*QUICK, "inception_v3")])
def test_results_of_large_networks_are_those_of_torchvision(name: str) -> None:
    judge_results(models.model(name, init=None), name)


@pytest.mark.slow
def test_results_of_alexnet_with_one_tower_are_those_of_torchvision() -> None:
    judge_results(models.model("alexnet_one_tower", init=None), "alexnet")


@pytest.mark.slow
def test_results_of_inception_v3_are_those_of_torchvision() -> None:
    network = InceptionV3(transform_input=True)
    judge_results(make_model(network, models.find("inception_v3").inputs, init=None), "inception_v3")


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME_ORDER)
def test_results_are_those_of_the_exported_graph(name: str) -> None:
    judge_results(models.model(name, init=None), name)


@pytest.mark.slow
def test_se_resnet_is_the_exported_graph() -> None:
    assert shapes_of(models.model("se_resnet50")) == shapes_in("seresnet50")
    judge_results(models.model("se_resnet50", init=None), "seresnet50")


def test_results_of_espcn_are_those_of_the_exported_graph() -> None:
    judge_results(make_model(ESPCN(), ("N", 1, 72, 72), init=None), "espcn")


@pytest.mark.slow
def test_results_of_unet_are_those_of_the_exported_graph() -> None:
    model = make_model(UNet(in_channels=1, classes=2, width=32), ("N", 1, 256, 256), init=None)
    # The graph has all transposed convolutions of the decoder before the convolutions behind them.
    rank = {"up": 1, "conv": 2}
    order = sorted(model.parameters, key=lambda name: rank[name.split(".")[1]] if name.startswith("up") else 0)
    order.sort(key=lambda name: name.startswith("outc"))
    judge_results(model, "unet", order)


def test_tiny_yolo_has_the_shapes_of_the_exported_graph() -> None:
    assert list(shapes_of(models.model("tiny_yolov3")).values()) == list(shapes_in("yolov3_tiny").values())


def test_deeplab_has_the_names_of_torchvision() -> None:
    """Of its backbone those of ResNet-50, of its head those of the model on another backbone, which was exported."""
    names = list(shapes_of(models.model("deeplabv3_resnet50")))
    backbone = [f"backbone.{name}" for name in shapes_in("resnet50") if not name.startswith("fc.")]
    head = [name for name in shapes_in("deeplabv3_mobilenet_v3_large") if "classifier." in name]
    assert names == backbone + [name[name.index("classifier.") :] for name in head if "aux" not in name]
