"""What makes a compiled model wrong, slow, or a command fail: the pass, the rewrite, or the layer's kernel.

    from cnnc.bisection import bisect_results

    finding = bisect_results("model.onnx", {"x": image})
    print(finding.what)

See docs/bisect.md.
"""

from __future__ import annotations

from cnnc.bisection.api import bisect_command, bisect_results, bisect_time
from cnnc.bisection.finding import Finding, GuiltyKernel, GuiltyPass, Judgement, Step
from cnnc.bisection.judges import CommandJudge, ResultJudge, SlowJudge
from cnnc.bisection.search import Verdict, first_bad

__all__ = [
    "CommandJudge",
    "Finding",
    "GuiltyKernel",
    "GuiltyPass",
    "Judgement",
    "ResultJudge",
    "SlowJudge",
    "Step",
    "Verdict",
    "bisect_command",
    "bisect_results",
    "bisect_time",
    "first_bad",
]
