"""30 % of the channels of classic families go: valid ONNX that onnxruntime runs, equal to the masked original."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from cnnc import interp
from cnnc.channels import dependencies
from cnnc.export import export_model
from cnnc.pruning.channel_allocation import kept_counts, removed_classes
from cnnc.pruning.channel_api import prune_graph_channels
from cnnc.pruning.channel_groups import channel_groups, select_groups
from cnnc.pruning.channel_scores import class_scores
from cnnc.pruning.channel_settings import ChannelSettings
from cnnc.sample_inputs import sample_inputs
from tests.channels.masking import masked_graph
from tests.channels.test_families import family
from tests.frontends.model_builder import run_onnxruntime

CLASSIC = (
    "vgg",
    "googlenet",
    "resnet18",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "efficientnet_b0",
    "unet",
)


@pytest.mark.parametrize("name", CLASSIC)
def test_pruned_models_are_valid_and_equal_the_masked_original(name: str) -> None:
    graph = family(name)
    settings = ChannelSettings(0.3, scope="layer" if len(name) % 2 else "global")
    done = prune_graph_channels(graph, settings)
    assert 0.2 < done.sparsity < 0.4
    assert done.after.parameters < done.before.parameters
    assert done.after.macs < done.before.macs

    model = export_model(done.graph)
    onnx.checker.check_model(model, full_check=True)
    assert [value.type for value in done.graph.inputs] == [value.type for value in graph.inputs]
    assert [value.type for value in done.graph.outputs] == [value.type for value in graph.outputs]
    names = {value.name for value in graph.constants}
    assert {value.name for value in done.graph.constants} <= names | {f"{name}_kept" for name in names}

    found = dependencies(graph)
    selected = select_groups(graph, channel_groups(found), settings)
    scores = class_scores(found, list(selected.ratios), settings)
    removed = removed_classes(found, kept_counts(selected, scores, settings), scores)
    feeds = sample_inputs(graph)
    wanted = interp.run(masked_graph(found, removed), feeds, float64=True)
    got, onnxruntime = interp.run(done.graph, feeds, float64=True), run_onnxruntime(model, feeds)
    for output, array in wanted.items():
        scale = float(np.std(array))
        assert np.abs(got[output] - array).max() / scale < 1e-9
        assert np.abs(onnxruntime[output] - array).max() / scale < 1e-4
