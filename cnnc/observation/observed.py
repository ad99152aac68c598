"""Runs a model over samples and looks at its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from cnnc.compiler import CompiledModel, compile_graph
from cnnc.errors import InputError
from cnnc.ir import Array, Graph
from cnnc.ir.clone import clone_graph
from cnnc.options import Options

Samples = Callable[[], Iterable[Mapping[str, Array]]]
"""Gives the batches anew each time: one array for every input."""

Progress = Callable[[str, int], None]
"""Told of the pass under way and of the batches done."""


def compiled(graph: Graph, outputs: Sequence[str] | None = None, *, level: int = 2) -> CompiledModel:
    """A graph of any stage but the last, as a program; it stays as it is.

    Args:
        outputs: names of the values to give; None: the graph's outputs.
        level: with 1, sums are those of float64, rounded once.
    """
    graph = clone_graph(graph)
    if outputs is not None:
        graph.set_outputs([graph.value(name) for name in outputs], list(outputs))
    graph.stage = "imported"
    return compile_graph(graph, Options(level))


def kept(samples: Iterable[Mapping[str, Array]]) -> Samples:
    """Batches that are in memory from now on, to be given as often as asked for."""
    batches = list(samples)
    return lambda: batches


def checked(samples: Samples) -> Iterator[Mapping[str, Array]]:
    """The batches.

    Raises:
        InputError: there are none, or what there is is none.
    """
    seen = False
    for batch in samples():
        if not isinstance(batch, Mapping):
            what = f"a batch is {type(batch).__name__}, not a mapping from names of inputs to arrays"
            raise InputError(what, where="samples", hint='give batches such as {"input": array}')
        seen = seen or all(np.size(array) for array in batch.values())
        yield batch
    if not seen:
        hint = "give at least one; a function must give them anew each time that it is called"
        raise InputError("there are no samples to calibrate on", where="samples", hint=hint)


class Observed:
    """A float model whose inner values can be looked at."""

    def __init__(self, graph: Graph, names: Sequence[str]) -> None:
        """Compile ``graph``, which stays as it is, to give the values of these names."""
        self.names = names
        inner = [name for name in names if graph.value(name).producer is not None]
        self.model = compiled(graph, inner, level=1)

    def batches(self, samples: Samples) -> Iterator[dict[str, Array]]:
        """The values on each batch. Graph inputs are given as they are fed.

        Raises:
            InputError: there are no samples, or they do not fit the model's inputs.
        """
        for batch in checked(samples):
            fed = {name: array for name, array in batch.items() if name in self.names}
            yield {**fed, **self.model.run(dict(batch))}
