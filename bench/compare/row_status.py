"""Whether a row is there and was completed on both boards."""

from __future__ import annotations

from bench.compare.findings import STATUS, Finding, Status
from bench.compare.side import Entry, Place, Side


def row_status(base: Side, new: Side, at: Place, now: Place) -> tuple[list[Finding], bool]:
    """What there is to say of the row as a whole, and whether its figures can be compared.

    A row is completed where one of its runs is. A run of NEW that failed, or was never done, is missing where every run
    of BASE was done; one that diverged is counted by ``diverged_runs``.
    """
    ours, theirs = base.rows[at], new.rows[now]
    had, has = str(ours["status"]), str(theirs["status"])
    if had == has == "completed":
        return _runs(base, new, at, now), True
    status, said = _verdict(had, has)
    reasons = [f"{side}: {entry['reason']}" for side, entry in (("BASE", ours), ("NEW", theirs)) if entry.get("reason")]
    words = f"{had.replace('_', ' ')} in BASE, {has.replace('_', ' ')} in NEW{said}"
    return [Finding(now, at, STATUS, status, "; ".join([words, *reasons]))], False


def _verdict(had: str, has: str) -> tuple[Status, str]:
    if had == "completed":
        return ("worse", "") if has in ("diverged", "failed") else ("missing", "")
    if has == "completed":
        return "new", ", so there is nothing to compare it with"
    if had == has and had in ("diverged", "not_applicable"):
        return "same", ""
    if had == "not_applicable" or has == "not_applicable":
        return "not comparable", ""
    return "not comparable", ": neither has figures to compare"


def _runs(base: Side, new: Side, at: Place, now: Place) -> list[Finding]:
    if any(trial["status"] not in ("completed", "diverged") for trial in base.trials[at]):
        return []
    lost = [_words(trial) for trial in new.trials[now] if trial["status"] not in ("completed", "diverged")]
    said = f"every run of BASE was done, in NEW {'; '.join(lost)}"
    return [Finding(now, at, STATUS, "missing", said)] if lost else []


def _words(trial: Entry) -> str:
    reason = trial.get("reason")
    return f"seed {trial['seed']} {str(trial['status']).replace('_', ' ')}{f': {reason}' if reason else ''}"
