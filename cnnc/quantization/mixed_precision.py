"""Mixed precision: the fastest model whose accuracy falls by no more than a budget.

1. Both programs, float and integer, are profiled, and the choice of layers that is fastest by these times is found
   (``assignment``). Layers whose integer form is slower, conversions included, stay in float.
2. If that choice exceeds the budget, the noise of every layer is measured by quantizing it alone (``noise``). The price
   of noise rises, and layers leave the integers that bring little time for much noise, until the drop is within the
   budget: a bisection over the price, in which every choice that it comes to is scored.
3. The choices within the budget are timed as whole programs, in turns with the float program. One that is not faster in
   most rounds is not taken: the result is never slower than the float program.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from cnnc.errors import InputError, OptionError
from cnnc.observation.evaluation import Evaluation, Score, checked_score, score_of
from cnnc.observation.observed import Progress, Samples, compiled
from cnnc.observation.signal_to_noise import decibels
from cnnc.quantization.assignment import Problem
from cnnc.quantization.layer_times import LayerTimes, layer_times
from cnnc.quantization.neighbours import links
from cnnc.quantization.noise import layer_noise, noise_of_one_layer
from cnnc.quantization.quantizer import Calibrated, Quantized
from cnnc.runtime.jit.target import host_target
from cnnc.tuning import KernelStopwatch
from cnnc.tuning.search import fastest

NOISE_SECONDS = 300.0
"""The noise of single layers is measured for so long at most."""

BISECTIONS = 12
"""Prices lie within a factor of 10^8 or so: more steps seldom come to another choice."""

FLOAT32, ALL_INT8 = "float32", "all int8"

Layers = frozenset[str]
"""Layers in float, by name of their result."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """The fastest model within a budget, and what was measured on the way.

    Attributes:
        quantized: the model.
        chosen: which of ``seconds`` it is.
        seconds: of the choices within the budget, medians of whole runs with one sample: "float32", "mixed", perhaps
            "mixed by accuracy" (without the layers that are in float for time's sake) and "all int8".
        scores: the same choices, and "all int8" in any case.
        times: of each layer.
        noise: noise to signal of the model's results where one layer alone is quantized; empty where the fastest
            choice is within the budget, so that nobody asked.
    """

    quantized: Quantized
    chosen: str
    seconds: Mapping[str, float]
    scores: Mapping[str, float]
    times: LayerTimes
    noise: Mapping[str, float]


@dataclass
class _Judge:
    """Scores choices of layers, each once."""

    calibrated: Calibrated
    score: Score
    known: dict[Layers, float] = field(default_factory=dict)

    def __call__(self, in_float: Layers) -> float:
        if in_float not in self.known:
            graph = self.calibrated.quantized(dict.fromkeys(in_float, "tried in float")).graph
            self.known[in_float] = checked_score(self.score, compiled(graph).run)
        return self.known[in_float]


def quantize_within(
    calibrated: Calibrated,
    samples: Samples,
    evaluation: Evaluation,
    max_drop: float,
    *,
    threads: int | None = None,
    progress: Progress = lambda what, done: None,
) -> Mixed:
    """The fastest choice of layers on integers whose score is at most ``max_drop`` below the float model's.

    Args:
        samples: calibration data, on which noise is measured.
        evaluation: see ``evaluation.Evaluation``.
        max_drop: in units of the score: 0.005 of top-1 is half a point.
        threads: most threads of the runs that are timed; None for all that the process may use.
        progress: told what is measured, and how much of it is done.

    Raises:
        OptionError: the budget makes no sense.
        InputError: the evaluation does not fit the model, or typical sizes are none for it.
    """
    if not 0 <= max_drop < math.inf:
        raise OptionError(f"a budget of {max_drop} is no drop", where="max_drop", hint="give 0.005 for half a point")
    exact = compiled(calibrated.exact).run
    judge = _Judge(calibrated, score_of(evaluation, calibrated.exact, exact))
    every = frozenset(calibrated.stored_results)
    float_score = judge.known[every] = checked_score(judge.score, exact)
    if 0 <= float_score <= max_drop:
        raise InputError(
            f"the float model scores {float_score:.4f}: any model is within a drop of {max_drop:g} of that",
            where="the evaluation",
            hint="check the evaluation data, or give a smaller budget",
        )
    least = float_score - max_drop - 1e-12
    progress("times of layers", 0)
    tensors = links(calibrated.source, calibrated.placement.chosen)
    times = layer_times(calibrated, tensors, threads=threads)
    noise: Mapping[str, float] = {}
    fast = chosen = Problem(times, tensors, noise).cheapest(0)
    if judge(fast) < least:
        noise = _noise(calibrated, samples, progress)
        chosen = _cheapest_within(Problem(times, tensors, noise), judge, least, progress)
    ways = {FLOAT32: every, "mixed": chosen, "mixed by accuracy": chosen - fast, ALL_INT8: frozenset[str]()}
    within: dict[str, Layers] = {}
    for name, in_float in ways.items():
        if in_float not in within.values() and judge(in_float) >= least:
            within[name if in_float else ALL_INT8] = in_float
    progress("whole programs", len(within))
    seconds, best = _race(calibrated, within, threads)
    return Mixed(
        calibrated.quantized(_reasons(within[best], fast, every, times, noise)),
        best,
        seconds,
        {name: judge(in_float) for name, in_float in {**within, ALL_INT8: frozenset[str]()}.items()},
        times,
        noise,
    )


def _noise(calibrated: Calibrated, samples: Samples, progress: Progress) -> Mapping[str, float]:
    """Of each layer alone; layers whose results are noisiest with all on integers come first, should time run out."""
    integers = calibrated.quantized().graph
    together = layer_noise(calibrated.source, integers, calibrated.stored_results, samples)
    return noise_of_one_layer(
        calibrated,
        sorted(together, key=together.__getitem__, reverse=True),
        samples,
        seconds=NOISE_SECONDS,
        progress=lambda done, total: progress(f"noise of {total} layers", done),
    )


def _cheapest_within(problem: Problem, judge: _Judge, least: float, progress: Progress) -> Layers:
    """The choice of the lowest price of noise that scores at least ``least``; all noisy layers in float always do."""
    noisy = [noise for noise in problem.noise.values() if noise > 0]
    total = sum(problem.times.floats.values()) + sum(problem.times.integers.values())
    if not noisy or not total > 0:
        return frozenset(problem.times.floats)
    # Below the first price nothing is worth a layer's time, above the second no layer is worth its noise.
    low, high = math.log(1e-4 * total / sum(noisy)), math.log(2 * total / min(noisy))
    below, within = problem.cheapest(math.exp(low)), frozenset(problem.times.floats)
    for step in range(BISECTIONS):
        middle = (low + high) / 2
        choice = problem.cheapest(math.exp(middle))
        progress("choices of layers", step + 1)
        if judge(choice) >= least:
            high, within = middle, choice
        else:
            low, below = middle, choice
        if below == within:
            break
    return within


def _race(calibrated: Calibrated, ways: Mapping[str, Layers], threads: int | None) -> tuple[dict[str, float], str]:
    """Seconds of each way as a whole program, and the fastest; the first one, float, unless another clearly wins."""
    programs = [
        compiled(calibrated.quantized(dict.fromkeys(in_float, "in float")).graph).lowered for in_float in ways.values()
    ]
    stopwatch = KernelStopwatch(host_target(), threads=threads)
    stopwatch.compile(variant for program in programs for variant in program.program.variants())
    rounds = stopwatch.model_rounds(programs)
    medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
    names = list(ways)
    return dict(zip(names, medians, strict=True)), names[fastest(rounds, margin=0.0)]


def _reasons(
    in_float: Layers, fast: Layers, every: Layers, times: LayerTimes, noise: Mapping[str, float]
) -> dict[str, str]:
    """Why each layer is in float."""
    if in_float == every:
        return dict.fromkeys(every, "the float program is the fastest within the budget")
    reasons = {}
    for layer in in_float:
        if layer in fast:
            took = f"{times.floats[layer] * 1e6:.1f} us, {times.integers[layer] * 1e6:.1f} on integers"
            reasons[layer] = f"with its neighbours faster in float: {took}"
        else:
            reasons[layer] = f"costs accuracy: alone it leaves {decibels(noise.get(layer, 0.0)):.1f} dB of the result"
    return reasons
