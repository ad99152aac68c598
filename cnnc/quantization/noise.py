"""Noise: what quantization does to the results of layers, and what one layer does to the model's.

Rounding noise of different layers is nearly independent: noise *powers* add where layers are quantized together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cnnc.ir import Graph
from cnnc.observation.observed import Samples, compiled
from cnnc.observation.signal_to_noise import Power, first_batches
from cnnc.quantization.quantizer import Calibrated

LayerDone = Callable[[int, int], None]
"""Told how many layers are measured, of how many."""


def layer_noise(source: Graph, quantized: Graph, results: Mapping[str, str], samples: Samples) -> dict[str, float]:
    """Noise to signal of layers' results in a quantized graph. Noise of the layers before it counts for a layer.

    Args:
        quantized: made from ``source``, with any layers in float.
        results: by layer, name of the value to compare: what is stored as integers, if the layer is quantized.
        samples: the first ``SAMPLES`` of them count.
    """
    names = {name: f"{name}.restored" if quantized.has_value(f"{name}.restored") else name for name in results.values()}
    exact = compiled(source, list(names), level=1)
    noisy = compiled(quantized, list(names.values()), level=1)
    powers = {name: Power() for name in names}
    for batch in first_batches(samples()):
        wanted, got = exact.run(dict(batch)), noisy.run(dict(batch))
        for name, twin in names.items():
            powers[name].see(wanted[name], got[twin])
    return {layer: powers[name].ratio for layer, name in results.items()}


def noise_of_one_layer(
    calibrated: Calibrated,
    layers: Sequence[str],
    samples: Samples,
    *,
    seconds: float = math.inf,
    progress: LayerDone = lambda done, total: None,
) -> dict[str, float]:
    """Noise to signal of the model's results where one layer alone is quantized, by name of the layer's result.

    One layer is quantized, not one spared: the others' noise would drown what is asked for. Of several results the
    ratios are averaged.

    Source: Wu et al., Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation, 2020,
    section 6.1 (there by accuracy, which tells layers apart only on many more samples).

    Args:
        layers: the most suspicious first.
        samples: the first ``SAMPLES`` of them count.
        seconds: once so many have passed, layers that are left are taken to be as quiet as the quietest so far.
    """
    every = calibrated.stored_results
    batches = [dict(batch) for batch in first_batches(samples())]
    outputs = calibrated.source.output_names
    exact = [compiled(calibrated.source, level=1).run(batch) for batch in batches]
    noise: dict[str, float] = {}
    stop = time.perf_counter() + seconds
    for layer in layers:
        if noise and time.perf_counter() > stop:
            break
        others = {other: "one layer alone is quantized" for other in every if other != layer}
        model = compiled(calibrated.quantized(others).graph, level=1)
        powers = {name: Power() for name in outputs}
        for batch, wanted in zip(batches, exact, strict=True):
            for name, got in model.run(batch).items():
                powers[name].see(wanted[name], got)
        noise[layer] = float(np.mean([power.ratio for power in powers.values()]))
        progress(len(noise), len(layers))
    quietest = min(noise.values(), default=0.0)
    return {layer: noise.get(layer, quietest) for layer in layers}
