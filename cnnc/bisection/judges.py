"""Who says whether a compiled model is good: its results, a command, or a stopwatch."""

from __future__ import annotations

import math
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cnnc import interp
from cnnc.bisection.finding import Judgement
from cnnc.bisection.search import Verdict
from cnnc.cli.accuracy import QUANTIZED_OPS, check_output, errors_of, limits_by_output
from cnnc.errors import OptionError
from cnnc.ir import Array, Graph
from cnnc.sample_inputs import sample_inputs

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel
    from cnnc.tuning import Stopwatch

CONFIDENCE = 0.01
"""A stopwatch's verdict could be chance in at most this share of cases."""
MARGIN = 0.03
"""What is slower by less counts as equally fast."""
_UNTESTABLE, _HIGHEST_FAILURE = 125, 127
"""Exit codes of commands as ``git bisect run`` reads them."""


class Judge(Protocol):
    """Says whether a compiled model is good."""

    def model(self, compiled: CompiledModel) -> Judgement:
        """The verdict on a program."""


class ResultJudge:
    """Compares results with a reference.

    Args:
        source: the imported graph.
        feeds: an array for each input; seeded random ones by default.
        reference: the right results by output name; by default those of the interpreter on ``source``, in float64
            unless the model computes in integers.
        limit: the largest error that is good, see ``cnnc.cli.accuracy``; by default the limit of ``level``, or a
            multiple of what the interpreter's float32 is off by where that is more.
        level: optimisation level that is judged.
    """

    def __init__(
        self,
        source: Graph,
        feeds: Mapping[str, Array] | None = None,
        reference: Mapping[str, Array] | None = None,
        limit: float | None = None,
        level: int = 2,
    ) -> None:
        self.feeds = dict(feeds) if feeds is not None else sample_inputs(source)
        self.is_quantized = any(node.op in QUANTIZED_OPS for node in source.nodes)
        own = interp.run(source, self.feeds)
        known = reference if reference is not None else self._evaluated(source)
        missing = [name for name in own if name not in known]
        if missing:
            raise OptionError(f"the reference lacks output {missing[0]!r}", hint="give an array for each output")
        self.reference = {name: known[name] for name in own}
        errors = {
            name: errors_of(array, self.reference[name])[0] if array.shape == self.reference[name].shape else 0.0
            for name, array in own.items()
        }
        if reference is not None:
            # A reference of the user's own may contradict the graph itself: that is a fault to be found.
            errors = dict.fromkeys(errors, 0.0)
        self.limits = dict.fromkeys(errors, limit) if limit is not None else limits_by_output(level, errors)

    def model(self, compiled: CompiledModel) -> Judgement:
        """Of a program's results."""
        return self._judged(compiled.run(self.feeds))

    def graph(self, graph: Graph) -> Judgement:
        """Of a graph's results on the interpreter: no kernel takes part."""
        return self._judged(self._evaluated(graph))

    def _evaluated(self, graph: Graph) -> dict[str, Array]:
        return interp.run(graph, self.feeds, float64=not self.is_quantized)

    def _judged(self, results: Mapping[str, Array]) -> Judgement:
        worst = 0.0
        for name, expected in self.reference.items():
            limit = self.limits[name]
            check = check_output(name, results[name], expected, limit, quantized=self.is_quantized)
            if check.problem:
                return Judgement(Verdict.BAD, f"{name}: {check.problem}")
            worst = max(worst, check.max_error or 0.0)
        return Judgement(Verdict.GOOD, f"error {worst:.1e}")


