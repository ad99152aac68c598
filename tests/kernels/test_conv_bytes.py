"""Convolutions of bytes: equal to the reference bit for bit, on every target; poisoned pad lanes, guard pages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.runtime.cpu.conv_depthwise import pack_depthwise
from cnnc.runtime.cpu.conv_packing import pack_byte_weights
from cnnc.runtime.cpu.conv_plain_input_bytes import pack_plain_input_bytes, quads_of
from cnnc.runtime.cpu.pointwise_tiling import tail_halves
from cnnc.runtime.cpu.winograd_packing import pack_integer_winograd
from cnnc.runtime.host.quantized import q_linear_conv
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from cnnc.types import Layout
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import named, poison, run
from tests.rotation import in_turn

pytestmark = pytest.mark.jit
TARGETS = [host_target()] + [x86_target(level) for level in ("sse", "avx2", "avx512")]
DTYPES = {"u8": np.uint8, "i8": np.int8}
FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def bytes_of(rng: Any, dtype: str, shape: tuple[int, ...], extreme: bool) -> Any:
    limits = np.iinfo(DTYPES[dtype])
    if extreme:
        return rng.choice([limits.min, limits.max], shape).astype(DTYPES[dtype])
    return rng.integers(limits.min, limits.max + 1, shape).astype(DTYPES[dtype])


def run_bytes(
    target: Target,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    pads: tuple[int, ...] = (0, 0, 0, 0),
    groups: int = 1,
    pieces: tuple[int, ...] = (),
    kernel: str = "direct",
    dtypes: tuple[str, str] = ("u8", "u8"),
    zeros: tuple[int, int] = (3, 250),
    tile: tuple[int, int, int] = (1, 3, 1),
    tiles: tuple[int, int, int] = (2, 1, 1),
    extreme: bool = False,
    factor: float = 1e-4,
    outputs: tuple[int, int] = (4, 4),
    same: tuple[int, int] | None = None,
) -> tuple[Any, Any]:
    """What the kernel gives, and the reference; ``same``: the value of all inputs and that of all weights."""
    rng = np.random.default_rng(sum(x_shape) * sum(w_shape))
    lanes, (n, ic, h, w) = target.lanes, x_shape
    x, weights = bytes_of(rng, dtypes[0], x_shape, extreme), bytes_of(rng, "i8", w_shape, extreme)
    if same is not None:
        x[:], weights[:] = same
    x_zero, y_zero = (np.array(zero % 256, np.uint8).view(DTYPES[dtype]) for zero, dtype in zip(zeros, dtypes))
    oc, bias = w_shape[0], rng.integers(-5000, 5000, w_shape[0]).astype(np.int32)
    w_scale = rng.uniform(0.5, 1.5, oc).astype(np.float32)
    scales = np.float32(factor), w_scale, np.float32(1.25)
    expected = q_linear_conv(
        x, np.asarray(scales[0]), x_zero, weights, w_scale, np.zeros(oc, np.int8), np.asarray(scales[2]), y_zero, bias,
        strides=stride, dilations=dilation, pads=pads, group=groups,
    )  # fmt: skip
    layout = Layout(lanes, pieces)
    where = layout.lanes(ic)
    physical = poison((n, layout.physical_channels(ic), h, w), x.dtype)
    physical[:, where] = x
    rows, columns, blocks = tile
    tail = tail_halves(oc, blocks, lanes) if kernel == "pointwise" else 0
    depthwise = (
        pack_depthwise(weights, lanes, where, physical.shape[1] // lanes, np.int32) if groups == ic == oc else None
    )
    packed = pack_byte_weights(weights, lanes, blocks, groups, where, tail * lanes // 2)
    y_blocks = -(-oc // (lanes * blocks)) * blocks - (blocks - -(-tail // 2) if tail else 0)
    unsigned_zero = int(x_zero) + (128 if dtypes[0] == "i8" else 0)
    sums = weights.reshape(oc, -1).sum(1, dtype=np.int64)
    room = y_blocks * lanes
    lane_bias, factors = np.zeros(room, np.int32), np.zeros(room, np.float32)
    lane_bias[:oc] = (bias - unsigned_zero * sums).astype(np.int32)
    factors[:oc] = scales[0] * w_scale / scales[2]
    y = poison((n, y_blocks, *expected.shape[2:], lanes), expected.dtype)
    buffers: dict[str, Any] = {
        "x": to_blocked(physical, lanes, pad=0),
        "weights": packed.weights,
        "y": y,
        "residual": None,
    }
    buffers |= {"segments": packed.segments, "bias": lane_bias, "slopes": factors}
    sizes: dict[str, int] = {
        "N": n,
        "XB": physical.shape[1] // lanes,
        "YB": y_blocks,
        "weight_floats": packed.weights.size,
    }
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments), "oc_tiles": tiles[2]}
    sizes |= {"alpha": int(y_zero), "beta": int(np.iinfo(expected.dtype).min)}
    sizes |= dict.fromkeys(("x_gap", "y_gap", "residual_gap"), 0)
    options: dict[str, Any] = {"columns": columns, "blocks": blocks, "lanes": lanes, "element": dtypes[0]}
    options |= {"activation": "requantize", "residual": 0}
    if kernel == "pointwise":
        buffers |= {"input_scale": None, "input_shift": None}
        sizes |= {"pixels": h * w, "slab_tiles": 2 * tiles[0], "pixel_tiles": tiles[0]}
        sizes |= {"input_alpha": 0, "input_beta": 0, "input_image": 0}
        options |= {"tail": tail} if tail else {}
    elif kernel == "depthwise":
        del buffers["segments"], options["blocks"]
        buffers["weights"] = depthwise
        sizes = {name: sizes[name] for name in ("N", "alpha", "beta", "x_gap", "y_gap", "residual_gap")}
        sizes |= {
            "CB": y_blocks,
            "item_rows": tiles[0],
            **window_sizes(x_shape, expected.shape, w_shape, stride, dilation, pads),
        }
        options |= (
            {"window": w_shape[3], "stride": stride[1], "dilation": 1}
            if dilation[1] == 1
            else dict.fromkeys(("window", "stride", "dilation"), 0)
        )
    elif kernel == "winograd":
        packed = pack_integer_winograd(weights, outputs, lanes, blocks, tiles[1], groups, where)
        buffers |= {"weights": packed.weights, "segments": packed.segments}
        window = window_sizes(x_shape, expected.shape, w_shape, stride, dilation, pads)
        sizes |= {name: window[name] for name in "D H W OD OH OW KD SD DD DH DW PD PH PW".split()}
        sizes |= {"column_tiles": tiles[0], "chunk_tiles": tiles[1], "fill": (int(x_zero) & 255) * 0x01010101}
        sizes |= {"weight_floats": packed.weights.size}
        options |= {"out_rows": outputs[0], "out_columns": outputs[1], "window_rows": 3, "window_columns": 3}
    elif kernel == "plain_input":
        del buffers["segments"]
        buffers |= {"x": x, "weights": pack_plain_input_bytes(weights, lanes, blocks)}
        window = window_sizes(x_shape, expected.shape, w_shape, stride, dilation, pads)
        sizes = {
            name: sizes[name] for name in ("N", "YB", "oc_tiles", "alpha", "beta", "x_gap", "y_gap", "residual_gap")
        }
        sizes |= {name: window[name] for name in ("H", "W", "OH", "OW", "KH", "SH", "SW", "DH", "PH", "PW")}
        sizes |= {"C": ic, "QW": quads_of(w_shape[3]), "row_tiles": tiles[0], "fill": int(x_zero) & 255}
        options |= {"rows": rows, "stride": stride[1]}
    else:
        sizes |= window_sizes(x_shape, expected.shape, w_shape, stride, dilation, pads)
        sizes |= {"row_tiles": tiles[0], "column_tiles": tiles[1], "fill": (int(x_zero) & 255) * 0x01010101}
        options |= {"rows": rows, "input_block": lanes}
    got = run(Variant.of(f"conv.u8.blocked.{kernel}", **options), buffers, sizes, target)["y"]
    return from_blocked(got, oc), expected


def window_sizes(x: Any, y: Any, w: Any, stride: Any, dilation: Any, pads: Any) -> dict[str, int]:
    names = "D H W OD OH OW KD KH KW SD SH SW DD DH DW PD PH PW".split()
    return dict(zip(names, (1, *x[2:], 1, *y[2:], 1, *w[2:], 1, *stride, 1, *dilation, 0, *pads[:2])))


DEPTHWISE: dict[str, Any] = {"kernel": "depthwise", "pads": (1, 1, 1, 1), "zeros": (0, 9), "tile": (1, 5, 1)}
POINTWISE = {"kernel": "pointwise"}
WINOGRAD: dict[str, Any] = {"kernel": "winograd", "pads": (1, 1, 1, 1), "tiles": (2, 1, 2)}
IMAGE: dict[str, Any] = {"kernel": "plain_input", "pads": (1, 1, 1, 1), "zeros": (114, 3)}
CASES: list[dict[str, Any]] = [
    {"x_shape": (1, 3, 9, 7), "w_shape": (20, 3, 3, 3), "stride": (2, 2), "pads": (1, 1, 1, 1)},
    {"x_shape": (2, 21, 8, 6), "w_shape": (33, 21, 2, 3), "dilation": (2, 1), "pads": (0, 2, 1, 0), "tile": (2, 2, 1)},
    {"x_shape": (1, 32, 5, 5), "w_shape": (32, 1, 3, 3), "groups": 32, "pads": (1, 1, 1, 1)},
    {"x_shape": (1, 24, 5, 5), "w_shape": (48, 6, 3, 1), "groups": 4, "dtypes": ("i8", "i8"), "zeros": (-7, 100)},
    {"x_shape": (1, 23, 4, 4), "w_shape": (16, 23, 3, 3), "pieces": (5, 17, 1), "extreme": True, "zeros": (255, 0)},
    {"x_shape": (2, 1, 1, 1), "w_shape": (1, 1, 1, 1), **POINTWISE},
    {"x_shape": (2, 23, 5, 5), "w_shape": (70, 23, 1, 1), "pieces": (5, 17, 1), **POINTWISE, "tile": (1, 4, 3)},
    {"x_shape": (1, 67, 3, 5), "w_shape": (24, 67, 1, 1), "dtypes": ("i8", "u8"), "zeros": (-128, 9), **POINTWISE},
    {"x_shape": (1, 300, 1, 3), "w_shape": (16, 300, 1, 1), **POINTWISE, "extreme": True, "zeros": (0, 255)},
    {"x_shape": (2, 37, 9, 13), "w_shape": (37, 1, 3, 3), "groups": 37, **DEPTHWISE},
    {"x_shape": (1, 20, 8, 11), "w_shape": (20, 1, 5, 5), "groups": 20, "stride": (2, 2), **DEPTHWISE, "extreme": True},
    {"x_shape": (1, 5, 9, 9), "w_shape": (5, 1, 2, 3), "groups": 5, "dilation": (1, 2), **DEPTHWISE},
    {"x_shape": (2, 19, 7, 9), "w_shape": (33, 19, 3, 3), **WINOGRAD},
    {"x_shape": (1, 1, 1, 1), "w_shape": (1, 1, 3, 3), **WINOGRAD, "zeros": (128, 128)},
    {"x_shape": (1, 37, 5, 6), "w_shape": (48, 37, 3, 3), **WINOGRAD,
     "tiles": (1, 2, 2), "extreme": True, "zeros": (255, 0)},
    {"x_shape": (1, 24, 6, 11), "w_shape": (20, 24, 3, 3), **WINOGRAD,
     "dtypes": ("i8", "i8"), "extreme": True, "zeros": (-128, 9)},
    {"x_shape": (1, 7, 9, 9), "w_shape": (32, 7, 3, 3), **WINOGRAD, "dtypes": ("i8", "u8"), "tile": (1, 2, 2)},
    {"x_shape": (1, 23, 8, 5), "w_shape": (16, 23, 3, 3), **WINOGRAD, "pieces": (5, 17, 1), "outputs": (3, 3)},
    {"x_shape": (1, 40, 7, 5), "w_shape": (40, 20, 3, 3), **WINOGRAD, "groups": 2, "pads": (0, 3, 2, 1)},
    {"x_shape": (2, 3, 15, 17), "w_shape": (7, 3, 3, 3), **WINOGRAD,
     "dilation": (2, 3), "pads": (2, 3, 2, 3), "outputs": (4, 3)},
    # The largest sums that are exact times 2^6.
    {"x_shape": (1, 115, 4, 5), "w_shape": (16, 115, 3, 3), **WINOGRAD,
     "same": (255, 127), "zeros": (0, 0), "factor": 5e-6},
    {"x_shape": (1, 114, 4, 5), "w_shape": (16, 114, 3, 3), **WINOGRAD,
     "same": (255, -128), "zeros": (0, 255), "factor": 5e-6},
    {"x_shape": (2, 3, 23, 31), "w_shape": (40, 3, 7, 7), "stride": (2, 2), **IMAGE, "tile": (1, 7, 1)},
    {"x_shape": (1, 1, 9, 70), "w_shape": (16, 1, 3, 3), "dtypes": ("i8", "u8"), **IMAGE, "tile": (2, 4, 1)},
    {"x_shape": (1, 4, 5, 6), "w_shape": (70, 4, 2, 5), "dilation": (3, 1), **IMAGE, "tile": (2, 2, 2)},
    {"x_shape": (1, 3, 1, 1), "w_shape": (3, 3, 1, 1), **IMAGE, "pads": (2, 70, 0, 3), "stride": (1, 3)},
]  # fmt: skip


@pytest.mark.parametrize(("case", "target"), in_turn(CASES, TARGETS, 0), ids=named)
def test_equals_the_reference(case: dict[str, Any], target: Target) -> None:
    got, expected = run_bytes(target, **case)
    np.testing.assert_array_equal(got, expected)


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 5]))
    ic, oc = draw(st.integers(1, 20)) * groups, draw(st.integers(1, 12)) * groups
    window, stride, dilation = draw(pair), draw(pair), draw(pair)
    pads = tuple(draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)))
    least = [max(1, (window[a] - 1) * dilation[a] + 1 - pads[a] - pads[a + 2]) for a in range(2)]
    height, width = (draw(st.integers(low, low + 7)) for low in least)
    return {
        "x_shape": (draw(st.integers(1, 2)), ic, height, width),
        "w_shape": (oc, ic // groups, *window),
        "stride": stride,
        "dilation": dilation,
        "pads": pads,
        "groups": groups,
        "dtypes": draw(st.tuples(*[st.sampled_from(["u8", "i8"])] * 2)),
        "zeros": draw(st.tuples(st.integers(0, 255), st.integers(0, 255))),
        "extreme": draw(st.booleans()),
        "factor": draw(st.sampled_from([1e-6, 1e-3, 0.5, 1e30])),
        "kernel": draw(st.sampled_from(["direct", "plain_input"])) if groups == dilation[1] == 1 else "direct",
    }


@st.composite
def winograd_convolutions(draw: st.DrawFn) -> dict[str, Any]:
    ic, oc = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
    size = [draw(st.integers(max(1, 3 - pads[a] - pads[a + 2]), 12)) for a in range(2)]
    return {
        **WINOGRAD,
        "x_shape": (draw(st.integers(1, 2)), ic, *size),
        "w_shape": (oc, ic, 3, 3),
        "pads": pads,
        "dtypes": draw(st.tuples(*[st.sampled_from(["u8", "i8"])] * 2)),
        "zeros": draw(st.tuples(*[st.sampled_from([0, 3, 128, 255])] * 2)),
        "extreme": draw(st.booleans()),
        "outputs": draw(st.sampled_from([(2, 2), (3, 3), (4, 4)])),
        "factor": draw(st.sampled_from([1e-6, 1e-4, 0.5])),
    }


@FEW
@given(case=winograd_convolutions())
def test_any_winograd_convolution_equals_the_reference(case: dict[str, Any]) -> None:
    got, expected = run_bytes(host_target(), **case)
    np.testing.assert_array_equal(got, expected)


@FEW
@given(case=convolutions())
def test_any_convolution_equals_the_reference(case: dict[str, Any]) -> None:
    got, expected = run_bytes(host_target(), **case)
    np.testing.assert_array_equal(got, expected)
