"""Lists of sparse kernels from a file: what they say is checked before a kernel follows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cnnc
from cnnc.errors import ArtifactError
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.executor import Executor
from cnnc.runtime.program import BufferArg, Call, KernelStep
from cnnc.types import DType, TensorType

pytestmark = pytest.mark.jit


def layer(op: str, rows: int, density: float, shape: tuple[int, ...]) -> cnnc.CompiledModel:
    """A convolution of 14x14 pixels with a 3x3 window or a product of so many rows, and a weight of this density."""
    rng = np.random.default_rng(0)
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType(input_shape(op, rows, shape), DType.F32))
    weight = np.where(rng.random(shape) < density, rng.standard_normal(shape), 0).astype(np.float32)
    attrs = OPS[op].attrs(pads=(1,) * 4) if op == "conv" else OPS[op].attrs()
    graph.set_outputs([graph.add_node(op, [x, graph.add_constant(weight, "w")], attrs).output], ["y"])
    return cnnc.compile(graph)


def input_shape(op: str, rows: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, shape[1], 14, 14) if op == "conv" else (rows, shape[0])


CASES = {
    "conv.f32.blocked.sparse": ("conv", 1, 0.05, (64, 64, 3, 3)),
    "gemm.f32.sparse_lists": ("gemm", 1, 0.05, (1024, 1000)),
    "gemm.f32.sparse_masks": ("gemm", 1, 0.3, (2048, 4096)),
    "gemm.f32.sparse_rows": ("gemm", 128, 0.05, (1024, 1000)),
}


def tables_of(model: cnnc.CompiledModel, kernel: str) -> dict[str, int]:
    """Constants by the name of the table that they are."""
    program = model.lowered.program
    calls: list[Call] = [
        call
        for step in program.steps
        if isinstance(step, KernelStep)
        for choice in step.choices
        for call in choice.calls
        if call.variant.kernel == kernel
    ]
    if not calls:
        pytest.skip(f"{kernel} is not taken on this CPU")
    definition = kernel_def(kernel)
    arguments = dict(zip(definition.args, calls[0].args, strict=True))
    found = {}
    for table in definition.tables:
        place = arguments[table]
        assert isinstance(place, BufferArg)
        found[table] = program.buffers[place.buffer].constant
    return found


@pytest.mark.parametrize("kernel", CASES)
def test_tables_that_lead_elsewhere_are_refused(kernel: str) -> None:
    model = layer(*CASES[kernel])
    tables = tables_of(model, kernel)
    assert tables
    executable = replace(model.executable, origin="file.cnnc")
    Executor(executable).bound_plan(0, {})
    for table, constant in tables.items():
        for junk in (0x7FFFFFFF, 0xFFFFFFFF, 3):
            damaged = executable.constants[constant].copy()
            words = damaged[: damaged.size // 4 * 4].view(np.uint32)
            words[(words.size // 2) // 4 * 4] = junk
            if np.array_equal(damaged, executable.constants[constant]):
                continue
            constants = list(executable.constants)
            constants[constant] = damaged
            executor = Executor(replace(executable, constants=tuple(constants)))
            if junk == 3 and table in ("positions", "entries", "groups"):
                continue  # may be a place like any other
            with pytest.raises(ArtifactError, match="kernel"):
                executor.bound_plan(0, {})


@pytest.mark.parametrize("kernel", CASES)
def test_random_damage_is_refused_or_safe_to_run(kernel: str) -> None:
    """A wild access would kill the process."""
    op, rows, density, weight = CASES[kernel]
    model = layer(op, rows, density, weight)
    tables = tables_of(model, kernel)
    executable = replace(model.executable, origin="file.cnnc")
    x, rng = np.ones(input_shape(op, rows, weight), np.float32), np.random.default_rng(1)
    outcomes = {"ran": 0, "refused": 0}
    for _ in range(40):
        constants = list(executable.constants)
        constant = int(rng.choice(list(tables.values())))
        damaged = constants[constant].copy()
        damaged[rng.integers(0, damaged.size, rng.integers(1, 3))] = rng.integers(0, 256)
        constants[constant] = damaged
        try:
            Executor(replace(executable, constants=tuple(constants))).run([x], {})
            outcomes["ran"] += 1
        except ArtifactError:
            outcomes["refused"] += 1
    assert outcomes["refused"]


def test_tables_must_be_constants() -> None:
    """An input that is read as a list would be whatever the caller gives."""
    kernel = "gemm.f32.sparse_lists"
    model = layer(*CASES[kernel])
    [index] = [tables_of(model, kernel)["positions"]]
    program = model.executable.program
    buffers = tuple(
        replace(buffer, kind="arena", constant=-1) if buffer.constant == index else buffer for buffer in program.buffers
    )
    changed = replace(model.executable, program=replace(program, buffers=buffers), origin="file.cnnc")
    with pytest.raises(ArtifactError):
        Executor(changed).bound_plan(0, {})
