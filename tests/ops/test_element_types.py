"""Every float op in f16, bf16 and f64, and with an empty batch: dtypes and shapes as inferred, one rounding off."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.ops.single_op import run_op

IMAGE, CHANNELS = (2, 4, 6, 5), (4,)

FLOAT_OPS: list[tuple[str, list[tuple[int, ...]], dict[str, Any], int]] = [
    ("conv", [IMAGE, (6, 2, 3, 3), (6,)], {"group": 2, "pads": [1, 0, 1, 0]}, 1),
    ("conv_transpose", [IMAGE, (4, 3, 3, 3), (6,)], {"group": 2, "strides": [2, 1]}, 1),
    ("max_pool", [IMAGE], {"kernel_shape": [2, 3], "pads": [1, 1, 0, 0]}, 2),
    ("average_pool", [IMAGE], {"kernel_shape": [2, 3], "ceil_mode": 1, "strides": [2, 2]}, 1),
    ("lp_pool", [IMAGE], {"kernel_shape": [2, 3], "p": 3}, 1),
    ("global_average_pool", [IMAGE], {}, 1),
    ("global_max_pool", [IMAGE], {}, 1),
    ("global_lp_pool", [IMAGE], {}, 1),
    ("batch_normalization", [IMAGE, *[CHANNELS] * 4], {}, 1),
    ("scale_shift", [IMAGE, CHANNELS, CHANNELS], {}, 1),
    ("instance_normalization", [IMAGE, CHANNELS, CHANNELS], {}, 1),
    ("group_normalization", [IMAGE, CHANNELS, CHANNELS], {"num_groups": 2}, 1),
    ("layer_normalization", [IMAGE, (5,), (5,)], {}, 3),
    ("rms_normalization", [IMAGE, (6, 5)], {"axis": 2}, 1),
    ("lp_normalization", [IMAGE], {"axis": 1}, 1),
    ("mean_variance_normalization", [IMAGE], {"axes": [1, 2, 3]}, 1),
    ("lrn", [IMAGE], {"size": 3}, 1),
    ("channel_shuffle", [IMAGE], {"groups": 2}, 1),
    ("depth_to_space", [IMAGE], {"blocksize": 2}, 1),
    ("dropout", [IMAGE], {}, 2),
    ("grid_sample", [IMAGE, (2, 3, 3, 2)], {"mode": "cubic"}, 1),
    ("deform_conv", [IMAGE, (6, 4, 1, 1), (2, 2, 6, 5)], {}, 1),
]
SEQUENCES: list[tuple[str, list[tuple[int, ...]], dict[str, Any], int]] = [
    ("rnn", [(3, 2, 4), (1, 5, 4), (1, 5, 5)], {}, 2),
    ("gru", [(3, 2, 4), (1, 15, 4), (1, 15, 5)], {}, 2),
    ("lstm", [(3, 2, 4), (1, 20, 4), (1, 20, 5)], {}, 3),
]


def draw(shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    # Values that bfloat16 holds exactly, none of them below 0 for variances.
    return [(rng.integers(1, 64, shape) / 64).astype(np.float64) for shape in shapes]


@pytest.mark.parametrize(("dtype", "step"), [(np.float16, 2**-10), (ml_dtypes.bfloat16, 2**-7), (np.float32, 2**-18)])
@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "outputs"),
    [*FLOAT_OPS, *SEQUENCES],
    ids=lambda value: value if type(value) is str else "",
)
def test_narrow_floats_are_one_rounding_from_float64(
    name: str, shapes: list, attrs: dict, outputs: int, dtype: type, step: float
) -> None:
    exact = draw(shapes)
    wanted = run_op(name, exact, outputs=outputs, **attrs)
    found = run_op(name, [array.astype(dtype) for array in exact], outputs=outputs, **attrs)
    assert found[0].dtype == np.dtype(dtype)
    scale = np.abs(wanted[0]).max()
    error = np.abs(found[0].astype(np.float64) - wanted[0]).max()
    assert error <= step * scale, (name, error / scale)


def test_resize_of_narrow_floats_keeps_their_dtype() -> None:
    x = draw([(1, 2, 3, 5)])[0]
    scales = np.array([1, 1, 2, 1.5], np.float32)
    (exact,) = run_op("resize", [x, None, scales], mode="linear")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        (found,) = run_op("resize", [x.astype(dtype), None, scales], mode="linear")
        np.testing.assert_allclose(found.astype(np.float64), exact, rtol=2**-8)


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "outputs"), FLOAT_OPS, ids=lambda value: value if type(value) is str else ""
)
def test_empty_batch(name: str, shapes: list, attrs: dict, outputs: int) -> None:
    arrays = draw([(0, *shape[1:]) if shape[0] == 2 else shape for shape in shapes])
    results = run_op(name, [array.astype(np.float32) for array in arrays], outputs=outputs, **attrs)
    assert results[0].size == 0