class CommandJudge:
    """Runs a command on the compiled model.

    Args:
        command: words with ``{model}`` where the path of the ``.cnnc`` file is to stand. It ends with 0 for good, with
            125 for what it cannot judge, with another code up to 127 for bad, as for ``git bisect run``.

    Raises:
        OptionError: the command does not name ``{model}``, or cannot be read.
    """

    def __init__(self, command: str) -> None:
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise OptionError(f"it cannot be read: {error}", where="--command", hint="close the quotes") from error
        if not any("{model}" in word for word in self.words):
            raise OptionError("it does not name {model}", where="--command", hint="write 'script {model}'")

    def model(self, compiled: CompiledModel) -> Judgement:
        """By the command's exit code.

        Raises:
            OptionError: there is no such command, or it was killed, or ended with a code above 127.
        """
        with tempfile.TemporaryDirectory(prefix="cnnc-bisect-") as folder:
            path = Path(folder) / "model.cnnc"
            compiled.save(path)
            words = [word.replace("{model}", str(path)) for word in self.words]
            try:
                code = subprocess.run(
                    words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
                ).returncode
            except OSError as error:
                raise OptionError(f"{words[0]} does not run: {error.strerror}", where="--command") from error
        if code == _UNTESTABLE:
            return Judgement(Verdict.UNKNOWN, f"exit code {code}")
        if not 0 <= code <= _HIGHEST_FAILURE:
            what = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            raise OptionError(f"the command {what}", where="--command", hint="end with 0 for good, 1 to 127 for bad")
        return Judgement(Verdict.BAD if code else Verdict.GOOD, f"exit code {code}")


class SlowJudge:
    """Measures a model beside a fast and a slow one, in turns, and says which of them it is as.

    In each round all run once or a few times, one after the other, so that all see the same state of the machine. A
    model is bad where it takes more than the geometric mean of the two others' times, in so many rounds that chance
    would do it with a probability of at most ``CONFIDENCE`` (sign test); good where it takes less in as many.
    Otherwise it cannot be judged.
    """

    def __init__(self, stopwatch: Stopwatch, margin: float = MARGIN) -> None:
        self.stopwatch = stopwatch
        self.margin = margin
        self._ends: tuple[CompiledModel, CompiledModel] | None = None

    def is_slower(self, fast: CompiledModel, slow: CompiledModel) -> Judgement:
        """BAD where ``slow`` takes longer by more than the margin; then others are measured beside these two."""
        rounds = self.rounds(fast, slow)
        judgement = judged_ratios([after / (before * (1 + self.margin)) for before, after in rounds])
        if judgement is Verdict.BAD:
            self._ends = fast, slow
        ratio = _median([after / before for before, after in rounds])
        return Judgement(judgement, f"takes {ratio:.2f} of the other's time, {len(rounds)} rounds")

    def model(self, compiled: CompiledModel) -> Judgement:
        """Beside the two ends."""
        assert self._ends is not None
        rounds = self.rounds(*self._ends, compiled)
        verdict = judged_ratios([time / math.sqrt(fast * slow) for fast, slow, time in rounds])
        ratio = _median([time / fast for fast, _, time in rounds])
        return Judgement(verdict, f"takes {ratio:.2f} of the fast one's time, {len(rounds)} rounds")

    def measure_beside(self, fast: CompiledModel, slow: CompiledModel) -> None:
        """Take these as the ends that ``model`` measures beside."""
        self._ends = fast, slow

    def rounds(self, *models: CompiledModel) -> list[list[float]]:
        """Seconds of each model, one list a round: see ``Stopwatch.model_rounds``."""
        self.stopwatch.compile(variant for model in models for variant in model.lowered.program.variants())
        return self.stopwatch.model_rounds([model.lowered for model in models])


def judged_ratios(ratios: Sequence[float]) -> Verdict:
    """BAD where ratios are above 1, GOOD where below, each with ``CONFIDENCE`` by the sign test."""
    above = sum(ratio > 1 for ratio in ratios)
    for verdict, count in ((Verdict.BAD, above), (Verdict.GOOD, len(ratios) - above)):
        if chance_of(count, len(ratios)) <= CONFIDENCE:
            return verdict
    return Verdict.UNKNOWN


def chance_of(heads: int, tosses: int) -> float:
    """Probability of at least so many heads."""
    return float(sum(math.comb(tosses, count) for count in range(heads, tosses + 1)) / 2**tosses)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
