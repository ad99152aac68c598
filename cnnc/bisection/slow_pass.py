"""Which pass costs the most time, where later passes gain more than it loses: measured behind each one."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.bisection.finding import Judgement
from cnnc.bisection.judges import SlowJudge, judged_ratios
from cnnc.bisection.partial_pipeline import PassSpan, Point
from cnnc.bisection.search import Verdict
from cnnc.bisection.trial import Trial


def dearest_span(trial: Trial, judge: SlowJudge, spans: Sequence[PassSpan]) -> int | None:
    """Index of the pass behind which the model takes the largest multiple of its time before; None if none costs time.

    All states are measured in the same rounds. The judge then measures beside the states before and after that pass.
    """
    models = [trial.compiled(Point(0)), *(trial.compiled(Point(span.index + 1)) for span in spans)]
    rounds = judge.rounds(*models)
    worst, found = 1.0, None
    for index, span in enumerate(spans):
        ratios = [times[index + 1] / times[index] for times in rounds]
        verdict = judged_ratios([ratio / (1 + judge.margin) for ratio in ratios])
        ratio = sorted(ratios)[len(ratios) // 2]
        what = f"pass {span.name} ({span.index + 1} of {len(trial.pipeline.passes)}), against the state before it"
        trial.log(what, Judgement(verdict, f"takes {ratio:.2f} of its time, {len(rounds)} rounds"))
        if verdict is Verdict.BAD and ratio > worst:
            worst, found = ratio, index
    if found is not None:
        judge.measure_beside(models[found], models[found + 1])
    return found
