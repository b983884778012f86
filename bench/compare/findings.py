"""What a comparison found: a finding per row and figure, and what they say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.compare.evidence import Evidence, Judged
from bench.compare.measures import Figure
from bench.compare.side import Place
from bench.compare.tolerance import Tolerance

Status = Literal["worse", "better", "same", "not comparable", "missing", "new"]

STATUSES: Mapping[Status, str] = {
    "worse": "changed for the worse by more than is allowed and by more than chance does",
    "missing": "BASE has it and NEW does not",
    "not comparable": "measured under other conditions, so that a difference would say nothing",
    "better": "changed for the better by more than the tolerance and by more than chance does",
    "same": "no change beyond the tolerance and beyond chance",
    "new": "NEW has it and BASE does not; nothing to compare",
}
"""What each status means, gravest first."""

STATUS = "status"
"""The figure of a finding about the row as a whole: that it is there, and was completed."""


@dataclass(frozen=True)
class AttackShift:
    """One attack's AUC on both boards; shown, and no gate of its own.

    Attributes:
        name: of the attack.
        base, new: AUC, mean over training runs.
        low, high: 95 % interval of NEW - BASE, not adjusted for other comparisons.
    """

    name: str
    base: float
    new: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """What became of one figure of one row.

    Attributes:
        row: the row in NEW, or in BASE where NEW lacks it.
        base_row: the row of BASE that it was matched with, or None.
        figure: the figure's name, or ``status``; one that several groups of attacks have says which.
        status: one of ``STATUSES``.
        reason: why, in words; empty where the figures say it.
        base, new: the figures; None where there is none.
        judged: interval and p-values, where runs or records give them.
        limit: allowed change in the bad direction, in the figure's own unit.
        detectable: the smallest change for the worse that these runs and records could have shown, were no other figure
            changed; about half of all changes of that size are found.
        p: one-sided p-value in the direction of the difference, Holm-adjusted over the whole comparison.
        evidence: figures of each training run.
        attacks: each attack of the row, beside its worst one.
        kind: direction and form of the figure; None for ``status``.
    """

    row: Place
    base_row: Place | None
    figure: str
    status: Status
    reason: str = ""
    base: float | None = None
    new: float | None = None
    judged: Judged | None = None
    limit: float | None = None
    detectable: float | None = None
    p: float | None = None
    evidence: Evidence | None = None
    attacks: tuple[AttackShift, ...] = ()
    kind: Figure | None = None

    @property
    def difference(self) -> float | None:
        """NEW less BASE, where both have the figure."""
        if self.evidence is not None:
            return self.evidence.difference
        return None if self.base is None or self.new is None else self.new - self.base


@dataclass(frozen=True)
class Comparison:
    """Everything that was found.

    Attributes:
        base_name, new_name: the boards as they were named.
        findings: gravest status first, then in the order of the rows of NEW.
        tolerances: what was compared, and how much was allowed.
        default: whether the tolerances are those of no ``--fail-on``.
        notes: what holds of the whole comparison and must stand at the top of every output.
    """

    base_name: str
    new_name: str
    findings: tuple[Finding, ...]
    tolerances: tuple[Tolerance, ...]
    default: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def counts(self) -> dict[Status, int]:
        """How many findings have each status, gravest first."""
        seen = Counter(finding.status for finding in self.findings)
        return {status: seen[status] for status in STATUSES}

    @property
    def judged(self) -> bool:
        """Whether any figure was: that a row is there, and that no run of it died, says nothing of how it defends."""
        named = {tolerance.figure.name for tolerance in self.tolerances if tolerance.named}
        return any(
            finding.status in ("same", "better")
            and finding.kind is not None
            and (finding.kind.source != "count" or finding.kind.name in named)
            for finding in self.findings
        )

    @property
    def exit_code(self) -> int:
        """0 nothing worse, 1 something worse, 3 something not judged or nothing compared; 1 wins over 3."""
        n = self.counts
        if n["worse"]:
            return 1
        return 3 if n["missing"] or n["not comparable"] or not self.judged else 0
