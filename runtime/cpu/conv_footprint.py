"""What the convolution kernels touch: whole operands, as far as the variant has them.

x, y and the residual may be ranges of channels of larger tensors: ``x_gap``, ``y_gap`` and ``residual_gap`` are the
elements between the end of one image's channels and the beginning of the next image's (0 for a tensor of its own).
"""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.dims import Dim
from cnnc.runtime.cpu.tile_table import element_bytes, pixel_bytes
from cnnc.runtime.kernel import Access, Params

GAPS = ("x_gap", "y_gap", "residual_gap")
"""Size slots that every convolution kernel ends with."""


def images_access(buffer: str, s: Mapping[str, int], image_bytes: int, writes: bool, element_bytes: int = 4) -> Access:
    """N images of ``image_bytes`` bytes with the buffer's gap between them."""
    images = s["N"] * image_bytes + (s["N"] - 1) * s[f"{buffer}_gap"] * element_bytes
    return Access(buffer, 0, images if s["N"] and image_bytes else 0, writes)


def residual_inplace(s: Mapping[str, Dim], params: Params) -> tuple[tuple[str, str], ...]:
    """y over the residual, if both have the same gaps: the epilogue reads each vector right before it is written."""
    return (("y", "residual"),) if params["residual"] and s["y_gap"] == s["residual_gap"] else ()


def conv_footprint(s: Mapping[str, int], params: Params, x_image: int, y_pixels: int) -> tuple[Access, ...]:
    """``x_image``: bytes of one image of x; ``y_pixels``: pixels of one image of y. YB blocks of channels, packed
    weights and segments as ``conv_packing`` gives them."""
    return (
        images_access("x", s, x_image, False, element_bytes(params)),
        Access("weights", 0, s["weight_floats"] * 4, False),
        Access("segments", 0, s["segment_rows"] * 24, False),
        *epilogue_footprint(s, params, y_pixels),
    )


def epilogue_footprint(s: Mapping[str, int], params: Params, y_pixels: int) -> tuple[Access, ...]:
    """What the epilogue touches: bias, slopes, residual, y."""
    lane_bytes = int(params["lanes"]) * 4
    y_image = y_pixels * s["YB"] * pixel_bytes(params)
    accesses = [
        Access("bias", 0, s["YB"] * lane_bytes, False),
        images_access("y", s, y_image, True, element_bytes(params)),
    ]
    if params["residual"]:
        accesses.append(images_access("residual", s, y_image, False))
    if params["activation"] in ("prelu", "requantize"):
        accesses.append(Access("slopes", 0, s["YB"] * lane_bytes, False))
    return tuple(accesses)
