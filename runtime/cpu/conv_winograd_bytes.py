"""conv.u8.blocked.winograd: the tiles and work items of ``conv.f32.blocked.winograd`` for bytes, exact.

Bytes are transformed to int16, two neighbouring channels a word, and multiplied by weights that were transformed to
int16 at compile time; ``winograd_integers`` says why the results are exact. x, y, ``element``, ``activation`` and what
the epilogue reads are as in ``conv.u8.blocked.direct``, weights as ``pack_integer_winograd`` gives them; ``fill`` is
four times the stored zero point. Windows are 3x3, and one plane deep.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import conv_winograd

NAME = "conv.u8.blocked.winograd"

KERNEL = replace(conv_winograd.KERNEL, name=NAME)
