"""What is asked of exercise 1."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from lesson_01_build_lenet.lesson import LeNet5, bundled_images, trained

from cnnc import dsl, interp

CONVOLUTIONS: tuple[tuple[Any, ...], ...] = (
    ((1, 28, 28), 6, 5, {"padding": 2}),
    ((6, 14, 14), 16, 5, {}),
    ((3, 224, 224), 64, 7, {"stride": 2, "padding": 3}),
    ((16, 15, 9), 16, 3, {"stride": 2, "groups": 16}),
    ((12, 8, 8), 20, 3, {"stride": 3, "padding": 1, "groups": 4}),
)


def check_cost(student: ModuleType) -> None:
    """Part 1: shape, parameters and MACs of a convolution"""
    for shape, out_channels, kernel, options in CONVOLUTIONS:
        layer = dsl.Conv2d(shape[0], out_channels, kernel, **options)
        model = dsl.model(layer, ("N", *shape))
        [result] = model.graph().outputs
        expected = (result.type.shape[1:], model.parameter_count, model.macs())
        got = student.conv_cost(shape, out_channels, kernel, **options)
        for what, a, b in zip(("the shape [OC, OH, OW]", "the number of parameters", "the MACs"), got, expected):
            case = f"conv_cost({shape}, {out_channels}, {kernel}, {options})"
            assert a == b, f"{case}: {what} should be {b}, got {a}; the README has the formula"


def check_network(student: ModuleType) -> None:
    """Part 2: LeNet-5 of 1998 in the DSL"""
    model = student.lenet_1998()
    graph = model.graph()
    ops = [node.op for node in graph.nodes]
    expected = "conv tanh average_pool conv tanh average_pool conv tanh flatten gemm tanh gemm".split()
    assert ops == expected, f"the graph's ops should be {' '.join(expected)}; they are {' '.join(ops)}"
    shapes = {name: parameter.shape for name, parameter in model.parameters.items()}
    assert shapes.get("conv3.weight") == (120, 16, 5, 5), (
        f"conv3.weight should be [120, 16, 5, 5]; the parameters are {shapes}"
    )
    assert model.parameter_count == 61_706, f"it has {model.parameter_count:,} parameters, not 61,706"
    assert graph.output_names == ("scores",), f"the output is called {graph.output_names}; return {{'scores': tensor}}"
    for batch in (1, 3):
        image = np.zeros((batch, 1, 32, 32), np.float32)
        feeds = {graph.inputs[0].name: image}
        got = interp.run(graph, feeds)["scores"].shape
        assert got == (batch, 10), f"{batch} images give scores {got}, not ({batch}, 10); is N a symbol in the input?"


def check_classifier(student: ModuleType) -> None:
    """Part 3: names for images"""
    model = trained(LeNet5())
    images, truth, names = bundled_images()
    found = student.classify(model, images, names)
    assert len(found) == len(images), f"{len(images)} images gave {len(found)} names"
    unknown = sorted(set(found) - set(names))
    assert not unknown, f"{unknown[:3]} are not among the names of the classes"
    right = sum(name == names[label] for name, label in zip(found, truth, strict=True))
    assert right == 44, (
        f"{right} of 50 images are right, and 44 should be; were pixels divided by 255, then normalised, as float32?"
    )
    alone = student.classify(model, images[7:8], names)
    assert alone == found[7:8], f"image 7 is {found[7]!r} among others and {alone} alone"
    none = student.classify(model, images[:0], names)
    assert len(none) == 0, f"no images gave {len(none)} names"


PARTS = (check_cost, check_network, check_classifier)
