"""A backend: runs graphs node by node with the NumPy meaning of every op. ``cnnc run --target numpy`` uses it."""

from collections.abc import Mapping

from cnnc import interp, passes
from cnnc.ir import Array, Graph, Node
from cnnc.target_backend import BackendSettings, RunGraph, TargetBackend


class NumpyBackend(TargetBackend):
    """Slow, and right: what the reference interpreter computes."""

    def passes(self, level: int) -> tuple[passes.Pass, ...]:
        return passes.pipeline(0)[:-1]  # as imported, in plain layout: fused ops would only hide what is computed

    def refusal(self, node: Node) -> str | None:
        return None  # every op has a meaning

    def compile(self, graph: Graph, settings: BackendSettings) -> RunGraph:
        def run(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            return interp.run(graph, dict(feeds))

        return run
