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

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.jit.cache import ABI_VERSION, load_file, store_file
from cnnc.runtime.kernel import Target, Variant

_MODULE = rb"cnnc\.runtime[\w.]*(?: import [\w, ()]+)?"
"""A pattern that begins with plain text is searched ten times as fast; what stands before it is looked at then."""
_TABLES = ("cnnc.runtime.cpu", "cnnc.runtime.cuda")
"""They name every kernel, and hold no code."""
_RUNTIME = Path(__file__).resolve().parents[1]
"""Folder of the package ``cnnc.runtime``."""
_PROCESS_TOKEN = os.urandom(16)
_SETTLED_NANOSECONDS = 2_000_000_000
"""A file that changed more recently could change again within the resolution of its times."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """What makes code of kernels: the module that does, and the packages whose versions count.

    Packages are written as in the names of their folders in site-packages: ``numba_cuda``.
    """

    module: str
    packages: tuple[str, ...]


CPU_COMPILER = Compiler("cnnc.runtime.jit.compile", ("numba", "llvmlite"))


def cache_key(variant: Variant, module: str, target: Target, compiler: Compiler = CPU_COMPILER) -> str:
    """Hex SHA-256 over the variant, the sources of kernel module ``module``, the target, the compiler and the ABI."""
    versions = package_versions(compiler.packages)
    sources = source_digest if _is_own(module) else extension_digest
    parts = (repr(variant), repr(target), versions, str(ABI_VERSION), sources(module, compiler.module))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def source_digest(module: str, compiler: str = CPU_COMPILER.module) -> str:
    """Hex SHA-256 over the sources of ``module``, of its compiler, and of all that they import of cnnc.runtime."""
    known = _known_digests()
    if module not in known:
        known[module] = hashed_sources(module, compiler)
        stamp = _source_stamp()
        if stamp is not None:
            store_file(_digests_file(), json.dumps({"stamp": stamp, "digests": known}).encode())
    return known[module]


def _is_own(module: str) -> bool:
    return module.startswith("cnnc.")


@cache
def extension_digest(module: str, compiler: str = CPU_COMPILER.module) -> str:
    """Hex SHA-256 over all sources of the package of an extension's kernel, and of what all kernels may use of cnnc.

    An extension may build its kernel with any part of the runtime, and those of its own modules that it has not
    imported yet. Kernels without a source file, typed into an interpreter, are other kernels in each process.
    """
    digest = hashlib.sha256(f"{module} {_all_sources()} {compiler}".encode())
    package = sys.modules[module.partition(".")[0]]
    folders, file = list(getattr(package, "__path__", [])), getattr(package, "__file__", None)
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*.py")):
        digest.update(path.read_bytes())
    if not folders:
        digest.update(Path(file).read_bytes() if file else _PROCESS_TOKEN)
    return digest.hexdigest()


@cache
def _all_sources() -> str:
    """Hex SHA-256 over every source file of the runtime."""
    digest = hashlib.sha256()
    for path, *_ in sorted(_source_facts(os.fspath(_RUNTIME))):
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def hashed_sources(module: str, compiler: str = CPU_COMPILER.module) -> str:
    """The same, from the sources themselves."""
    digest = hashlib.sha256()
    for name in source_modules(module, compiler):
        digest.update(_source(name) or b"")
    return digest.hexdigest()


@cache
def source_modules(module: str, compiler: str = CPU_COMPILER.module) -> tuple[str, ...]:
    """The two modules and the modules of cnnc.runtime that they import, directly or not, sorted."""
    seen: set[str] = set()
    pending = [module, compiler]
    while pending:
        name = pending.pop()
        source = None if name in seen else _source(name)
        if source is None:
            continue
        seen.add(name)
        if name in _TABLES:
            continue
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
def package_versions(packages: tuple[str, ...]) -> str:
    """Versions of installed packages, or ``absent``."""
    # By the names that importlib.metadata reads too, which takes 15 ms to import.
    found = dict.fromkeys(packages, "absent")
    for folder in reversed(sys.path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            package, dash, version = name.partition("-")
            if dash and package in found and version.endswith((".dist-info", ".egg-info")):
                found[package] = version.rpartition(".")[0].partition("-")[0]
    return " ".join(found.values())
