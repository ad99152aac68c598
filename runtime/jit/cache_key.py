"""Names of cached kernels: the hash of everything that a kernel's code depends on.

To hash the sources of a kernel takes reading and searching some fifty files, 5 ms. A small file in the cache folder
keeps the hashes together with sizes and times of all source files: while these stand, so do the hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cnnc.runtime.jit.cache import ABI_VERSION, load_file, store_file
from cnnc.runtime.kernel import Target, Variant

_MODULE = rb"cnnc\.runtime[\w.]*(?: import [\w, ()]+)?"
"""A pattern that begins with plain text is searched ten times as fast; what stands before it is looked at then."""
_TOOLS = ("numba", "llvmlite")
_RUNTIME = Path(__file__).resolve().parents[1]
"""Folder of the package ``cnnc.runtime``."""
_SETTLED_NANOSECONDS = 2_000_000_000
"""A file that changed more recently could change again within the resolution of its times."""


def cache_key(variant: Variant, module: str, target: Target) -> str:
    """Hex SHA-256 over the variant, the sources of kernel module ``module``, the target, tool versions and the ABI."""
    parts = (repr(variant), repr(target), _tool_versions(), str(ABI_VERSION), source_digest(module))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def source_digest(module: str) -> str:
    """Hex SHA-256 over the sources of ``module`` and of all that it imports of cnnc.runtime."""
    known = _known_digests()
    if module not in known:
        known[module] = hashed_sources(module)
        stamp = _source_stamp()
        if stamp is not None:
            store_file(_digests_file(), json.dumps({"stamp": stamp, "digests": known}).encode())
    return known[module]


def hashed_sources(module: str) -> str:
    """The same, from the sources themselves."""
    digest = hashlib.sha256()
    for name in source_modules(module):
        digest.update(_source(name) or b"")
    return digest.hexdigest()


@cache
def source_modules(module: str) -> tuple[str, ...]:
    """``module`` and the modules of cnnc.runtime that it imports, directly or not, sorted."""
    seen: set[str] = set()
    pending = [module, "cnnc.runtime.jit.compile"]
    while pending:
        name = pending.pop()
        source = None if name in seen else _source(name)
        if source is None:
            continue
        seen.add(name)
        if name == "cnnc.runtime.cpu":
            continue  # the table names every kernel; it holds no code
        for found in re.finditer(_MODULE, source):
            if not source.endswith((b"from ", b"import "), 0, found.start()):
                continue
            parent, _, names = found[0].decode().partition(" import ")
            pending.append(parent)
            pending.extend(f"{parent}.{leaf}" for leaf in re.findall(r"\w+", names))
    return tuple(sorted(seen))


@cache
def _source(module: str) -> bytes | None:
    # Found by path: importlib's find_spec would import the parents, and Numba with them. None: a name, not a module.
    path = os.path.join(_RUNTIME, *module.split(".")[2:])
    for file in (f"{path}.py", os.path.join(path, "__init__.py")):
        try:
            with open(file, "rb") as source:
                return source.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None


@cache
def _known_digests() -> dict[str, str]:
    """Hashes by module that some process stored for the sources as they are now; grows with what this one computes."""
    data = load_file(_digests_file())
    try:
        content = json.loads(data or b"{}")
    except ValueError:  # damaged
        return {}
    stamp = _source_stamp()
    if stamp is None or not isinstance(content, dict) or content.get("stamp") != stamp:
        return {}
    return {str(module): str(digest) for module, digest in dict(content.get("digests", {})).items()}


def _digests_file() -> str:
    """One for each folder that a runtime lies in."""
    return f"sources-{hashlib.sha256(os.fsencode(_RUNTIME)).hexdigest()[:16]}.json"


@cache
def _source_stamp() -> str | None:
    """Hex SHA-256 over names, sizes and times of all source files of the runtime; None while some are too new."""
    facts = sorted(_source_facts(os.fspath(_RUNTIME)))
    newest = max(change for _, _, _, change in facts)
    if time.time_ns() - newest < _SETTLED_NANOSECONDS:
        return None
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _source_facts(folder: str) -> Iterator[tuple[str, int, int, int]]:
    """(path, bytes, time of the content, time of any change) of each source file."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                facts = entry.stat()
                yield entry.path, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
            elif entry.name != "__pycache__" and entry.is_dir():
                yield from _source_facts(entry.path)


@cache
def _tool_versions() -> str:
    # By the names that importlib.metadata reads too, which takes 15 ms to import.
    found = dict.fromkeys(_TOOLS, "absent")
    for folder in reversed(sys.path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            tool, dash, version = name.partition("-")
            if dash and tool in found and version.endswith((".dist-info", ".egg-info")):
                found[tool] = version.rpartition(".")[0].partition("-")[0]
    return " ".join(found.values())
