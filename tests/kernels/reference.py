"""Convolution by definition, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def conv(
    x: np.ndarray,
    w: np.ndarray,
    stride: Sequence[int],
    dilation: Sequence[int],
    pads: Sequence[int],
    groups: int = 1,
) -> np.ndarray:
    """x [N, IC, spatial...], w [OC, IC/groups, window...]; pads: all begins, then all ends, as in ONNX."""
    rank = x.ndim - 2
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:])])
    w = w.astype(np.float64)
    window = w.shape[2:]
    out = [(x.shape[2 + a] - (window[a] - 1) * dilation[a] - 1) // stride[a] + 1 for a in range(rank)]
    n, oc, ic_group, oc_group = x.shape[0], w.shape[0], w.shape[1], w.shape[0] // groups
    y = np.zeros((n, oc, *out))
    for tap in np.ndindex(*window):
        place = tuple(
            slice(tap[a] * dilation[a], tap[a] * dilation[a] + (out[a] - 1) * stride[a] + 1, stride[a])
            for a in range(rank)
        )
        for group in range(groups):
            inputs = x[(slice(None), slice(group * ic_group, (group + 1) * ic_group), *place)]
            weights = w[(slice(group * oc_group, (group + 1) * oc_group), slice(None), *tap)]
            y[:, group * oc_group : (group + 1) * oc_group] += np.einsum("nc...,oc->no...", inputs, weights)
    return y


def conv_transpose(
    x: np.ndarray,
    w: np.ndarray,
    stride: Sequence[int],
    dilation: Sequence[int],
    pads: Sequence[int],
    output_padding: Sequence[int],
    groups: int = 1,
) -> np.ndarray:
    """x [N, IC, spatial...], w [IC, OC/groups, window...]; each input pixel is scattered through the window."""
    rank = x.ndim - 2
    window, ic_group, oc_group = w.shape[2:], x.shape[1] // groups, w.shape[1]
    full = [
        (x.shape[2 + a] - 1) * stride[a] + (window[a] - 1) * dilation[a] + 1 + output_padding[a] for a in range(rank)
    ]
    y = np.zeros((x.shape[0], oc_group * groups, *full))
    for tap in np.ndindex(*window):
        place = tuple(
            slice(tap[a] * dilation[a], tap[a] * dilation[a] + (x.shape[2 + a] - 1) * stride[a] + 1, stride[a])
            for a in range(rank)
        )
        for group in range(groups):
            inputs = x[:, group * ic_group : (group + 1) * ic_group].astype(np.float64)
            weights = w[(slice(group * ic_group, (group + 1) * ic_group), slice(None), *tap)]
            outputs = slice(group * oc_group, (group + 1) * oc_group)
            y[(slice(None), outputs, *place)] += np.einsum("nc...,co->no...", inputs, weights)
    return y[(..., *(slice(pads[a], full[a] - pads[rank + a]) for a in range(rank)))]
