"""A model gets the oldest opset, from 18 on, whose operators mean what its nodes mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cnnc.errors import UnsupportedError
from cnnc.export import export_graph
from cnnc.ir import Value
from cnnc.types import DType
from tests.export.judged import check_results, exported
from tests.passes.sketch import Sketch

Build = Callable[[Sketch], Value]


def average_pool(**attrs: object) -> Build:
    return lambda sketch: sketch.op("average_pool", sketch.input("N", 3, 6, 6), kernel_shape=(2, 2), **attrs)


def max_pool(**attrs: object) -> Build:
    return lambda sketch: sketch.op("max_pool", sketch.input("N", 3, 6, 6), **attrs)


def resize(mode: str) -> Build:
    return lambda sketch: sketch.op(
        "resize",
        sketch.input("N", 3, 6, 6),
        None,
        None,
        sketch.ints(2, 3, 9, 9),
        mode="linear",
        coordinate_transformation_mode=mode,
    )


def pad(mode: str) -> Build:
    return lambda sketch: sketch.op("pad", sketch.input("N", 6), sketch.ints(0, 1, 0, 2), mode=mode)


def unary(op: str, dtype: DType = DType.F32, **attrs: object) -> Build:
    return lambda sketch: sketch.op(op, sketch.input("N", 4, 3, dtype=dtype), **attrs)


def modulo(dtype: DType, fmod: int) -> Build:
    return lambda sketch: sketch.op(
        "mod", sketch.input("N", dtype=dtype), sketch.const(3, dtype=dtype.numpy.name), fmod=fmod
    )


CASES: dict[str, tuple[int, Build]] = {
    "relu": (18, unary("relu")),
    "average pool": (18, average_pool()),
    "average pool with holes": (19, average_pool(dilations=(2, 1))),
    "max pool rounded up": (18, max_pool(kernel_shape=(3, 3), strides=(2, 2), ceil_mode=1, pads=(1, 1, 1, 1))),
    "max pool rounded up into the padding": (22, max_pool(kernel_shape=(1, 1), strides=(2, 2), ceil_mode=1)),
    "gelu": (20, unary("gelu")),
    "mish": (18, unary("mish")),
    "swish": (18, unary("swish")),
    "cos of half": (18, unary("cos", DType.F16)),
    "cos of bfloat": (22, unary("cos", DType.BF16)),
    "resize": (18, resize("half_pixel")),
    "symmetric resize": (19, resize("half_pixel_symmetric")),
    "pad": (18, pad("edge")),
    "pad around": (19, pad("wrap")),
    "modulo of integers": (18, modulo(DType.I64, 0)),
    "fmod of floats": (18, modulo(DType.F32, 1)),
    "modulo of floats": (28, modulo(DType.F32, 0)),
    "group norm": (
        21,
        lambda sketch: sketch.op(
            "group_normalization", sketch.input("N", 4, 6), sketch.normal(4), sketch.normal(4), num_groups=2
        ),
    ),
    "rms norm": (
        23,
        lambda sketch: sketch.op("rms_normalization", sketch.input("N", 4), sketch.normal(4)),
    ),
    "grid sample": (
        20,
        lambda sketch: sketch.op("grid_sample", sketch.input(2, 3, 6, 6), sketch.input(2, 4, 4, 2, name="grid")),
    ),
}
NEWEST_OF_ONNXRUNTIME = 26


@pytest.mark.parametrize("name", CASES)
def test_oldest_opset(name: str) -> None:
    expected, build = CASES[name]
    sketch = Sketch()
    graph = sketch.returns(build(sketch)).graph
    model = exported(graph) if expected > NEWEST_OF_ONNXRUNTIME or "bfloat" in name else check_results(graph)
    assert model.opset_import[0].version == expected


@pytest.mark.parametrize("name", [name for name, (expected, _) in CASES.items() if expected > 18])
def test_an_older_opset_is_refused(name: str) -> None:
    expected, build = CASES[name]
    sketch = Sketch()
    graph = sketch.returns(build(sketch)).graph
    with pytest.raises(UnsupportedError) as caught:
        export_graph(graph, opset=expected - 1)
    assert f"opset {expected}" in str(caught.value) and "next step: export for opset" in str(caught.value)


@pytest.mark.parametrize("opset", [18, 19, 20, 21, 22, 23, 24, 25])
def test_a_newer_opset_means_the_same(opset: int) -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    y = sketch.op("conv", x, sketch.normal(4, 3, 3, 3))
    y = sketch.op("average_pool", y, kernel_shape=(2, 2), strides=(2, 2), ceil_mode=1, count_include_pad=1)
    y = sketch.op("reduce_mean", sketch.op("sigmoid", y), sketch.ints(2, 3))
    y = sketch.op("resize", y, None, sketch.const([1, 1, 2, 2]), mode="nearest")
    model = check_results(sketch.returns(sketch.op("softmax", y, axis=1)).graph, opset=opset)
    assert model.opset_import[0].version == opset


def test_an_operator_that_the_onnx_package_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnc.export.opset.newest_opset", lambda: 22)
    monkeypatch.setattr("cnnc.export.writer.newest_opset", lambda: 22)
    sketch = Sketch()
    sketch.returns(CASES["rms norm"][1](sketch))
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    assert "knows no RMSNormalization" in str(caught.value) and "update the onnx package" in str(caught.value)
    sketch = Sketch()
    sketch.returns(CASES["modulo of floats"][1](sketch))
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    assert "came with opset 28" in str(caught.value) and "ends at 22" in str(caught.value)
