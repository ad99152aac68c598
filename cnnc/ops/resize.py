"""resize: nearest, linear and cubic interpolation, by scales or to sizes."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype
from cnnc.runtime.host.resize import kept_aspect_scale, round_half_up, scaled_size
from cnnc.types import DType, TensorType

COORDINATE_MODES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
MODES = ("nearest", "linear", "cubic")
ASPECT_POLICIES = ("stretch", "not_larger", "not_smaller")


@dataclass(frozen=True, slots=True)
class ResizeAttrs(Attrs):
    """ONNX Resize. Empty axes mean all."""

    antialias: int = 0
    axes: tuple[int, ...] = ()
    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    extrapolation_value: float = 0.0
    keep_aspect_ratio_policy: str = "stretch"
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("mode", MODES),
            ("coordinate_transformation_mode", COORDINATE_MODES),
            ("nearest_mode", NEAREST_MODES),
            ("keep_aspect_ratio_policy", ASPECT_POLICIES),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ModelError(f"{name} {value!r} is not one of {', '.join(allowed)}")


def _given(fact: Fact | None) -> Fact | None:
    """An operand that is there and not the empty tensor that old exporters write for absent."""
    return None if fact is None or fact.shape == (0,) else fact


def _infer_resize(attrs: ResizeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, roi, scales, sizes = operands.need(0), _given(operands[1]), _given(operands[2]), _given(operands[3])
    axes = [normalize_axis(axis, x.rank) for axis in attrs.axes] or list(range(x.rank))
    if (scales is None) == (sizes is None):
        raise ModelError(f"resize takes either scales or sizes, got {'neither' if scales is None else 'both'}")
    if attrs.antialias and attrs.mode == "nearest":
        raise ModelError("antialias does not go with mode nearest")
    for name, fact, wanted in (("scales", scales, len(axes)), ("sizes", sizes, len(axes)), ("roi", roi, 2 * len(axes))):
        if fact is None or (name == "roi" and attrs.coordinate_transformation_mode != "tf_crop_and_resize"):
            continue
        if fact.rank != 1 or (isinstance(fact.shape[0], int) and fact.shape[0] != wanted):
            raise ModelError(f"{name} {fact.type} must have {wanted} elements, for the {len(axes)} resized axes")
    lengths = [x.shape[axis] for axis in axes]
    if scales is not None:
        require_dtype(scales, (DType.F32, DType.F64), "scales")
        output = _from_scales(scales, lengths)
    else:
        assert sizes is not None
        output = _from_sizes(sizes, lengths, attrs.keep_aspect_ratio_policy)
    shape = list(x.shape)
    for axis, size in zip(axes, output):
        if x.shape[axis] == 0 and isinstance(size, int) and size != 0:
            raise ModelError(f"axis {axis} of {x.type} is empty and cannot be resized to {size}")
        shape[axis] = operands.fresh(f"d{axis}") if size is None else size
    return (TensorType(tuple(shape), x.dtype),)


def _from_scales(scales: Fact, lengths: list[Dim]) -> list[Dim | None]:
    if scales.array is None:
        return [None] * len(lengths)
    factors = [float(scale) for scale in scales.array.tolist()]
    if any(not scale > 0 for scale in factors):
        raise ModelError(f"scales {factors} must all be above 0")
    return [scaled_size(length, scale) for length, scale in zip(lengths, factors)]


def _from_sizes(sizes: Fact, lengths: list[Dim], policy: str) -> list[Dim | None]:
    require_dtype(sizes, (DType.I64,), "sizes")
    wanted = sizes.sizes()
    if wanted is None:
        return [None] * len(lengths)
    if policy == "stretch":
        return list(wanted)
    known = [size for size in wanted if isinstance(size, int)]
    fixed = [length for length in lengths if isinstance(length, int)]
    if len(known) < len(wanted) or len(fixed) < len(lengths):
        return [None] * len(lengths)
    if 0 in fixed:
        raise ModelError(f"an axis of size 0 has no aspect ratio to keep: {fixed}")
    scale = kept_aspect_scale(known, fixed, policy)
    return [round_half_up(scale * length) for length in fixed]


OPS = (OpDef("resize", _infer_resize, attrs=ResizeAttrs, inputs=(1, 4), data_dependent=True),)
