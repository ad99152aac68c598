"""The section table of a ``.cnnc`` file: where each constant, kernel, graph and weight lies, checked row by row."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from cnnc.errors import ArtifactError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime import artifact_format as form
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program_reader import variant_from_json
from cnnc.types import DType

if TYPE_CHECKING:
    from cnnc.runtime.zero_words import ZeroForm

DAMAGED = "the file is damaged or incomplete: copy it again or compile the model again"
"""The next step after most errors."""

_KINDS = ("constant", "code", "graph", "weight")
_DTYPES = frozenset(dtype.value for dtype in DType)


@dataclass(frozen=True, slots=True)
class Section:
    """A row of the section table.

    Attributes:
        start: absolute offset in the file.
        bytes: in the file.
        content_bytes: those that they stand for; the same number where no zeros are left out.
        form: how zeros are left out; None where none are.
        shape, dtype: of weights.
        variant, entry: of code.
    """

    kind: str
    name: str
    start: int
    bytes: int
    sha256: str
    content_bytes: int
    form: ZeroForm | None = None
    shape: tuple[int, ...] = ()
    dtype: DType | None = None
    variant: Variant | None = None
    entry: int = 0


def sections_from_json(table: Any, start: int, file_bytes: int, where: str) -> tuple[Section, ...]:
    """The sections of a header.

    Args:
        start: where the first one may lie.
        where: the file's name, for errors.

    Raises:
        ArtifactError: a row is not of the form, or a section is outside the file or overlaps another one.
    """
    return _SectionReader(start, file_bytes, where).sections(table)


class _SectionReader:
    def __init__(self, start: int, file_bytes: int, where: str) -> None:
        self._start = start
        self._file_bytes = file_bytes
        self._where = where

    def sections(self, table: Any) -> tuple[Section, ...]:
        if not isinstance(table, list) or len(table) > form.MAX_SECTIONS:
            raise self._error("there is no section table")
        sections = []
        end = self._start
        for row in table:
            section = self._section(row)
            # Sections lie in the order of the table, so that none can overlap.
            if (
                section.start < end
                or section.start % form.ALIGNMENT
                or section.start + section.bytes > self._file_bytes
            ):
                raise self._error(f"section {section.name!r:.80} is outside the file or overlaps another one")
            end = section.start + section.bytes
            sections.append(section)
        return tuple(sections)

    def _section(self, row: Any) -> Section:
        if not isinstance(row, dict):
            raise self._error("a section is no object")
        kind, name, digest = row.get("kind"), row.get("name"), row.get("sha256")
        if kind not in _KINDS or not isinstance(name, str) or not isinstance(digest, str):
            raise self._error("a section has no kind, name or hash")
        start = self._start + self._int(row.get("offset"), 0, 2**62, "a section's offset")
        size = self._int(row.get("bytes"), 0, 2**62, "a section's size")
        if kind == "code":
            variant = variant_from_json(row.get("variant"), self._where)
            entry = self._int(row.get("entry"), 0, max(size - 1, 0), "a kernel's entry")
            return Section(kind, name, start, size, digest, size, variant=variant, entry=entry)
        if kind == "graph":
            return Section(kind, name, start, size, digest, size)
        form, content = self._form(row, name, size) if "word" in row else (None, size)
        if kind == "constant":
            return Section(kind, name, start, size, digest, content, form)
        shape, dtype = self._weight(row, name, content)
        return Section(kind, name, start, size, digest, content, form, shape, dtype)

    def _form(self, row: dict[str, Any], name: str, size: int) -> tuple[ZeroForm, int]:
        """How a section's zeros are left out, and the bytes of its content; those in the file bound them."""
        from cnnc.runtime.zero_words import WORDS, ZeroForm

        word = self._int(row["word"], 1, max(WORDS), "the size of a section's words")
        content = self._int(row.get("content_bytes"), 0, 2**62, "the size of a section's content")
        signs = row.get("signs", False)
        if word not in WORDS or content % word or type(signs) is not bool:
            raise self._error(f"section {name!r:.80} is no whole number of words")
        form = ZeroForm(word, signs)
        kept, rest = divmod(size - form.masks_bytes(content), word)
        if rest or not 0 <= kept <= content // word:
            what = f"has {size} bytes, which cannot be those of {content} without zeros"
            raise self._error(f"section {name!r:.80} {what}")
        return form, content

    def _weight(self, row: dict[str, Any], name: str, content: int) -> tuple[tuple[int, ...], DType]:
        shape, dtype = row.get("shape"), row.get("dtype")
        if not isinstance(shape, list) or len(shape) > 64 or not isinstance(dtype, str) or dtype not in _DTYPES:
            raise self._error(f"weight {name!r:.80} has no shape or element type")
        sizes = tuple(self._int(size, 0, 2**48, "a weight's dimension") for size in shape)
        if prod(sizes) * DType(dtype).size != content:
            raise self._error(f"weight {name!r:.80} has {content} bytes, not those of its shape")
        return sizes, DType(dtype)

    def _int(self, data: Any, low: int, high: int, what: str) -> int:
        if type(data) is not int or not low <= data <= high:
            raise self._error(f"{what} is no integer between {low} and {high}")
        return data

    def _error(self, what: str) -> ArtifactError:
        return ArtifactError(what, where=self._where, hint=DAMAGED)
