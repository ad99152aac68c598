"""Imports point down the tiers only, and every package is listed for installation."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"cnnc": ROOT / "cnnc", "cnnc.passes": ROOT / "passes", "cnnc.frontends": ROOT / "frontends"}
FOLDERS["cnnc.runtime"] = ROOT / "runtime"

TIERS = (
    (
        "cnnc.cli",
        "cnnc.backend",
        "cnnc.bisection",
        "cnnc.compiled_model",
        "cnnc.doctor",
        "cnnc.compiler",
        "cnnc.model_reading",
        "cnnc.model_tuning",
        "cnnc.optimisation",
        "cnnc.options",
        "cnnc.targets",
        "cnnc.explanation",
        "cnnc.view",
        "cnnc.exporting",
        "cnnc.extending",
        "cnnc.target_backend",
        "cnnc.pruning",
        "cnnc.quantization",
        "cnnc.observation",
        "cnnc.report",
    ),
    ("cnnc.tuning", "cnnc.emulation"),
    ("cnnc.models",),
    ("cnnc.dsl",),
    ("cnnc.frontends", "cnnc.passes", "cnnc.lower"),
    ("cnnc.export",),
    ("cnnc.interp", "cnnc.sample_inputs", "cnnc.channels"),
    ("cnnc.ops",),
    ("cnnc.ir",),
    ("cnnc.runtime",),
    ("cnnc.ptx",),
    (
        "cnnc.types",
        "cnnc.dims",
        "cnnc.dim_text",
        "cnnc.errors",
        "cnnc.extension_points",
        "cnnc.fact_table",
        "cnnc.frozen_dataclass",
        "cnnc.near_names",
    ),
)
"""Highest first: a module may import from its own tier's package and from lower tiers."""

ALLOWED_UP = {("cnnc.runtime.session", "cnnc.compiler")}
"""The one place where the runtime reaches up: InferenceSession("model.onnx")."""

LAZY_ONLY = {"onnx", "numba", "llvmlite", "networkx", "igraph", "onnxruntime", "PIL", "rich", "click", "cuda"}
LAZY_ONLY |= {"numba_cuda"}


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [*package.split("."), *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def tier(module: str) -> int | None:
    for index, names in enumerate(TIERS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return index
    return None


def imports(path: Path) -> list[str]:
    """Every module of cnnc that the file imports anywhere, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" if node.module == "cnnc" else node.module for alias in node.names]
    return [name for name in found if name.startswith("cnnc.")]


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_down(module: str) -> None:
    own = tier(module)
    if own is None:
        pytest.skip("the package root has no tier")
    for imported in imports(modules()[module]):
        theirs = tier(imported)
        if theirs is None or (module, imported) in ALLOWED_UP:
            continue
        same_package = module.split(".")[:2] == imported.split(".")[:2]
        lower = theirs > own or (theirs == own and (same_package or own in (0, len(TIERS) - 1)))
        assert lower, f"{module} imports {imported}, which is not below it"


def test_every_module_has_a_tier() -> None:
    assert [name for name in modules() if tier(name) is None and name not in ("cnnc", "cnnc.__main__")] == []


def test_packages_are_listed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {name for name, path in modules().items() if path.name == "__init__.py"}
    assert listed == found


def test_no_python_files_in_the_way() -> None:
    banned = {"utils.py", "helpers.py", "common.py"}
    assert [str(path) for path in modules().values() if path.name in banned] == []


@pytest.mark.parametrize("module", ["cnnc", "cnnc.runtime", "cnnc.runtime.session"])
def test_light_imports(module: str) -> None:
    """Importing the runtime loads no compiler and no heavy dependency."""
    heavy = sorted(LAZY_ONLY)
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_bare_folder_names_are_refused() -> None:
    code = "import passes"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "cnnc.passes" in done.stderr
