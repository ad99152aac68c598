"""The ranges of activations on samples."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.ir import Graph, Value
from cnnc.observation.observed import Observed, Progress, Samples
from cnnc.quantization.ranges import Extremes, Histogram, Range, chosen_range, needs_histogram
from cnnc.quantization.settings import Settings


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
    observed = Observed(graph, names)
    extremes = {name: Extremes() for name in names}
    for count, arrays in enumerate(observed.batches(samples), start=1):
        for name, seen in extremes.items():
            seen.see(arrays[name], name)
        progress("extremes", count)
    histograms: dict[str, Histogram] = {}
    if needs_histogram(settings):
        histograms = {name: Histogram(seen.range) for name, seen in extremes.items()}
        for index, arrays in enumerate(observed.batches(samples), start=1):
            for name, histogram in histograms.items():
                histogram.see(arrays[name])
            progress("histograms", index)
    # The largest elements of a result are what it is read for: they are never cut off.
    results = {value.name for value in values if graph.is_output(value)}
    return {
        name: seen.range if name in results else chosen_range(seen, histograms.get(name), settings)
        for name, seen in extremes.items()
    }
