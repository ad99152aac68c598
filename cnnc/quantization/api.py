"""``cnnc.quantize``: calibrates a model, and quantizes all layers or those that an accuracy budget leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from cnnc.compiler import Model
from cnnc.errors import OptionError
from cnnc.ir import Array
from cnnc.observation.evaluation import Evaluation
from cnnc.observation.observed import Progress, kept
from cnnc.quantization.mixed_precision import quantize_within
from cnnc.quantization.quantizer import Quantized, calibrate
from cnnc.quantization.settings import Settings


def quantize(
    model: Model,
    samples: Iterable[Mapping[str, Array]] | Callable[[], Iterable[Mapping[str, Array]]],
    settings: Settings | None = None,
    *,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    evaluation: Evaluation | None = None,
    max_drop: float | None = None,
    threads: int | None = None,
    progress: Progress = lambda what, done: None,
) -> Quantized:
    """Quantize a model: unsigned bytes for activations, signed bytes for weights, 32 bits for biases.

    With a budget, layers stay in float until the accuracy falls by no more than that and the model is fastest on this
    machine; it is never slower than the float model, which may mean that nothing is quantized. ``quantize_within``
    also tells what was measured.

    Args:
        model, shapes: as for ``cnnc.compile``; a ``Graph`` stays as it is.
        samples: batches to calibrate on: one array for every input. A function gives them anew each time; other
            iterables are kept in memory.
        settings: see ``Settings``.
        evaluation: what accuracy is: an array for every input, samples along axis 0, with ``labels`` for top-1 and
            without for agreement with the float model; or a function of a function that runs a model, which returns a
            score that is better the larger it is.
        max_drop: the budget, in units of the score: 0.005 of top-1 is half a point. None: all layers are quantized.
        threads: most threads of the runs that are timed; None for all that the process may use.
        progress: told of the pass under way and the batches done.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model; a tensor that is infinite or NaN on the samples.
        InputError: there are no samples, or they do not fit the inputs; so for the evaluation, or its labels say that
            the float model does no better than guessing.
        OptionError: only one of ``evaluation`` and ``max_drop`` is given, or the budget makes no sense.
    """
    if (evaluation is None) != (max_drop is None):
        raise OptionError("a budget and what it is measured on go together", hint="give evaluation and max_drop")
    again = samples if callable(samples) else kept(samples)
    calibrated = calibrate(model, again, settings, shapes=shapes, progress=progress)
    if evaluation is None or max_drop is None:
        return calibrated.quantized()
    return quantize_within(calibrated, again, evaluation, max_drop, threads=threads, progress=progress).quantized
