"""The public door for code outside cnnc: what it may add, and how it says so in its own process.

Packages name what they add as entry points (``docs/extending.md``), and need no call. Scripts, notebooks and tests,
which are no packages, call ``register_...`` here: what they add is known in this process only. Each function returns
what it was given, so those for classes serve as decorators::

    @register_pass
    class FuseHardGate(Pass): ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from cnnc.export.table import EXTENSIONS as EXPORTERS
from cnnc.export.writer import Exporter
from cnnc.extension_points import ExtensionError, ExtensionPoint, look_again
from cnnc.frontends.onnx.node import Converter
from cnnc.frontends.onnx.table import EXTENSIONS as CONVERTERS
from cnnc.lower.select import EXTENSIONS as RULES
from cnnc.lower.select import GPU_EXTENSIONS as GPU_RULES
from cnnc.lower.select import Rules
from cnnc.ops import EXTENSIONS as OPS
from cnnc.ops.opdef import OpDef
from cnnc.passes import ROWS, Pass, PipelineRow
from cnnc.passes.registry import EXTENSIONS as PASSES
from cnnc.passes.registry import NAMED_PIPELINES
from cnnc.runtime.cpu import EXTENSIONS as KERNELS
from cnnc.runtime.cuda import EXTENSIONS as GPU_KERNELS
from cnnc.runtime.host import EXTENSIONS as HOST_FUNCTIONS
from cnnc.runtime.kernel import KernelDef
from cnnc.target_backend import BACKENDS, TargetBackend

AnyPass = TypeVar("AnyPass", bound=type[Pass])
AnyBackend = TypeVar("AnyBackend", bound=type[TargetBackend])

POINTS: tuple[ExtensionPoint[Any], ...] = (
    OPS,
    HOST_FUNCTIONS,
    CONVERTERS,
    EXPORTERS,
    PASSES,
    ROWS,
    NAMED_PIPELINES,
    RULES,
    KERNELS,
    GPU_RULES,
    GPU_KERNELS,
    BACKENDS,
)
"""Every extension point, in the order in which a model meets them."""


def register_op(op: OpDef, meaning: Callable[..., Any]) -> OpDef:
    """Add an op and its NumPy meaning: a function of the inputs as arrays, and of the attributes as keywords.

    Raises:
        OptionError: the name is taken, as for all functions here; or what is given is no such thing.
    """
    HOST_FUNCTIONS.register(op.name, meaning)
    return OPS.register(op.name, op)


def register_pass(cls: AnyPass) -> AnyPass:
    """Add a pass, for ``cnnc opt`` and ``parse_pipeline``; ``register_pipeline_row`` has compilations run it."""
    PASSES.register(cls.name, cls)
    return cls


def register_pipeline_row(name: str, row: PipelineRow) -> PipelineRow:
    """Add a pass to the pipelines of the levels."""
    return ROWS.register(name, row)


def register_pipeline(name: str, passes: str) -> str:
    """Give a list of passes a name that may stand where a pass may: ``cnnc opt -p NAME``."""
    return NAMED_PIPELINES.register(name, passes)


def register_kernel(kernel: KernelDef, *, gpu: bool = False) -> KernelDef:
    """Add a kernel of the CPU, or of GPUs; ``register_rules`` has the compiler choose it."""
    return (GPU_KERNELS if gpu else KERNELS).register(kernel.name, kernel)


def register_rules(name: str, rules: Rules, *, gpu: bool = False) -> Rules:
    """Add lowering rules, by op; they are asked before cnnc's own."""
    return (GPU_RULES if gpu else RULES).register(name, rules)


def register_converter(domain: str, op_type: str, converter: Converter) -> Converter:
    """Add the converter of an ONNX operator of a domain of your own."""
    return CONVERTERS.register(f"{domain}.{op_type}", converter)


def register_exporter(op: str, exporter: Exporter) -> Exporter:
    """Add what writes an op of your own as ONNX."""
    return EXPORTERS.register(op, exporter)


def register_backend(target: str, backend: AnyBackend) -> AnyBackend:
    """Add a backend, for ``cnnc.compile(model, target=...)``."""
    BACKENDS.register(target, backend)
    return backend


@dataclass(frozen=True, slots=True)
class Extension:
    """A thing that was added.

    Args:
        group: the entry-point group.
        name: its name.
        package, version: who offers it; "" where this process registered it.
        place: ``module:attribute`` of an entry point.
        problem: why it cannot be used, or "".
    """

    group: str
    name: str
    package: str
    version: str
    place: str
    problem: str = ""


def extensions() -> tuple[Extension, ...]:
    """Everything that packages and this process add, loaded once to see whether it can be used."""
    found = []
    for point in POINTS:
        offers = point.known()
        for name in sorted(offers):
            problem = ""
            try:
                point.find(name)
            except ExtensionError as error:
                problem = error.what
            offer = offers[name]
            facts = ("", "", "") if offer is None else (offer.package, offer.version, offer.place)
            found.append(Extension(point.group, name, *facts, problem))
    return tuple(found)


__all__ = [
    "POINTS",
    "Extension",
    "extensions",
    "look_again",
    "register_backend",
    "register_converter",
    "register_exporter",
    "register_kernel",
    "register_op",
    "register_pass",
    "register_pipeline",
    "register_pipeline_row",
    "register_rules",
]
