"""What a check finds: where, the measured fact, what it costs, and the next step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """``INFO``: worth knowing; ``WARNING``: costs time, bytes or accuracy that can be had back; ``ERROR``: results are
    wrong or no numbers."""

    INFO = 0
    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about one place of a model.

    Attributes:
        severity: see there.
        where: a node of the model, or a tensor.
        fact: what was measured, with numbers.
        cost: what it costs, predicted or measured.
        advice: the next step: a command of cnnc or a change of the source.
        origins: nodes of the source model that the place came from.
        seconds: predicted time that it costs in a run on one core; 0 where it costs none, or it is not known.
    """

    severity: Severity
    where: str
    fact: str
    cost: str
    advice: str
    origins: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check says of a model: its name, a line on what it looks for, its findings, the most severe first.

    ``skipped`` is the reason why it was not done, or "".
    """

    check: str
    about: str
    findings: tuple[Finding, ...]
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What all checks say.

    Attributes:
        results: in the order of the registry.
        predicted_seconds: of a run on one core, by the cost model; None where sizes do not fit the model.
        sizes: what was taken for open sizes, as text.
    """

    results: tuple[CheckResult, ...]
    predicted_seconds: float | None
    sizes: str

    @property
    def findings(self) -> Iterator[tuple[str, Finding]]:
        """(check, finding), check by check."""
        return ((result.check, finding) for result in self.results for finding in result.findings)

    def worst(self) -> Severity | None:
        """The highest severity; None where nothing was found."""
        return max((finding.severity for _, finding in self.findings), default=None)
