"""Runs a model over samples and looks at its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from cnnc.compiler import CompiledModel, compile_graph
from cnnc.compiler import Options as CompileOptions
from cnnc.errors import InputError
from cnnc.ir import Array, Graph, Value
from cnnc.ir.clone import clone_graph
from cnnc.quantization.ranges import Extremes, Histogram, Range, chosen_range, needs_histogram
from cnnc.quantization.settings import Settings

Samples = Callable[[], Iterable[Mapping[str, Array]]]
"""Gives the batches anew each time: one array for every input."""

Progress = Callable[[str, int], None]
"""Told of the pass under way and of the batches done."""


def activation_ranges(
    graph: Graph,
    values: Sequence[Value],
    samples: Samples,
    settings: Settings,
    progress: Progress = lambda what, done: None,
) -> dict[str, Range]:
    """The range of each value, by name.

    Raises:
        InputError: there are no samples, or they do not fit the model's inputs.
        ModelError: a tensor is infinite or NaN on the samples.
    """
    names = [value.name for value in values]
    model = _observed(graph, names)
    extremes = {name: Extremes() for name in names}
    count = 0
    for batch in samples():
        arrays = _run(model, batch, names)
        for name, seen in extremes.items():
            seen.see(arrays[name], name)
        count += 1
        progress("extremes", count)
    if not count:
        raise InputError("there are no samples to calibrate on", hint="give at least one batch")
    histograms: dict[str, Histogram] = {}
    if needs_histogram(settings):
        histograms = {name: Histogram(seen.range) for name, seen in extremes.items()}
        for index, batch in enumerate(samples(), start=1):
            arrays = _run(model, batch, names)
            for name, histogram in histograms.items():
                histogram.see(arrays[name])
            progress("histograms", index)
    # The largest elements of a result are what it is read for: they are never cut off.
    results = {value.name for value in values if graph.is_output(value)}
    return {
        name: seen.range if name in results else chosen_range(seen, histograms.get(name), settings)
        for name, seen in extremes.items()
    }


def _observed(graph: Graph, names: Sequence[str]) -> CompiledModel:
    """The model with these values as outputs. Graph inputs are seen as they are fed."""
    graph = clone_graph(graph)
    inner = [name for name in names if graph.value(name).producer is not None]
    graph.set_outputs([graph.value(name) for name in inner], inner)
    graph.stage = "imported"
    return compile_graph(graph, CompileOptions(1))


def _run(model: CompiledModel, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    return {**{name: array for name, array in batch.items() if name in names}, **model.run(dict(batch))}
