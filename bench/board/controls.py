"""Controls: attacks whose answer is known beforehand, and what it means when they read something else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bench.board.attack_rows import AttackRow
from bench.metrics.intervals import PrivacySummary

NULL_Z = 3.2905267314919255  # two-sided .001 of the normal distribution


def null_limits(members: int, nonmembers: int) -> tuple[float, float]:
    """Where the AUC of a score without information lies in 999 of 1,000 cases.

    Mann and Whitney's null variance (Ann. Math. Stat. 1947), (m + n + 1) / (12 m n), exact without ties. It
    holds for one run; a mean over seeds lies closer to .5 or, where the seeds share their scores, as far
    away.
    """
    reach = NULL_Z * math.sqrt((members + nonmembers + 1) / (12 * members * nonmembers))
    return 0.5 - reach, 0.5 + reach


@dataclass(frozen=True)
class Expectation:
    """What a control must read.

    Attributes:
        words: for a table.
        problem: what is wrong, in words, or an empty string.
    """

    words: str
    problem: Callable[[PrivacySummary], str]


def _constant(s: PrivacySummary) -> str:
    if s.auc == 0.5 and math.isclose(s.accuracy, s.accuracy_chance, rel_tol=0, abs_tol=1e-12):
        return ""
    return f"expected AUC .5 and accuracy {s.accuracy_chance:.4f}, got {s.auc!r} and {s.accuracy:.4f}"


def _oracle(s: PrivacySummary) -> str:
    return "" if s.auc == 1 and s.accuracy == 1 else f"expected AUC 1 and accuracy 1, got {s.auc!r} and {s.accuracy!r}"


def _random(s: PrivacySummary) -> str:
    low, high = null_limits(s.members, s.nonmembers)
    return "" if low <= s.auc <= high else f"expected an AUC from {low:.3f} to {high:.3f}, got {s.auc:.3f}"


EXPECTED = {
    "constant": Expectation("AUC .5 and accuracy at chance, exactly", _constant),
    "oracle": Expectation("AUC 1 and accuracy 1, exactly", _oracle),
    "random": Expectation("AUC .5 within what chance does (p > .001)", _random),
    "blind": Expectation("AUC near .5 (permutation p from .001), else the split itself differs", lambda s: ""),
}
"""Control's name -> its expectation. A control that is not listed is shown without one."""


def name_of(attack: str) -> str:
    """The plugin's name in a label: what stands before its options.

    >>> name_of("blind(folds=3)")
    'blind'
    """
    return attack.split("(", 1)[0]


def permutation_p(row: AttackRow) -> list[float]:
    """What a control's own permutation test says, a p-value per seed; empty for controls without one."""
    return [cell.diagnostics["permutation_p"] for cell in row.completed if "permutation_p" in cell.diagnostics]


def problem(row: AttackRow) -> str:
    """What a control read that it must not, or an empty string; also for rows that were not completed."""
    expected = EXPECTED.get(name_of(row.attack))
    if not row.control or row.summary is None or expected is None:
        return ""
    found = expected.problem(row.summary)
    return f"{row.attack}: {found}." if found else ""
