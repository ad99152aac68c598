"""A file as an array of bytes."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np

from cnnc.errors import ModelError
from cnnc.runtime.aligned_memory import Bytes


def map_file(path: Path) -> Bytes:
    """The file mapped into memory: read-only uint8 array of shape [size].

    The mapping lives as long as an array of it. A file that is shortened meanwhile ends the process when the missing
    part is touched, as with every mapped file; one that is replaced, as ``write_weights`` does, stays what it was.

    Raises:
        ModelError: no such file, not a file, empty, or not readable.
    """
    where = str(path)
    try:
        if not path.is_file():
            what = "this is not a file" if path.exists() else "there is no such file"
            raise ModelError(what, where=where, hint="give the path of a .safetensors, .npz, .pt or .pth file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise ModelError("the file is empty", where=where, hint="download or save it again")
            return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        raise ModelError(f"the file cannot be read: {error.strerror}", where=where, hint="check its rights") from error
