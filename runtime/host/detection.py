"""Regions of interest and box suppression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InputError
from cnnc.runtime.host.precision import widen

Array = NDArray[Any]


def roi_align(
    x: Array,
    rois: Array,
    batch_indices: Array,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """Mean or maximum of bilinear samples in each cell of each region of x [N, C, H, W] (arXiv:1703.06870).

    Args:
        rois: [R, 4] as (x1, y1, x2, y2).
        batch_indices: [R].

    Returns:
        [R, C, output_height, output_width]. ``max`` takes the largest single weighted neighbour, not the largest
        interpolated sample: the ONNX reference implementation and its test data say so.
    """
    _check_images(batch_indices, len(x))
    wide, boxes = widen(x), widen(rois)
    half_pixel = coordinate_transformation_mode == "half_pixel"
    y = np.zeros((len(rois), x.shape[1], output_height, output_width), wide.dtype)
    for index, (box, image) in enumerate(zip(boxes, batch_indices)):
        left, top, right, bottom = box * boxes.dtype.type(spatial_scale) - (0.5 if half_pixel else 0.0)
        rows = _cells(top, bottom, output_height, sampling_ratio, half_pixel)
        columns = _cells(left, right, output_width, sampling_ratio, half_pixel)
        if not rows.size or not columns.size:
            continue
        taps = [
            wide[image][:, row_index[:, :, None, None], column_index]
            * (row_weight[:, :, None, None] * column_weight).astype(wide.dtype)
            for row_index, row_weight in _neighbours(rows, x.shape[2])
            for column_index, column_weight in _neighbours(columns, x.shape[3])
        ]
        if mode == "avg":
            y[index] = np.sum(taps, axis=0).mean(axis=(2, 4))
        else:
            y[index] = np.max(taps, axis=0).max(axis=(2, 4))
    return y.astype(x.dtype, copy=False)


def _check_images(indices: Array, count: int) -> None:
    """Check the images that regions lie in.

    Raises:
        InputError: an index outside of the batch.
    """
    if len(indices) and not (indices.min() >= 0 and indices.max() < count):
        raise InputError(f"regions name images {indices.min()} to {indices.max()} of a batch of {count}")


def _cells(start: float, end: float, cells: int, sampling_ratio: int, half_pixel: bool) -> Array:
    """Sample places [cells, samples] along one axis of a region."""
    length = end - start if half_pixel else max(end - start, 1.0)
    size = length / cells
    samples = sampling_ratio if sampling_ratio > 0 else int(np.ceil(size))
    places = (np.arange(max(samples, 0)) + 0.5) * (size / max(samples, 1))
    return start + np.arange(cells)[:, None] * size + places


def _neighbours(places: Array, length: int) -> list[tuple[Array, Array]]:
    """The two neighbours of each place as (index, weight); weight 0 beyond one element outside."""
    inside = (places >= -1) & (places <= length)
    clamped = np.clip(places, 0, length - 1)
    low = np.minimum(np.floor(clamped), length - 1).astype(np.int64)
    share = clamped - low
    high = np.minimum(low + 1, length - 1)
    return [(low, np.where(inside, 1 - share, 0)), (high, np.where(inside, share, 0))]


def max_roi_pool(x: Array, rois: Array, *, pooled_shape: Sequence[int], spatial_scale: float = 1.0) -> Array:
    """The maximum of each cell of each region of x [N, C, H, W], cells of whole elements (arXiv:1504.08083).

    Args:
        rois: [R, 5] as (batch index, x1, y1, x2, y2).

    Returns:
        [R, C, pooled_shape...]; an empty cell gives 0.
    """
    _check_images(rois[:, 0], len(x))
    y = np.zeros((len(rois), x.shape[1], *pooled_shape), x.dtype)
    for index, roi in enumerate(widen(rois)):
        left, top, right, bottom = np.floor(roi[1:] * roi.dtype.type(spatial_scale) + 0.5).astype(np.int64).tolist()
        image = x[int(roi[0])]
        rows = _bins(top, bottom, pooled_shape[0], x.shape[2])
        columns = _bins(left, right, pooled_shape[1], x.shape[3])
        for row, (first_row, last_row) in enumerate(rows):
            for column, (first, last) in enumerate(columns):
                if first_row < last_row and first < last:
                    y[index, :, row, column] = image[:, first_row:last_row, first:last].max(axis=(1, 2))
    return y


def _bins(start: int, end: int, count: int, length: int) -> list[tuple[int, int]]:
    size = max(end - start + 1, 1) / count
    edges = [(int(np.floor(i * size)) + start, int(np.ceil((i + 1) * size)) + start) for i in range(count)]
    return [(min(max(low, 0), length), min(max(high, 0), length)) for low, high in edges]


def non_max_suppression(
    boxes: Array,
    scores: Array,
    max_output_boxes_per_class: Array | None = None,
    iou_threshold: Array | None = None,
    score_threshold: Array | None = None,
    *,
    center_point_box: int = 0,
) -> Array:
    """Greedy suppression: the best box of a class drops every box that overlaps it by more than ``iou_threshold``.

    Args:
        boxes: [N, B, 4] as two corners (y1, x1, y2, x2), or as (x centre, y centre, width, height).
        scores: [N, classes, B].

    Returns:
        int64 [selected, 3] as (image, class, box), by image, class and falling score; equal scores by box.
    """
    limit = 0 if max_output_boxes_per_class is None else int(max_output_boxes_per_class.reshape(-1)[0])
    overlap = 0.0 if iou_threshold is None else float(iou_threshold.reshape(-1)[0])
    selected: list[tuple[int, int, int]] = []
    for image in range(boxes.shape[0] if limit > 0 else 0):
        corners = _corners(widen(boxes[image]), bool(center_point_box))
        for category in range(scores.shape[1]):
            score = widen(scores[image, category])
            order = np.argsort(-score, kind="stable")
            if score_threshold is not None and score_threshold.size:
                order = order[score[order] > score_threshold.reshape(-1)[0]]
            kept = 0
            while order.size and kept < limit:
                best, order = order[0], order[1:]
                selected.append((image, category, int(best)))
                kept += 1
                order = order[_overlaps(corners[best], corners[order]) <= overlap]
    return np.array(selected, np.int64).reshape(-1, 3)


def _corners(boxes: Array, center_point_box: bool) -> Array:
    """Boxes [B, 4] as (top, left, bottom, right) with ordered corners."""
    if center_point_box:
        x, y, width, height = boxes.T
        return np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1)
    return np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)


def _overlaps(box: Array, others: Array) -> Array:
    """Intersection over union of one box with each of the others; 0 where an area is empty."""
    sides = np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0)
    shared = sides.prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    union = area + areas - shared
    valid = (shared > 0) & (area > 0) & (areas > 0) & (union > 0)
    return np.where(valid, shared / np.where(valid, union, 1), 0)
