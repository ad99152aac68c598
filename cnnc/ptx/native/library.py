"""Compiles lane-wise operations to machine code: one function for each operation and the types of its registers.

``void f(uint8_t *row, const int64_t *operands, uint32_t mask)``: ``row`` is the warp's row of the register file,
``operands`` are offsets in it, results first, and ``mask`` has a bit for every lane that is active. Functions stay for
the life of the process: kernels share them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from cnnc.ptx.native.vectors import Operation, cast, vector_type
from cnnc.ptx.registers import WARP

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
FUNCTION = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I64.as_pointer(), I32])

Shape = tuple[str, tuple[str, ...], tuple[str, ...]]
"""An operation's name, and the types of the registers or constants that are its results and sources."""

_addresses: dict[Shape, int] = {}
_engines: list[Any] = []
"""They own the code."""


def shape_of(operation: Operation, results: tuple[str, ...], sources: tuple[str, ...]) -> Shape:
    return operation.name, results, sources


def addresses(wanted: Iterable[tuple[Operation, Shape]]) -> dict[Shape, int]:
    """Where the function of each operation and shape lies; compiles what is missing."""
    needed = {shape: operation for operation, shape in wanted}
    missing = {shape: operation for shape, operation in needed.items() if shape not in _addresses}
    if missing:
        _compile(missing)
    return {shape: _addresses[shape] for shape in needed}


def _compile(missing: dict[Shape, Operation]) -> None:
    module = ir.Module("lanewise")
    names = {}
    for number, (shape, operation) in enumerate(missing.items()):
        names[shape] = f"operation_{len(_addresses)}_{number}"
        _emit(ir.Function(module, FUNCTION, names[shape]), operation, shape)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1
    )
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    _engines.append(engine)
    for shape, name in names.items():
        _addresses[shape] = engine.get_function_address(name)


def _emit(function: Any, operation: Operation, shape: Shape) -> None:
    row, operands, mask = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    _, results, sources = shape

    def place(number: int, kind: str) -> Any:
        offset = builder.load(builder.gep(operands, [ir.Constant(I64, number)]))
        pointer = builder.gep(row, [offset])
        wanted = I32 if kind == "pred" else vector_type(kind)
        return builder.bitcast(pointer, wanted.as_pointer())

    def load(pointer: Any, kind: str) -> Any:
        if kind == "pred":
            return builder.bitcast(builder.load(pointer, align=4), ir.VectorType(ir.IntType(1), WARP))
        return builder.load(pointer, align=8)

    values = []
    for number, (kind, wanted) in enumerate(zip(sources, operation.sources, strict=True), len(results)):
        values.append(cast(builder, load(place(number, kind), kind), kind, wanted))
    found = operation.emit(builder, *values)
    active = builder.bitcast(mask, ir.VectorType(ir.IntType(1), WARP))
    found = found if isinstance(found, tuple) else (found,)
    for number, (value, computed, kind) in enumerate(zip(found, operation.results, results, strict=True)):
        target = place(number, kind)
        value = builder.select(active, cast(builder, value, computed, kind), load(target, kind))
        if kind == "pred":
            builder.store(builder.bitcast(value, I32), target, align=4)
        else:
            builder.store(value, target, align=8)
    builder.ret_void()
