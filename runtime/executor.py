"""The executor: runs a program's plans over real memory, stage by stage, segments compiled and host steps in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from cnnc.errors import ArtifactError, InternalError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.aligned_memory import Bytes, address_of, aligned_bytes
from cnnc.runtime.arena_layout import Layout, best_fit
from cnnc.runtime.bound_plan import ArenaPool, BoundPlan, PlanCache
from cnnc.runtime.call import Call, RunSettings, StepDone, StepTiming
from cnnc.runtime.collection_pause import collection_paused
from cnnc.runtime.cpu_limits import compile_jobs
from cnnc.runtime.executable import Executable
from cnnc.runtime.instruction_table import KernelLoader
from cnnc.runtime.kernel import Variant
from cnnc.runtime.plan_checker import KernelTable, check_plan
from cnnc.runtime.planner import Planner
from cnnc.runtime.pool import LOOP_VARIANT, Pool, process_pool
from cnnc.runtime.program import Port
from cnnc.runtime.table_checker import check_tables

CACHED_PLANS = 16

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]
"""Called with the kernels that are ready and how many there are to compile."""

HostTable = Callable[[str], Callable[..., Any]]


@dataclass(frozen=True)
class Resolvers:
    """Where names in a program lead. The defaults are the runtime's own tables; tests bring theirs."""

    load_kernel: KernelLoader
    kernel_def: KernelTable
    host_function: HostTable
    pool: Callable[[], Pool]
    compile_kernels: Callable[[Sequence[Variant], Progress | None], None] = lambda variants, progress: None
    """Have the kernels ready that loading would otherwise compile one after another."""


def default_resolvers(executable: Executable) -> Resolvers:
    """The runtime's kernels (of the executable's own code, the blob cache, or compiled), host functions and pool."""
    from cnnc.runtime.cpu import kernel_def
    from cnnc.runtime.host import function
    from cnnc.runtime.jit.blob import Blob
    from cnnc.runtime.jit.kernel_library import load_if_cached, load_kernel
    from cnnc.runtime.jit.memory import map_blob

    mapped = {kernel.variant: map_blob(Blob(kernel.blob, kernel.entry)) for kernel in executable.code}

    def load(variant: Variant) -> int:
        address = mapped.get(variant)
        return load_kernel(variant, executable.target) if address is None else address

    def compile_kernels(variants: Sequence[Variant], progress: Progress | None) -> None:
        wanted = [variant for variant in (LOOP_VARIANT, *variants) if variant not in mapped]
        missing = [variant for variant in wanted if not load_if_cached(variant, executable.target)]
        if not missing:
            return
        from cnnc.runtime.jit.parallel_compile import compile_many

        compile_many(missing, compile_jobs(), executable.target, progress)

    return Resolvers(load, kernel_def, function, lambda: process_pool(load), compile_kernels)


class Executor:
    """Runs one executable. Safe from many threads: each call has an arena and a table of its own.

    Args:
        poison: fill arenas with 0xFF bytes (NaN as floats) before use, to expose reads of unwritten memory.
        layout: the arena layout algorithm.
    """

    def __init__(
        self,
        executable: Executable,
        resolvers: Resolvers | None = None,
        *,
        layout: Layout = best_fit,
        poison: bool = False,
        cached_plans: int = CACHED_PLANS,
    ) -> None:
        self.program = executable.program
        self.resolvers = resolvers or default_resolvers(executable)
        self.plans = PlanCache(cached_plans)
        self.arenas = ArenaPool()
        self.poison = poison
        self._origin = executable.origin
        self._planner = self._blaming_file(lambda: Planner(executable.program, layout))
        self.constants = tuple(_aligned(constant) for constant in executable.constants)
        self.output_views = tuple(self._output_views())
        self._constant_addresses = np.zeros(len(self.program.buffers), np.int64)
        for index, buffer in enumerate(self.program.buffers):
            if buffer.kind == "constant":
                if self.constants[buffer.constant].size != buffer.bytes:
                    raise InternalError(f"constant {buffer.name!r} does not have {buffer.bytes} bytes")
                self._constant_addresses[index] = address_of(self.constants[buffer.constant])

    def run(
        self,
        inputs: Sequence[Array],
        bindings: Mapping[str, int],
        settings: RunSettings | None = None,
        timings: list[StepTiming] | None = None,
        step_done: StepDone | None = None,
    ) -> list[Array]:
        """Run the program once.

        Args:
            inputs: one array per input port, of the port's dtype and of the shape that ``bindings`` give.
            bindings: sizes of all symbols in input shapes.
            timings: if given, every step runs on its own and its time is appended.
            step_done: if given, every step runs on its own, and this is told when it is done.

        Returns:
            Fresh C-contiguous arrays, one per output port.
        """
        return Call(self, settings or RunSettings(), timings, step_done).run(inputs, dict(bindings))

    def load_kernels(self, progress: Progress | None = None) -> None:
        """Load the worker loop and every kernel that some choice uses, so that no later call waits for a compiler.

        Kernels that are in no cache are compiled first, in as many processes as there are CPUs to use.
        """
        variants = tuple(self.program.variants())
        self._making("kernels", partial(self.resolvers.compile_kernels, variants, progress))
        self.resolvers.pool()
        for variant in variants:
            self._making(f"kernel {variant}", partial(self.resolvers.load_kernel, variant))

    def _making(self, what: str, make: Callable[[], Any]) -> None:
        try:
            make()
        except Exception as error:  # compile-time parameters from a file meet the kernel's generator here
            if not self._origin:
                raise
            raise ArtifactError(
                f"{what} cannot be made: {error}", where=self._origin, hint="compile the model again"
            ) from error

    def bound_plan(self, stage: int, bindings: Mapping[str, int]) -> BoundPlan:
        """The checked plan of a stage for these sizes, from the cache or made now."""
        key = (stage, *sorted(bindings.items()))
        return self.plans.get(key, lambda: self._blaming_file(lambda: self._make_plan(stage, bindings)))

    def _output_views(self) -> Iterator[tuple[Port, np.dtype[Any], bool]]:
        """Per output: port, dtype, and whether its buffer can be handed out as it is, instead of a copy."""
        seen: set[int] = set()
        for port in self.program.outputs:
            is_fresh = self.program.buffers[port.buffer].kind == "output" and port.buffer not in seen
            seen.add(port.buffer)
            yield port, port.dtype.numpy, is_fresh

    def _make_plan(self, stage: int, bindings: Mapping[str, int]) -> BoundPlan:
        with collection_paused():
            plan = self._planner.plan(bindings, stage)
            check_plan(self.program, plan, self.resolvers.kernel_def)
            if self._origin:
                check_tables(self.program, plan, self.constants, self.resolvers.kernel_def)
            return BoundPlan(self.program, plan, self._constant_addresses, self.resolvers.load_kernel)

    def _blaming_file(self, make: Callable[[], Any]) -> Any:
        if not self._origin:
            return make()
        try:
            return make()
        except InternalError as error:
            raise ArtifactError(
                f"the program breaks a rule: {error}", where=self._origin, hint="compile the model again"
            ) from error


def _aligned(constant: Bytes) -> Bytes:
    if address_of(constant) % 64 == 0:
        return constant
    copy = aligned_bytes(constant.size)
    copy[:] = constant
    return copy
