"""Depthwise convolutions and Winograd's method in GPU programs: rules, tiles, whole programs on the emulated device."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import CompiledModel, compile_graph
from cnnc.lower.builder import Decision
from cnnc.options import Options
from cnnc.runtime.artifact import load_artifact
from cnnc.runtime.cuda.device_facts import A100, T4
from cnnc.runtime.cuda.executor import DeviceExecutor
from cnnc.runtime.cuda.row_tiling import RowLayer, rank_row_tilings
from cnnc.runtime.cuda.winograd_tiling import WinogradLayer, rank_winograd_tilings
from tests.cuda.devices import program_device
from tests.numeric.network import Network

WINOGRAD, DEPTHWISE, GROUPED = "conv.f32.winograd", "conv.f32.depthwise", "conv.f32.grouped"
GEMM = "conv.f32.implicit_gemm"


def compiled(shape=(1, 64, 28, 28), filters=64, winograd="auto", level=2, **conv) -> CompiledModel:
    net = Network()
    net.returns(net.conv(net.input(*shape), filters, **{"kernel": (3, 3), "pads": (1, 1, 1, 1)} | conv))
    return compile_graph(net.graph, Options(level=level, winograd=winograd, target="cuda:sm_80"))


def decision(*args, **kwargs) -> Decision:
    [found] = [item for item in compiled(*args, **kwargs).lowered.decisions if item.op == "conv"]
    return found


def reason(found: Decision, name: str) -> str:
    return next(why for rule, why in found.refused if rule == name)


@pytest.mark.parametrize("winograd", ["f2", "f4"])
@pytest.mark.parametrize("window", [(3, 3), (5, 5), (1, 5), (4, 2)], ids=str)
def test_winograd_where_it_is_asked_for(winograd, window):
    pads = tuple(size // 2 for size in window) * 2
    assert decision(winograd=winograd, kernel=window, pads=pads).chosen == WINOGRAD


@pytest.mark.parametrize(
    ("conv", "words"),
    [
        ({"strides": (2, 2)}, "stride"),
        ({"kernel": (1, 1), "pads": ()}, "1x1"),
        ({"group": 64}, "one filter a channel"),
        ({"group": 2}, "it has groups"),
        ({"kernel": (7, 7), "pads": ()}, "window is larger than 5"),
        ({"winograd": "off"}, "Winograd is off"),
        ({"level": 1}, "Winograd is off"),
    ],
    ids=str,
)
def test_winograd_refused_with_a_reason(conv, words):
    assert words in reason(decision(**conv), WINOGRAD)


@pytest.mark.parametrize(
    ("filters", "group", "chosen"),
    [(64, 16, GROUPED), (64, 64 // 8, GROUPED), (256, 2, GEMM), (64, 64, DEPTHWISE), (128, 64, GROUPED)],
)
def test_groups_take_the_kernel_of_their_size(filters, group, chosen):
    assert decision((1, max(64, filters // 2), 28, 28), filters, winograd="off", group=group).chosen == chosen


@pytest.mark.parametrize(
    ("shape", "conv"),
    [
        ((2, 19, 15, 9), {"winograd": "f4", "activation": "clip", "alpha": -0.5, "beta": 0.5}),
        ((1, 20, 13, 11), {"winograd": "f2", "dilations": (2, 2), "pads": (2, 2, 2, 2), "activation": "prelu"}),
        ((2, 9, 4, 7, 6), {"winograd": "f4", "kernel": (3, 3, 3), "pads": (1,) * 6}),
        ((2, 19, 9), {"winograd": "f4", "kernel": (3,), "pads": (1, 1)}),
        ((2, 19, 15, 9), {"group": 19, "filters": 19, "strides": (2, 2), "activation": "silu"}),
        ((2, 18, 7, 9), {"group": 6, "filters": 36, "activation": "relu"}),
        ((1, 12, 21), {"group": 12, "filters": 12, "kernel": (5,), "pads": (2, 2)}),
        ((1, 12, 3, 5, 6), {"group": 12, "filters": 12, "kernel": (3, 3, 3), "pads": (1,) * 6}),
    ],
    ids=str,
)
def test_programs_compute_what_the_cpu_does(shape, conv):
    pytest.importorskip("numba_cuda")
    model = compiled(shape, **{"filters": 24} | conv)
    kernel = {1: WINOGRAD, shape[1]: DEPTHWISE}.get(conv.get("group", 1), GROUPED)
    assert [item.chosen for item in model.lowered.decisions if item.op == "conv"] == [kernel]
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    [got] = DeviceExecutor(model.executable, program_device(), poison=True).run([x], {})
    [expected] = interp.run(model.graph, {"x": x}, float64=True).values()
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-5)


def test_files_hold_every_variant(tmp_path):
    for number, options in enumerate(({"winograd": "f4"}, {"group": 64})):
        path = tmp_path / f"{number}.cnnc"
        compiled(**options).save(path)
        assert load_artifact(path).program.steps


def test_small_maps_get_small_tiles():
    def best(size, channels, device=A100, images=1):
        layer = WinogradLayer(images, 1, (1, size, size), (1, 3, 3), (1, 1), channels, channels // 8)
        return rank_winograd_tilings(layer, [(4, 4), (2, 2)], device, 1)[0][1]

    assert best(224, 64).block_tile.channels * best(224, 64).block_tile.pixels >= 64 * 64
    assert best(7, 512).block_tile.pixels <= 64
    assert (best(224, 64).out_rows, best(56, 256, T4).out_rows) == (4, 4)


def test_threads_compute_few_rows_where_there_are_few_threads():
    def best(size, channels):
        layer = RowLayer(channels // 8, (size, size), 3, 5, 1, 12, 8 * channels * size * size)
        return rank_row_tilings(layer, A100, 1)[0][1].rows

    assert best(7, 64) <= best(112, 64) <= best(512, 256)
