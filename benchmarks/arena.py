"""Bytes of the arena per model: every buffer apart, buffers reused, steps in place, and the bound that no layout beats.

    python benchmarks/arena.py model.onnx ...

Symbolic sizes are taken as 1. A model whose weights are not in the file (only their shapes are) is no obstacle: name a
folder with a ``materialize.py`` that makes some up by ``--weights FOLDER``.
"""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import cnnc
from cnnc.dims import symbols
from cnnc.runtime.arena_layout import least_bytes, one_after_another
from cnnc.runtime.planner import plan
from cnnc.runtime.program import KernelStep, Program


def without_inplace(program: Program) -> Program:
    """The program with no pair of buffers declared as in place."""
    steps = (replace(step, inplace=()) if isinstance(step, KernelStep) else step for step in program.steps)
    return replace(program, steps=tuple(steps))


def arena_sizes(program: Program) -> tuple[int, int, int, int]:
    """Bytes of the first stage's arena: apart, reused, reused and in place; and the lower bound of the last."""
    sizes = {name: 1 for port in program.inputs for dim in port.shape for name in symbols(dim)}
    apart = plan(program, sizes, layout=one_after_another)
    reused = plan(without_inplace(program), sizes)
    shared = plan(program, sizes)
    return apart.arena_bytes, reused.arena_bytes, shared.arena_bytes, least_bytes(shared.places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path, help="folder with a materialize.py that makes up missing weights")
    arguments = parser.parse_args()
    print(f"{'KiB':24} {'apart':>9} {'reused':>9} {'in place':>9} {'bound':>9} {'saved':>7}")
    for path in arguments.models:
        program = cnnc.compile(_model(path, arguments.weights)).executable.program
        apart, reused, shared, bound = arena_sizes(program)
        kib = " ".join(f"{size / 1024:9.0f}" for size in (apart, reused, shared, bound))
        print(f"{path.stem:24} {kib} {1 - shared / max(reused, 1):6.1%}")


def _model(path: Path, weights: Path | None) -> Any:
    if weights is None:
        return path
    spec = importlib.util.spec_from_file_location("materialize", weights / "materialize.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.materialize(str(path)).SerializeToString()


if __name__ == "__main__":
    main()
