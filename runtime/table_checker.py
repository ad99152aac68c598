"""Proves that constants which say where a kernel reads lead nowhere else: files are not trusted for them either.

The plan checker knows the bytes that a call touches from its sizes alone. Kernels with lists of positions, as those of
sparse weights, read where their lists say; what lists may say is a matter of the kernel (``KernelDef.table_refusal``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnnc.errors import InternalError
from cnnc.runtime.aligned_memory import Bytes
from cnnc.runtime.kernel import KernelDef
from cnnc.runtime.plan import Address, Instruction, Plan, Segment
from cnnc.runtime.program import Program
from cnnc.runtime.stages import step_name


def check_tables(
    program: Program, plan: Plan, constants: Sequence[Bytes], kernel_def: Callable[[str], KernelDef]
) -> None:
    """Check the tables of every call of a plan that ``check_plan`` has passed.

    Args:
        constants: those of the program.

    Raises:
        InternalError: a table is no constant, or leads out of what the call may touch.
    """
    for action in plan.actions:
        if not isinstance(action, Segment):
            continue
        for instruction in action.instructions:
            kernel = kernel_def(instruction.variant.kernel)
            reason = _refusal(program, constants, kernel, instruction) if kernel.tables else None
            if reason is not None:
                name = f"{step_name(program, instruction.step)}, kernel {instruction.variant}"
                raise InternalError(f"{name}: {reason}")


def _refusal(program: Program, constants: Sequence[Bytes], kernel: KernelDef, instruction: Instruction) -> str | None:
    arguments = dict(zip(kernel.args, instruction.args, strict=True))
    tables = {}
    for table in kernel.tables:
        address = arguments[table]
        buffer = program.buffers[address.buffer] if isinstance(address, Address) else None
        if buffer is None or buffer.kind != "constant":
            return f"its table {table!r} is no constant"
        assert isinstance(address, Address)
        tables[table] = constants[buffer.constant][address.offset :]
    sizes = {name: arguments[name] for name in kernel.sizes}
    try:
        return kernel.table_refusal(sizes, instruction.variant.options, tables)  # type: ignore[arg-type]
    except Exception as error:  # the kernel's formulas meet sizes from an untrusted file here
        return f"its tables make no sense ({type(error).__name__}: {error})"
