"""What is written in the language is exported to ONNX, passes its checker, and gives the same in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from cnnc import dsl, interp
from tests.dsl import test_activation, test_elementary, test_pooling
from tests.dsl.evaluation import graph_of, random
from tests.export.judged import check_results

X = random(2, 6, 8, 7)
FUNCTIONS: dict[str, dsl.Network] = {
    **{name: function for name, (function, _) in test_activation.FORMULAS.items()},
    **{name: layer for name, (layer, _) in test_pooling.LAYERS.items()},
    # Shares of sums of no sign are no weights.
    "StochasticPool": lambda x: dsl.stochastic_pool(dsl.relu(x), 2),
    "conv": dsl.Conv2d(6, 4, 3, padding=((0, 1), 1), stride=2, dilation=(1, 2), groups=2),
    "conv same": dsl.Conv2d(6, 4, (3, 2), padding="same", stride=(2, 3)),
    "conv_transpose": dsl.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
    "depthwise": dsl.DepthwiseConv2d(6, 3, multiplier=2, padding=1),
    "separable": dsl.SeparableConv2d(6, 5, 3),
    "spatially separable": dsl.SpatiallySeparableConv2d(6, 5, 3, padding=1),
    "linear of rank 4": dsl.Linear(7, 3),
    "linear": dsl.Sequential(dsl.Flatten(), dsl.Linear(6 * 8 * 7, 3)),
    "batch_norm": dsl.BatchNorm(6),
    "batch_norm without weights": dsl.BatchNorm(6, affine=False),
    "layer_norm": dsl.LayerNorm((8, 7)),
    "group_norm": dsl.GroupNorm(3, 6),
    "instance_norm": dsl.InstanceNorm(6),
    "local_response_norm": dsl.LocalResponseNorm(3),
    "prelu": dsl.PReLU(6),
    "reshape": lambda x: dsl.reshape(x, (x.shape[0], 4, -1)),
    "transpose": lambda x: dsl.transpose(x, (0, 2, 3, 1)),
    "squeeze, unsqueeze": lambda x: dsl.squeeze(dsl.unsqueeze(x, (1,)), (1,)),
    "split, concat": lambda x: dsl.concat(dsl.split(x, [1, 2, 3])[::-1]),
    "slice": lambda x: x[:, 1::2, -3:, 2],
    "pad": lambda x: dsl.pad(x, [(1, 2), (0, 3)], value=0.5),
    "pad by reflection": dsl.Pad([(1, 2)], mode="reflect"),
    "channel_shuffle": dsl.ChannelShuffle(3),
    "pixel_shuffle": lambda x: dsl.pixel_shuffle(x[:, :4], 2),
    "pixel_unshuffle": lambda x: dsl.pixel_unshuffle(x[..., :6], 2),
    "upsample": dsl.Upsample(2),
    "upsample linear": dsl.Upsample(1.5, mode="linear"),
    "resize cubic": dsl.Resize((5, 9), mode="cubic", align_corners=True),
    "dropout": dsl.Dropout(0.3),
    "where": lambda x: dsl.where(x > 0.5, x, -1),
    "arithmetic": lambda x: (2 - x) / (x**2 + 1) - dsl.minimum(x, 0.3) * dsl.maximum(0.2, x),
    "functions": lambda x: dsl.exp(dsl.log(dsl.sqrt(dsl.absolute(-x) + 0.1))),
    "matmul": lambda x: x @ x.transpose(0, 1, 3, 2),
    "argmax": lambda x: dsl.cast(dsl.argmax(x, 1), "float32"),
    **{
        f"reduce_{name}": (lambda x, reduce=reduce: reduce(x, (2, -1)))
        for name, (reduce, _) in test_elementary.REDUCTIONS.items()
    },
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_onnxruntime_gives_the_same(name: str) -> None:
    graph = graph_of(FUNCTIONS[name], X, open_batch=True)
    check_results(graph, sizes={"N": 2})


def test_a_model_writes_a_file_that_checks(tmp_path: Path) -> None:
    network = dsl.Sequential(conv=dsl.Conv2d(6, 4, 3), act=dsl.relu, pool=dsl.GlobalAvgPool())
    model = dsl.model(network, {"image": ("N", 6, None, None)})
    proto = model.to_onnx(tmp_path / "net.onnx")
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)
    assert [node.op_type for node in proto.graph.node] == ["Conv", "Relu", "GlobalAveragePool"]
    assert [value.name for value in proto.graph.input] == ["image"]
    assert {tensor.name for tensor in proto.graph.initializer} == {"conv.weight", "conv.bias"}
    fixed = model.to_onnx(shapes={"image": (2, 6, 9, 9)})
    assert [dim.dim_value for dim in fixed.graph.input[0].type.tensor_type.shape.dim] == [2, 6, 9, 9]


def test_several_outputs_keep_their_names() -> None:
    model = dsl.model(lambda x: {"low": dsl.relu(x), "high": -x}, (2, 3))
    assert [value.name for value in model.to_onnx().graph.output] == ["low", "high"]
    results = interp.run(model.graph(), {"x": np.ones((2, 3), np.float32)})
    assert list(results) == ["low", "high"]
