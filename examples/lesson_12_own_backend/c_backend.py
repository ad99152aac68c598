"""A backend: a graph becomes C, the system's compiler makes a library of it, and ctypes calls that."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from lesson_12_own_backend.c_code import RULES, CRule, Shape

from cnnc import passes
from cnnc.dims import evaluate
from cnnc.errors import OptionError
from cnnc.ir import Array, Graph, Node
from cnnc.target_backend import BackendSettings, RunGraph, TargetBackend, sizes_of
from cnnc.types import DType

_FLAGS = ("-O3", "-march=native", "-shared", "-fPIC", "-std=c11")


class CBackend(TargetBackend):
    """Float32 classifiers in plain C, for every batch a library of its own."""

    rules: Mapping[str, CRule] = RULES
    fusions = "fold-batch-norm,eliminate-dead-code"
    """Of all that cnnc can do to a graph; nothing else fuses, so that each node is an op of ``rules``."""

    def passes(self, level: int) -> tuple[passes.Pass, ...]:
        imported = passes.pipeline(0)[:-2]  # without mark-optimised and assign-layouts
        return (*imported, *passes.parse_pipeline(f"{self.fusions},mark-optimised" if level else "mark-optimised"))

    def refusal(self, node: Node) -> str | None:
        values = [value for value in (*node.inputs, *node.outputs) if value is not None]
        if node.op not in self.rules:
            return "there is no C for it"
        if any(value.type.dtype is not DType.F32 for value in values):
            return "it is not of float32"
        return self.rules[node.op].refusal(node)

    def compile(self, graph: Graph, settings: BackendSettings) -> RunGraph:
        programs: dict[tuple[int, ...], RunGraph] = {}

        def run(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            key = tuple(size for array in feeds.values() for size in array.shape)
            if key not in programs:
                programs[key] = self._library(graph, sizes_of(graph, feeds))
            return programs[key](feeds)

        return run

    def source(self, graph: Graph, sizes: Mapping[str, int]) -> str:
        """One C function for each node, and ``run``, which calls them with the addresses of all values."""
        shape = _shape(sizes)
        index = {value: number for number, value in enumerate(_values(graph))}
        functions, calls = ["#include <math.h>"], []
        for number, node in enumerate(graph.nodes):
            operands = [value for value in node.inputs if value is not None]
            names = [f"const float *restrict in{position}" for position in range(len(operands))]
            body = self.rules[node.op].emit(node, shape)
            functions.append(f"static void step{number}({', '.join(names)}, float *restrict out) {{\n    {body}\n}}")
            places = ", ".join(f"v[{index[value]}]" for value in (*operands, node.output))
            calls.append(f"    step{number}({places});  // {node.op} {' + '.join(node.loc)[:60]!r}")
        return "\n\n".join((*functions, "void run(float **v) {\n" + "\n".join(calls) + "\n}\n"))

    def _library(self, graph: Graph, sizes: Mapping[str, int]) -> RunGraph:
        entry = build(self.source(graph, sizes))
        shape, values, inputs = _shape(sizes), _values(graph), {value.name: value for value in graph.inputs}

        def run(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            arrays = {value: np.ascontiguousarray(feeds[name]) for name, value in inputs.items()}
            for value in values:
                if value not in arrays:
                    known = value.array
                    arrays[value] = np.empty(shape(value), np.float32) if known is None else np.ascontiguousarray(known)
            entry((ctypes.c_void_p * len(values))(*(arrays[value].ctypes.data for value in values)))
            return {name: arrays[value] for name, value in zip(graph.output_names, graph.outputs, strict=True)}

        return run


def has_compiler() -> bool:
    """Whether there is a C compiler."""
    return _compiler() is not None


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def build(source: str) -> ctypes._CFuncPtr:
    """The function ``run`` of C source, loaded.

    Raises:
        OptionError: there is no C compiler.
    """
    compiler = _compiler()
    if compiler is None:
        raise OptionError("there is no C compiler", where="target c", hint="install gcc or clang")
    with tempfile.TemporaryDirectory() as folder:
        text, library = Path(folder, "model.c"), Path(folder, "model.so")
        text.write_text(source)
        subprocess.run([compiler, *_FLAGS, str(text), "-o", str(library), "-lm"], check=True, timeout=120)
        return ctypes.CDLL(str(library)).run


def _values(graph: Graph) -> list[object]:
    return [*graph.inputs, *graph.constants, *(value for node in graph.nodes for value in node.outputs)]


def _shape(sizes: Mapping[str, int]) -> Shape:
    return lambda value: tuple(evaluate(dim, sizes) for dim in value.type.shape)
