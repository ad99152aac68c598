"""roi_align, max_roi_pool and non_max_suppression."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.opdef import OpDef, require_dtype
from cnnc.types import DType, TensorType

_FLOATS = (DType.F16, DType.BF16, DType.F32, DType.F64)


@dataclass(frozen=True, slots=True)
class RoiAlignAttrs(Attrs):
    """ONNX RoiAlign."""

    coordinate_transformation_mode: str = "half_pixel"
    mode: str = "avg"
    output_height: int = 1
    output_width: int = 1
    sampling_ratio: int = 0
    spatial_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in ("avg", "max"):
            raise ModelError(f"mode {self.mode!r} is neither avg nor max")
        if self.coordinate_transformation_mode not in ("half_pixel", "output_half_pixel"):
            raise ModelError(f"coordinate_transformation_mode {self.coordinate_transformation_mode!r} is not known")


@dataclass(frozen=True, slots=True)
class MaxRoiPoolAttrs(Attrs):
    """ONNX MaxRoiPool."""

    pooled_shape: tuple[int, ...]
    spatial_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class NonMaxSuppressionAttrs(Attrs):
    """ONNX NonMaxSuppression."""

    center_point_box: int = 0


def _regions(operands: Operands, columns: int) -> tuple[Fact, Fact]:
    x, rois = operands.need(0), operands.need(1)
    require_dtype(x, _FLOATS, "the input")
    require_dtype(rois, _FLOATS, "the regions")
    if x.rank != 4:
        raise ModelError(f"the input must be [N, C, H, W], got {x.type}")
    if rois.rank != 2 or (isinstance(rois.shape[1], int) and rois.shape[1] != columns):
        raise ModelError(f"the regions must be [R, {columns}], got {rois.type}")
    return x, rois


def _infer_roi_align(attrs: RoiAlignAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, rois = _regions(operands, 4)
    indices = operands.need(2)
    if min(attrs.output_height, attrs.output_width) < 1 or attrs.sampling_ratio < 0:
        raise ModelError(
            f"output_height {attrs.output_height}, output_width {attrs.output_width} and sampling_ratio "
            f"{attrs.sampling_ratio} must be at least 1, 1 and 0"
        )
    require_dtype(indices, (DType.I64,), "the batch indices")
    count, regions = indices.shape[0] if indices.rank == 1 else None, rois.shape[0]
    if count is None or (isinstance(count, int) and isinstance(regions, int) and count != regions):
        raise ModelError(f"the batch indices {indices.type} do not match the regions {rois.type}")
    return (TensorType((regions, x.shape[1], attrs.output_height, attrs.output_width), x.dtype),)


def _infer_max_roi_pool(attrs: MaxRoiPoolAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, rois = _regions(operands, 5)
    if len(attrs.pooled_shape) != 2 or min(attrs.pooled_shape) < 1:
        raise ModelError(f"pooled_shape must be two sizes of at least 1, got {list(attrs.pooled_shape)}")
    return (TensorType((rois.shape[0], x.shape[1], *attrs.pooled_shape), x.dtype),)


def _infer_suppression(attrs: NonMaxSuppressionAttrs, operands: Operands) -> tuple[TensorType, ...]:
    boxes, scores = operands.need(0), operands.need(1)
    for name, fact in (("boxes", boxes), ("scores", scores)):
        require_dtype(fact, _FLOATS, name)
        if fact.rank != 3:
            raise ModelError(f"{name} must have rank 3, got {fact.type}")
    if isinstance(boxes.shape[2], int) and boxes.shape[2] != 4:
        raise ModelError(f"boxes must be [N, B, 4], got {boxes.type}")
    for what, mine, theirs in (
        ("images", boxes.shape[0], scores.shape[0]),
        ("boxes", boxes.shape[1], scores.shape[2]),
    ):
        if isinstance(mine, int) and isinstance(theirs, int) and mine != theirs:
            raise ModelError(f"boxes {boxes.type} have {mine} {what}, but scores {scores.type} {theirs}")
    return (TensorType((operands.fresh("d0"), 3), DType.I64),)


OPS = (
    OpDef("roi_align", _infer_roi_align, attrs=RoiAlignAttrs, inputs=(3, 3)),
    OpDef("max_roi_pool", _infer_max_roi_pool, attrs=MaxRoiPoolAttrs, inputs=(2, 2)),
    OpDef("non_max_suppression", _infer_suppression, attrs=NonMaxSuppressionAttrs, inputs=(2, 5), data_dependent=True),
)
