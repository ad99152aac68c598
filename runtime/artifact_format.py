"""The container of a ``.cnnc`` file: constants that writer and reader share.

Layout, all numbers little-endian:

    0    8 bytes   magic
    8    u32       format version
    12   u32       zero
    16   u64       header bytes
    24   32 bytes  SHA-256 of the header
    64   header    JSON, UTF-8, then zero padding to a multiple of 64
    ...  sections  each at a multiple of 64, in the order of the header's section table, zero padding between

Section kinds: ``constant`` (packed weights of the program, in order), ``code`` (machine code of one kernel), ``graph``
and ``weight`` (the portable part). The first two are for the target that the header names. Constants and weights with
many zeros are stored without them, in the form that ``zero_words`` describes: their row in the table has ``word``, the
bytes of a word, ``signs``, whether -0.0 is left out too, and ``content_bytes``. All others are stored as they are, and
mapped.

Versioning rule: the version is raised when an older reader would misread a newer file. Readers refuse versions above
their own and read every version since 1. A new optional header key does not raise the version: readers ignore keys that
they do not know. A file is of the lowest version that has what is in it: 2 where zeros are left out, else 1.
"""

from __future__ import annotations

import struct

MAGIC = b"\x93CNNC\r\n\x1a"
"""Not text (first byte), and damaged by line-ending translation (the rest), like PNG's."""
VERSION = 2
PREFIX = struct.Struct("<8sIIQ32s")
HEADER_START = 64
ALIGNMENT = 64


MAX_HEADER_BYTES = 16 << 20
MAX_SECTIONS = 1 << 16
MAX_BUFFERS = 1 << 16
MAX_STEPS = 1 << 17
MAX_TEXT = 4096
"""Characters of one expression; 2900 are met where a feature pyramid's sizes are left open."""
MAX_UNROLLED = 1 << 14
"""Product of a kernel's compile-time numbers, lanes aside: they size unrolled code, and so the compiler's time."""
MAX_LANES = 64
MAX_DISTINCT_TEXT = 1 << 20
"""Characters of all different expressions together: bounds the time to parse a hostile file."""


def padded(size: int) -> int:
    """``size`` rounded up to the alignment of sections."""
    return -(-size // ALIGNMENT) * ALIGNMENT
