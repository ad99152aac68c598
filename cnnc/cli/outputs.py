"""Output files: written under a temporary name and renamed, so that readers see the old file or the whole new one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnc.errors import OptionError


def check_writable(path: Path, option: str) -> None:
    """Refuse a path that cannot be written, before minutes of work.

    Raises:
        OptionError: the folder does not exist or may not be written, or the path is a folder.
    """
    folder = path.parent
    if path.is_dir():
        raise OptionError(f"{path} is a folder", where=option, hint="give a file name")
    if not folder.is_dir():
        raise OptionError(f"the folder {folder} does not exist", where=option, hint=f"create it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(f"the folder {folder} may not be written", where=option, hint="choose another folder")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path of the same suffix beside ``path``; renamed to it when the block ends well."""
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file at once."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
