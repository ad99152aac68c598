"""The classic families: 30 % of the channels that may go are removed, whatever the graph looks like."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc import dsl, models
from cnnc.channels import dependencies
from cnnc.ir import Graph
from tests.channels.masking import assert_same_as_masked, random_removal

FAMILIES = {
    "vgg": 32,
    "lenet5": 28,
    "googlenet": 32,
    "inception_v3": 75,
    "resnet18": 32,
    "resnet18_preact": 32,
    "resnext50_32x4d": 32,
    "se_resnet50": 32,
    "cbam_resnet18": 32,
    "densenet121": 32,
    "squeezenet1_1": 40,
    "mobilenet_v1": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "shufflenet_v1_g3": 32,
    "shufflenet_v2_x0_5": 32,
    "xception": 40,
    "efficientnet_b0": 32,
    "unet": 16,
    "tiny_yolov3": 32,
    "dncnn": 12,
    "sppnet": 64,
}
"""Networks, and the side of a small image."""


class NarrowVGG(dsl.Sequential):
    """VGG with few channels: flattened maps are read by matrix products."""

    def __init__(self) -> None:
        steps: list[dsl.Network] = []
        channels = 3
        for width in (8, 16, 24):
            for _ in range(2):
                steps += [dsl.Conv2d(channels, width, 3, padding=1), dsl.relu]
                channels = width
            steps.append(dsl.MaxPool(2))
        super().__init__(
            *steps,
            dsl.Flatten(),
            dsl.Linear(24 * 4 * 4, 40),
            dsl.relu,
            dsl.Linear(40, 30),
            dsl.relu,
            dsl.Linear(30, 10),
        )


def unsettled(graph: Graph) -> Graph:
    """The graph with vectors that are neither 0 nor 1, so that every bias and normalization shows."""
    random = np.random.default_rng(1)
    for value in graph.constants:
        layers = {node.op for node in value.users} <= {"conv", "gemm", "batch_normalization"}
        if value.array is not None and value.array.ndim == 1 and layers:
            value.array = random.uniform(0.5, 1.5, value.array.shape).astype(np.float32)
    return graph


def family(name: str) -> Graph:
    """A network on a small image of known size."""
    model = dsl.model(NarrowVGG(), {"x": dsl.Input("N", 3, 32, 32)}) if name == "vgg" else models.model(name)
    (given,) = model.inputs
    channels = model.inputs[given].shape[1]
    return unsettled(model.graph({given: (1, channels, FAMILIES[name], FAMILIES[name])}))


@pytest.mark.parametrize("name", FAMILIES)
def test_removal_equals_masking(name: str) -> None:
    graph = family(name)
    found = dependencies(graph)
    removed = random_removal(found, 0.3)
    assert len(removed)
    assert_same_as_masked(found, removed)
