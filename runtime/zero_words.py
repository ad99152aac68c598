"""Bytes of which many words are zero, stored as a bit for each word and the words that are not.

    0    ceil(words / 8) bytes   a bit for each word, 1 where it is kept; the lowest bit of a byte comes first
    ...  zeros                   to a multiple of 64
    ...  the same again          a bit for each word that is -0.0, where the form has signs
    ...  kept words              in order

All bytes come back as they were: without signs a word is zero if all of its bits are, and NaN is never zero. Weights
that were multiplied by masks, or by the negative scale of a normalization, are -0.0 as often as 0.0; their form has
signs.

A weight of which a share d is not zero takes d + 1/32 of its bytes in words of float32 (1/32 more with signs), d + 1/8
in words of int8. It expands at 2 to 5 GB/s of float32, 0.8 to 2.4 of int8 (0.02 to 0.6 of them not zero; one core of an
AMD EPYC, Zen 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.aligned_memory import Bytes, aligned_zeros

WORDS: Mapping[int, np.dtype[Any]] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.uint16),
    4: np.dtype(np.uint32),
    8: np.dtype(np.uint64),
}
"""Words by their bytes. Wide ones suit blocked patterns: their mask is smaller."""

LEAST_BYTES = 16384
"""Smaller arrays are stored as they are: tables of indices, for example, in files that older readers should take."""

_AS_SMALL = 1.15
"""Wider words, which expand faster, are taken up to so many times the least size."""

_ALIGNMENT = 64
_CHUNK = 1 << 15
"""Words that are expanded at once, so that what is made on the way stays in the caches."""


@dataclass(frozen=True, slots=True)
class ZeroForm:
    """How zeros are left out: in words of so many bytes; whether -0.0 is left out too, for words of float16 to 64."""

    word: int
    has_signs: bool = False

    @property
    def negative_zero(self) -> int:
        """The bits of -0.0 in a word."""
        return 1 << (8 * self.word - 1)

    def stored_bytes(self, size: int, kept: int) -> int:
        """What ``size`` bytes take, of which so many words are kept."""
        return self.masks_bytes(size) + kept * self.word

    def masks_bytes(self, size: int) -> int:
        """Bytes from the start to the kept words."""
        return (1 + self.has_signs) * self.mask_bytes(size)

    def mask_bytes(self, size: int) -> int:
        """Bytes of one mask with its padding."""
        mask = -(-size // (8 * self.word))
        return -(-mask // _ALIGNMENT) * _ALIGNMENT


def least_form(data: Bytes) -> tuple[ZeroForm | None, int]:
    """The form that suits ``data`` [bytes] and the bytes to be stored; (None, all) if none saves any."""
    if data.size < LEAST_BYTES:
        return None, data.size
    sizes = {}
    for word, kind in WORDS.items():
        if data.size % word:
            continue
        words, form = data.view(kind), ZeroForm(word)
        kept = int(np.count_nonzero(words))
        sizes[form] = form.stored_bytes(data.size, kept)
        signed = ZeroForm(word, True)
        if word > 1 and kept < words.size:  # signs alone are no pruning
            kept -= int(np.count_nonzero(words == signed.negative_zero))
            sizes[signed] = signed.stored_bytes(data.size, kept)
    least = min(sizes.values())
    if least >= data.size:
        return None, data.size
    best = max((form for form, size in sizes.items() if size <= _AS_SMALL * least), key=lambda form: form.word)
    return best, sizes[best]


def pack_zeros(data: Bytes, largest_share: float) -> tuple[ZeroForm, Bytes] | None:
    """The form and what is to be stored; None where more than this share of ``data`` [bytes] is left."""
    form, size = least_form(data)
    if form is None or size > largest_share * data.size:
        return None
    words = data.view(WORDS[form.word])
    is_kept = words != 0
    stored = aligned_zeros(size)
    if form.has_signs:
        is_negative = words == form.negative_zero
        is_kept &= ~is_negative
        _put_mask(stored[form.mask_bytes(data.size) :], is_negative)
    _put_mask(stored, is_kept)
    np.take(words, np.flatnonzero(is_kept), out=stored[form.masks_bytes(data.size) :].view(words.dtype))
    return form, stored


def unpack_zeros(stored: Bytes, form: ZeroForm, size: int) -> Bytes:
    """The ``size`` bytes that ``pack_zeros`` stored in this form, at an aligned address.

    Raises:
        ValueError: ``stored`` is not of this form. Nothing larger than 64 times its size is made of it.
    """
    kind, masks = WORDS[form.word], form.masks_bytes(size)
    if size % form.word or stored.size < masks or (stored.size - masks) % form.word:
        raise ValueError("its bytes are not those of its form")
    kept = stored[masks:].view(kind)
    memory = aligned_zeros(size)
    words = memory.view(kind)
    signs = stored[form.mask_bytes(size) : masks]
    used = 0
    for start in range(0, words.size, _CHUNK):
        target = words[start : start + _CHUNK]
        if form.has_signs:
            target[_places(signs, start, target.size)] = form.negative_zero
        places = _places(stored, start, target.size)
        if used + places.size > kept.size:
            raise ValueError("its mask has more bits than there are words")
        target[places] = kept[used : used + places.size]
        used += places.size
    if used != kept.size:
        raise ValueError("its mask has fewer bits than there are words")
    return memory


def _put_mask(stored: Bytes, bits: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    mask = np.packbits(bits, bitorder="little")
    stored[: mask.size] = mask


def _places(mask: Bytes, start: int, count: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Where the bits are set of ``count`` words from word ``start`` on, a multiple of 8."""
    bits = np.unpackbits(mask[start // 8 : -(-(start + count) // 8)], bitorder="little")
    return np.flatnonzero(bits[:count].view(np.bool_))
