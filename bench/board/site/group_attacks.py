"""The attacks on a trial group, as its page shows them."""

from __future__ import annotations

from typing import Any

from bench.board import words
from bench.board.attack_rows import AttackRow
from bench.board.rows import Row
from bench.board.site.row_view import flag_view
from bench.board.words import EMPTY, number
from bench.metrics.roc import MIN_FALSE_POSITIVES, measurable
from bench.results import Results


def attack_view(row: AttackRow, results: Results) -> dict[str, Any]:
    """A completed attack: both intervals, and the low-FPR points with the rate that was realised."""
    s = row.summary
    assert s is not None
    return {
        **_names(row, results),
        "auc": number(s.auc),
        "records": words.interval(s.auc_low, s.auc_high) or EMPTY,
        "runs": words.interval(s.auc_seed_low, s.auc_seed_high) or EMPTY,
        "low": [
            (number(s.tpr_at_1pct_fpr), _at(s.realised_fpr_at_1pct, 4)),
            (number(s.tpr_at_0_1pct_fpr), _at(s.realised_fpr_at_0_1pct, 5)),
        ],
        "accuracy": number(s.accuracy),
        "chance": number(s.accuracy_chance),
        "bound": number(row.audit.lower_bound if row.audit else None, 2),
        "judged": f"{s.members:,} + {s.nonmembers:,}",
        "seeds": len(row.completed),
        "flags": [flag_view(flag) for flag in row.flags],
        "lost": row.reason,
    }


def idle_view(row: AttackRow, results: Results) -> dict[str, Any]:
    """An attack without any figure, and why."""
    return {**_names(row, results), "status": row.status.replace("_", " "), "reason": row.reason}


def unmeasured(row: Row) -> str:
    """Which low-FPR points no attack could measure, and why; empty where all were measured."""
    nonmembers = max((a.summary.nonmembers for a in row.attacks if a.summary is not None), default=None)
    missing = [fpr for fpr in (0.01, 0.001) if nonmembers is not None and not measurable(fpr, nonmembers)]
    if not missing:
        return ""
    parts = [f"{fpr:.2g} needs {MIN_FALSE_POSITIVES / fpr:,.0f}" for fpr in missing]
    return (
        f"A true-positive rate is given where at least {MIN_FALSE_POSITIVES} non-members are expected to be accused: a "
        f"false-positive rate of {' and one of '.join(parts)} non-members, and there are {nonmembers:,}."
    )


def _names(row: AttackRow, results: Results) -> dict[str, Any]:
    described = results.plugins.get("attacks", {}).get(row.attack, ())
    return {
        "attack": row.attack,
        "summary": " ".join(each["summary"] for each in described),
        "adaptive": row.adaptive,
        "access": row.access.replace("_", " "),
        "knowledge": row.knowledge.replace("_", " "),
    }


def _at(fpr: float | None, digits: int) -> str:
    return "" if fpr is None else f"at {number(fpr, digits)}"
