"""Padding and output sizes of sliding windows: against a count of the windows themselves, in ints and symbols."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnc.dims import evaluate, symbol
from cnnc.errors import ModelError
from cnnc.ops.conv import ConvAttrs
from cnnc.ops.pool import MaxPoolAttrs
from cnnc.ops.window import output_size, resolve_pads, resolve_transpose, resolve_window

H = symbol("H")


def count_windows(size: int, span: int, stride: int, begin: int, end: int, ceil_mode: bool) -> int:
    """Windows whose first element is in the input or the begin padding and whose last is not beyond the end.

    With ceil_mode a window may reach beyond the end by less than a stride.
    """
    slack = stride - 1 if ceil_mode else 0
    starts = range(-begin, size + end, stride)
    return sum(start + span <= size + end + slack and (not ceil_mode or start < size) for start in starts)


@given(
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 4),
    st.integers(0, 4),
    st.booleans(),
)
def test_output_size_counts_windows(
    size: int, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil_mode: bool
) -> None:
    span = (kernel - 1) * dilation + 1
    wanted = count_windows(size, span, stride, begin, end, ceil_mode)
    arguments = ((kernel,), (stride,), (dilation,), (begin, end), "NOTSET", ceil_mode)
    if size + begin + end < span:
        return
    assert resolve_window((size,), *arguments).output == (wanted,)
    assert evaluate(resolve_window((H,), *arguments).output[0], {"H": size}) == wanted


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
def test_same_padding_covers_size_over_stride(size: int, kernel: int, stride: int, auto_pad: str) -> None:
    window = resolve_window((size,), (kernel,), (stride,), auto_pad=auto_pad)
    assert window.output == (-(-size // stride),)
    begin, end = window.begins[0], window.ends[0]
    assert isinstance(begin, int) and isinstance(end, int)
    assert begin + end == max((window.output[0] - 1) * stride + kernel - size, 0)
    assert end - begin in ((0, 1) if auto_pad == "SAME_UPPER" else (0, -1))
    symbolic = resolve_window((H,), (kernel,), (stride,), auto_pad=auto_pad)
    assert [evaluate(dim, {"H": size}) for dim in (*symbolic.begins, *symbolic.ends)] == [begin, end]


def test_symbolic_sizes_stay_short() -> None:
    attrs = ConvAttrs(pads=(1, 1, 1, 1), strides=(2, 2))
    assert [str(size) for size in output_size(attrs, (H, 224), (3, 3))] == ["((H + 1)//2)", "112"]
    assert resolve_pads(ConvAttrs(auto_pad="SAME_UPPER"), (H, H), (3, 4)) == ((1, 1), (1, 2))
    pool = MaxPoolAttrs(kernel_shape=(3, 3), strides=(2, 2), ceil_mode=1)
    assert "min" not in str(output_size(pool, (H, H), (3, 3))[0])


def test_transposed_window_inverts_the_window() -> None:
    for size in range(4, 12):
        down = resolve_window((size,), (3,), (2,), pads=(1, 1)).output
        up = resolve_transpose(down, (3,), (2,), pads=(1, 1), output_padding=((size + 1) % 2,))
        assert up.output == (size,)
    named = resolve_transpose((H,), (3,), (2,), output_shape=(9,))
    assert named.output == (9,)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (((5,), (3, 3)), "2 values for 1 spatial"),
        (((5,), (3,), (2, 2)), "strides has 2"),
        (((5,), (3,), (1,), (0,)), "outside 1"),
        (((5,), (3,), (1,), (1,), (1, 2, 3)), "need 2"),
        (((5,), (7,)), "window of 7"),
    ],
)
def test_contradictions_are_named(arguments: tuple, part: str) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_window(*arguments)
    assert part in str(caught.value)
