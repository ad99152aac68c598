"""Whether this machine can run what an artifact holds for its target. Whether it has the GPU, a session finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnc.errors import ArtifactError
from cnnc.runtime.cuda.target import cuda_target, is_architecture
from cnnc.runtime.kernel import Target

if TYPE_CHECKING:
    from cnnc.runtime.artifact_reader import Artifact

_LEVELS = {64: "avx512", 32: "avx2", 16: "sse"}


def usable_target(artifact: Artifact) -> Target | None:
    """The target to load kernels for, made from this machine's own facts; None if the artifact names none.

    A file for fewer extensions of this CPU's level, or for a narrower level without extensions, runs here as it is.

    Raises:
        ArtifactError: it was compiled for a CPU that this one is not; says whether it can be compiled from the file.
    """
    if artifact.target is None:
        return None
    cpu, features, vector_bytes = artifact.target
    if is_architecture(cpu):
        return cuda_target(cpu)
    from cnnc.runtime.jit.target import host_target, x86_target

    host = host_target()
    candidates = [host]
    if host.cpu.startswith("x86-64"):
        candidates += [x86_target(level) for width, level in _LEVELS.items() if width < host.vector_bytes]
    for target in candidates:
        wanted = [feature for feature in features.split(",") if feature]
        if target.cpu == cpu and target.vector_bytes == vector_bytes and set(wanted) <= set(target.features.split(",")):
            return Target(target.triple, target.cpu, ",".join(wanted), target.vector_bytes)
    has_graph = any(section.kind == "graph" for section in artifact.sections)
    raise ArtifactError(
        f"it is compiled for {cpu:.40} ({features or 'no extensions':.80}), this CPU is {host.cpu} "
        f"({host.features or 'no extensions'})",
        where=artifact.origin,
        hint="compile it for this CPU: cnnc compile takes the .cnnc file, which holds the graph"
        if has_graph
        else "compile the ONNX model on this machine",
    )
