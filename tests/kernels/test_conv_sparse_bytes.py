"""Sparse convolutions of bytes: equal to the reference bit for bit, on every target, however the lists are shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnc.runtime.cpu.sparse_packing import channel_rows, pack_sparse
from cnnc.runtime.cpu.sparse_tiling import last_pixels
from cnnc.runtime.host.quantized import q_linear_conv
from cnnc.runtime.jit.kernel_library import assembly
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from cnnc.types import Layout
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import named, poison, run
from tests.kernels.test_conv_bytes import DTYPES, FEW, TARGETS, bytes_of, window_sizes
from tests.rotation import in_turn

pytestmark = pytest.mark.jit


GAP = 77
"""Between images."""


def sparse_weights(rng: Any, shape: tuple[int, ...], density: float, extreme: bool, pattern: str) -> Any:
    """int8 weights of which about ``density`` are not zero, in a pattern."""
    weights = bytes_of(rng, "i8", shape, extreme)
    kept = rng.random(shape) < density
    if pattern == "one":
        kept[:] = False
        kept[(-1,) * len(shape)] = True
    elif pattern == "rows":
        kept[::3] = False
        kept[:, ::2] = False
    elif pattern == "blocks":
        kept = np.repeat(kept[::4], 4, axis=0)[: shape[0]]
    return weights * kept.astype(np.int8)


def run_sparse(
    target: Target,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    density: float = 0.2,
    pattern: str = "",
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    pads: tuple[int, ...] = (0, 0, 0, 0),
    pieces: tuple[int, ...] = (),
    dtypes: tuple[str, str] = ("u8", "u8"),
    zeros: tuple[int, int] = (3, 250),
    per_tensor: bool = False,
    extreme: bool = False,
    factor: float = 1e-3,
    vectors: int = 2,
    share: int = 1,
    oc_blocks: int = 1,
    part_groups: int = 1000,
    gaps: tuple[int, int] = (0, 0),
) -> tuple[Any, Any]:
    """What the kernel gives, and the reference."""
    rng = np.random.default_rng(sum(x_shape) * sum(w_shape))
    lanes, (n, ic, h, w), oc = target.lanes, x_shape, w_shape[0]
    x, weights = bytes_of(rng, dtypes[0], x_shape, extreme), sparse_weights(rng, w_shape, density, extreme, pattern)
    x_zero, y_zero = (np.array(zero % 256, np.uint8).view(DTYPES[dtype]) for zero, dtype in zip(zeros, dtypes))
    bias = rng.integers(-5000, 5000, oc).astype(np.int32)
    w_scale = rng.uniform(0.5, 1.5, 1 if per_tensor else oc).astype(np.float32)
    scales = np.float32(factor), np.float32(1.25)
    expected = q_linear_conv(
        x, np.asarray(scales[0]), x_zero, weights, w_scale, np.zeros(w_scale.shape, np.int8), np.asarray(scales[1]),
        y_zero, bias, strides=stride, dilations=dilation, pads=pads, group=1,
    )  # fmt: skip
    layout = Layout(lanes, pieces)
    where = layout.lanes(ic)
    physical = poison((n, layout.physical_channels(ic), h, w), x.dtype)
    physical[:, where] = x
    x_blocks, y_blocks = physical.shape[1] // lanes, -(-oc // lanes)
    rows = channel_rows(weights, lanes, x_blocks, where)
    packed = pack_sparse(rows, lanes, y_blocks, vectors * lanes * 4, share, part_groups, 1 << 30)
    unsigned_zero = int(x_zero) + (128 if dtypes[0] == "i8" else 0)
    lane_bias, factors = np.zeros(y_blocks * lanes, np.int32), np.zeros(y_blocks * lanes, np.float32)
    lane_bias[:oc] = (bias - unsigned_zero * weights.reshape(oc, -1).sum(1, dtype=np.int64)).astype(np.int32)
    factors[:oc] = scales[0] * w_scale / scales[1]
    y = poison((n, y_blocks, *expected.shape[2:], lanes), expected.dtype)
    buffers: dict[str, Any] = {
        "x": with_gap(to_blocked(physical, lanes, pad=0), gaps[0]),
        "entries": packed.entries,
        "index": packed.index,
        "groups": packed.groups,
        "bias": lane_bias,
        "slopes": factors,
        "y": with_gap(y, gaps[1]),
    }
    buffers |= dict.fromkeys(("residual", "input_scale", "input_shift"))
    sizes = {"N": n, "XB": x_blocks, "YB": y_blocks}
    sizes |= window_sizes(x_shape, expected.shape, w_shape, stride, dilation, pads)
    sizes |= {"group_count": len(packed.groups), "parts": packed.parts, "entry_words": packed.entries.size}
    sizes |= {"oc_blocks": oc_blocks, "alpha": int(y_zero), "beta": int(np.iinfo(expected.dtype).min)}
    sizes |= {"x_gap": gaps[0], "y_gap": gaps[1]}
    sizes |= dict.fromkeys(("residual_gap", "input_alpha", "input_beta", "input_image"), 0)
    sizes |= {"fill": (int(x_zero) & 255) * 0x01010101}
    options: dict[str, Any] = {"vectors": vectors, "share": share, "lanes": lanes, "element": dtypes[0]}
    options |= {"activation": "requantize", "residual": 0}
    last = last_pixels(expected[0, 0].size, vectors, lanes, narrows=False)
    options |= {"last": last} if last != vectors * lanes else {}
    got = run(Variant.of("conv.u8.blocked.sparse", **options), buffers, sizes, target)["y"]
    assert all((image[y[0].size :] == GAP).all() for image in apart(got, y[0].size, gaps[1]))
    images = np.stack([image[: y[0].size] for image in apart(got, y[0].size, gaps[1])])
    return from_blocked(images.reshape(y.shape), oc), expected


def with_gap(images: Any, gap: int) -> Any:
    """Images behind each other with ``gap`` elements between them."""
    rows = [np.append(image, np.full(gap, GAP, image.dtype)) for image in images]
    return np.concatenate(rows)[: len(rows) * len(rows[0]) - gap]


def apart(joined: Any, size: int, gap: int) -> list[Any]:
    """The images of ``size`` elements again, each with the gap behind it."""
    return [joined[begin : begin + size + gap] for begin in range(0, joined.size, size + gap)]


CASES: list[dict[str, Any]] = [
    {"x_shape": (2, 21, 5, 7), "w_shape": (20, 21, 1, 1)},
    {"x_shape": (1, 64, 12, 11), "w_shape": (48, 64, 1, 1), "share": 2, "oc_blocks": 2, "part_groups": 1},
    {"x_shape": (1, 40, 9, 9), "w_shape": (64, 40, 1, 1), "share": 4, "oc_blocks": 8, "pattern": "blocks"},
    {"x_shape": (1, 19, 9, 7), "w_shape": (33, 19, 3, 3), "pads": (1, 1, 1, 1), "zeros": (200, 3), "oc_blocks": 3},
    {"x_shape": (1, 7, 23, 5), "w_shape": (9, 7, 3, 3), "pads": (0, 2, 3, 1), "stride": (2, 2), "vectors": 4},
    {"x_shape": (2, 9, 8, 9), "w_shape": (17, 9, 2, 3), "dilation": (2, 3), "pads": (1, 3, 1, 3), "part_groups": 2},
    {"x_shape": (1, 23, 4, 4), "w_shape": (16, 23, 3, 3), "pieces": (5, 17, 1), "extreme": True, "zeros": (255, 0)},
    {"x_shape": (1, 24, 6, 11), "w_shape": (20, 24, 3, 3), "dtypes": ("i8", "i8"), "zeros": (-7, 100),
     "pads": (1, 1, 1, 1), "extreme": True, "density": 0.5},
    {"x_shape": (1, 67, 3, 5), "w_shape": (24, 67, 1, 1), "dtypes": ("i8", "u8"), "zeros": (-128, 9), "share": 2},
    {"x_shape": (1, 300, 3, 3), "w_shape": (16, 300, 1, 1), "density": 1.0, "extreme": True, "factor": 1e-5},
    {"x_shape": (1, 16, 4, 9), "w_shape": (16, 16, 3, 3), "density": 0.0, "pads": (1, 1, 1, 1), "per_tensor": True},
    {"x_shape": (1, 37, 5, 5), "w_shape": (40, 37, 3, 3), "pattern": "one", "pads": (1, 1, 1, 1), "vectors": 1},
    {"x_shape": (1, 37, 5, 5), "w_shape": (40, 37, 3, 3), "pattern": "rows", "share": 4, "vectors": 1},
    {"x_shape": (3, 20, 6, 7), "w_shape": (40, 20, 3, 3), "gaps": (5, 9), "pads": (1, 1, 1, 1)},
    {"x_shape": (3, 1, 1, 1), "w_shape": (1, 1, 1, 1), "density": 1.0, "per_tensor": True},
    {"x_shape": (1, 3, 1, 1), "w_shape": (3, 3, 3, 3), "pads": (2, 70, 0, 3), "stride": (1, 3), "zeros": (128, 128)},
]  # fmt: skip


@pytest.mark.parametrize(("case", "target"), in_turn(CASES, TARGETS, 0), ids=named)
def test_equals_the_reference(case: dict[str, Any], target: Target) -> None:
    got, expected = run_sparse(target, **case)
    np.testing.assert_array_equal(got, expected)


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    window, stride, dilation = draw(pair), draw(pair), draw(pair)
    pads = tuple(draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)))
    least = [max(1, (window[a] - 1) * dilation[a] + 1 - pads[a] - pads[a + 2]) for a in range(2)]
    ic, oc = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    return {
        "x_shape": (draw(st.integers(1, 2)), ic, *(draw(st.integers(low, low + 9)) for low in least)),
        "w_shape": (oc, ic, *window),
        "density": draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0])),
        "pattern": draw(st.sampled_from(["", "one", "rows", "blocks"])),
        "stride": stride,
        "dilation": dilation,
        "pads": pads,
        "dtypes": draw(st.tuples(*[st.sampled_from(["u8", "i8"])] * 2)),
        "zeros": draw(st.tuples(st.integers(0, 255), st.integers(0, 255))),
        "per_tensor": draw(st.booleans()),
        "extreme": draw(st.booleans()),
        "factor": draw(st.sampled_from([1e-6, 1e-3, 0.5, 1e30])),
        "share": draw(st.sampled_from([1, 2, 4])),
        "oc_blocks": draw(st.integers(1, 3)),
        "gaps": draw(st.tuples(*[st.sampled_from([0, 3])] * 2)),
        "part_groups": draw(st.sampled_from([1, 3, 1000])),
    }


@FEW
@given(case=convolutions())
def test_any_convolution_equals_the_reference(case: dict[str, Any]) -> None:
    got, expected = run_sparse(host_target(), **case)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("target", "instruction"),
    [
        (Target("aarch64-unknown-none-elf", "generic", "", 16), "mul"),
        (x86_target("sse"), "pmaddwd"),
        (x86_target("avx2"), "vpmaddwd"),
        (x86_target("avx512"), "vpmaddwd"),
        (x86_target("avx2", frozenset({"avx_vnni"})), "vpdpbusd"),
        (x86_target("avx512", frozenset({"avx512_vnni"})), "vpdpbusd"),
    ],
    ids=lambda value: f"{value.cpu}{value.features}" if isinstance(value, Target) else value,
)
def test_products_are_those_of_the_cpu(target: Target, instruction: str) -> None:
    options = {"vectors": 2, "share": 2, "lanes": target.lanes, "element": "i8", "residual": 0}
    text = assembly(Variant.of("conv.u8.blocked.sparse", activation="requantize", **options), target)
    assert instruction in text


@pytest.mark.parametrize("share", [1, 2, 4])
def test_lists_hold_all_words(share: int) -> None:
    """Lists that are walked as the kernel does give the weights back; words of four zeros are in none."""
    rng = np.random.default_rng(1)
    weights = sparse_weights(rng, (13, 20, 2, 2), 0.1, False, "")
    rows = channel_rows(weights, 8, 3, range(2, 22))
    assert rows.shape == (13, 3, 4, 2) and rows.dtype == np.int32
    packed = pack_sparse(rows, 8, 2, 32, share, 3)
    found = np.zeros((16, 3, 4, 2), np.int32)
    for part in range(packed.parts):
        for block in range(2):
            start, *lengths = packed.index[part, block]
            first = start // packed.entries[0].nbytes
            for number, length in enumerate(lengths):
                for offset, *words in packed.entries[first : first + length]:
                    group, word = divmod(offset // 32, 2)
                    channel = block * 8 + number * share
                    assert any(words)
                    found[(slice(channel, channel + share), *packed.groups[group], word)] = words
                first += length
    np.testing.assert_array_equal(found[:13], rows)
    assert not found[13:].any()
