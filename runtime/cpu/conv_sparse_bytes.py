"""conv.u8.blocked.sparse: the panels and lists of ``conv.f32.blocked.sparse`` for bytes, summed in int32.

x and y hold a byte an element. Variants have ``element`` and ``activation`` as ``conv_pointwise_bytes`` says, and bias,
slopes, alpha and beta are the same; there is no residual. Weights: int8, four neighbouring input channels a word, as
``channel_rows`` and ``pack_sparse`` make them; ``fill`` is four zero points of x.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import conv_sparse

NAME = "conv.u8.blocked.sparse"

KERNEL = replace(conv_sparse.KERNEL, name=NAME)
