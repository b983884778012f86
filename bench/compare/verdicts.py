"""Better, worse or the same: beyond the tolerance *and* beyond chance, over all tests of the comparison at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.compare.evidence import Evidence, Judged, judge, least_difference
from bench.compare.findings import AttackShift, Finding, Status
from bench.compare.measures import Figure
from bench.compare.side import Place
from bench.compare.tolerance import Tolerance
from bench.metrics.intervals import ALPHA
from bench.metrics.ranks import holm


@dataclass(frozen=True)
class Test:
    """A figure of a row that waits for its verdict.

    Attributes:
        row, base_row: in NEW and in BASE.
        name: the figure's name as shown.
        tolerance: the figure, and how much worse it may get.
        evidence: the runs of both boards.
        attacks: for the leak, each attack by itself.
        note: said beside the verdict.
    """

    __test__ = False  # to pytest it is no test

    row: Place
    base_row: Place
    name: str
    tolerance: Tolerance
    evidence: Evidence
    attacks: tuple[tuple[str, Evidence], ...] = ()
    note: str = ""


def verdicts(tests: Sequence[Test], alpha: float = ALPHA) -> list[Finding]:
    """A finding per test.

    All tests are Holm-adjusted together, one-sided at ``alpha`` for "worse", and again for "better": the chance that
    an unchanged defense is called worse anywhere is ``alpha``, whatever the number of rows.
    """
    judged = [judge(test.evidence, test.tolerance.figure) for test in tests]
    p_worse = holm(np.array([_p(j, t, +1) for j, t in zip(judged, tests, strict=True)], dtype=np.float64))
    p_better = holm(np.array([_p(j, t, -1) for j, t in zip(judged, tests, strict=True)], dtype=np.float64))
    return [
        _finding(test, j, float(worse), float(better), alpha, len(tests))
        for test, j, worse, better in zip(tests, judged, p_worse, p_better, strict=True)
    ]


def _p(judged: Judged, test: Test, way: int) -> float:
    """The p-value of a change in the bad direction (``way`` 1) or the good one (-1)."""
    return judged.p_rise if way * test.tolerance.figure.sign > 0 else judged.p_fall


def _finding(test: Test, judged: Judged, worse: float, better: float, alpha: float, tests: int) -> Finding:
    evidence, figure = test.evidence, test.tolerance.figure
    limit = test.tolerance.limit(evidence.base)
    lost = figure.sign * evidence.difference
    status: Status = "same"
    if lost > limit and worse < alpha:
        status = "worse"
    elif -lost > limit and better < alpha:
        status = "better"
    return Finding(
        row=test.row,
        base_row=test.base_row,
        figure=test.name,
        status=status,
        reason=test.note,
        base=evidence.base,
        new=evidence.new,
        judged=judged,
        limit=limit,
        detectable=max(limit, least_difference(evidence, figure, alpha / tests)),
        p=worse if lost >= 0 else better,
        evidence=evidence,
        attacks=tuple(_shift(name, each, figure) for name, each in test.attacks),
        kind=figure,
    )


def _shift(name: str, evidence: Evidence, figure: Figure) -> AttackShift:
    judged = judge(evidence, figure)
    return AttackShift(name, evidence.base, evidence.new, judged.low, judged.high)


def exact_finding(
    row: Place, base_row: Place, tolerance: Tolerance, base: float, new: float, note: str = ""
) -> Finding:
    """The verdict on figures that are compared as they are: counts of runs, and privacy claims."""
    limit = tolerance.limit(base)
    lost = tolerance.figure.sign * (new - base)
    edge = limit + 1e-12 * max(abs(base), abs(new))  # a difference of the size of the tolerance is allowed
    status: Status = "worse" if lost > edge else "better" if -lost > edge else "same"
    return Finding(row, base_row, tolerance.figure.name, status, note, base, new, limit=limit, kind=tolerance.figure)
