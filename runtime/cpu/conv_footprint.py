"""What the convolution kernels on register tiles touch: whole operands, as far as the variant has them."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.runtime.kernel import Access, Params


def conv_footprint(s: Mapping[str, int], params: Params, x_bytes: int, y_pixels: int) -> tuple[Access, ...]:
    """``x_bytes``: size of x; ``y_pixels``: N times the output's pixels. YB blocks of channels, packed weights and
    segments as ``conv_packing`` gives them."""
    lane_bytes = int(params["lanes"]) * 4
    y_bytes = y_pixels * s["YB"] * lane_bytes
    accesses = [
        Access("x", 0, x_bytes, False),
        Access("weights", 0, s["weight_floats"] * 4, False),
        Access("segments", 0, s["segment_rows"] * 24, False),
        Access("bias", 0, s["YB"] * lane_bytes, False),
        Access("y", 0, y_bytes, True),
    ]
    if params["residual"]:
        accesses.append(Access("residual", 0, y_bytes, False))
    if params["activation"] == "prelu":
        accesses.append(Access("slopes", 0, s["YB"] * lane_bytes, False))
    return tuple(accesses)
