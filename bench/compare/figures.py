"""Figures of training runs and of rows: quality, stability, cost, counts and claims."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.compare.evidence import Evidence, jackknife_variance
from bench.compare.findings import Finding
from bench.compare.measures import Figure
from bench.compare.side import Entry, Place, Side
from bench.compare.tolerance import Tolerance
from bench.compare.verdicts import Test, exact_finding

_CLAIM = ("delta", "claim_unit", "claim_adjacency", "claim_accountant")


def lost_runs(base: Side, new: Side, at: Place, now: Place, tolerance: Tolerance) -> Finding | None:
    """Completed runs of NEW without a figure which every completed run of BASE has; a mean over the others hides it.

    None also where NEW lacks it altogether, which ``trial_figure`` says.
    """
    name = tolerance.figure.name
    done = [[t for t in side.trials[where] if t["status"] == "completed"] for side, where in ((base, at), (new, now))]
    ours, theirs = _done(base, at, name), _done(new, now, name)
    if not theirs or not ours or len(ours) < len(done[0]) or len(theirs) == len(done[1]):
        return None
    known = {trial["seed"] for trial in theirs}
    seeds = ", ".join(str(trial["seed"]) for trial in done[1] if trial["seed"] not in known)
    said = "every completed run of BASE has it, and these completed runs of NEW do not"
    return Finding(now, at, f"{name} of seed {seeds}", "missing", said, kind=tolerance.figure)


def trial_figure(base: Side, new: Side, at: Place, now: Place, tolerance: Tolerance) -> Test | Finding | None:
    """The test of a figure that each training run has; None where neither board measured it."""
    figure = tolerance.figure
    ours, theirs = (_done(side, where, figure.name) for side, where in ((base, at), (new, now)))
    if not ours and not theirs:
        return None
    if not ours or not theirs:
        return Finding(
            now,
            at,
            figure.name,
            "missing" if ours else "new",
            "NEW does not measure it" if ours else "BASE does not measure it",
            kind=figure,
        )
    for needed in figure.needs:
        values = [sorted({str(trial.get(needed)) for trial in trials}) for trials in (ours, theirs)]
        if values[0] != values[1] or len(values[0]) > 1:
            said = f"measured with {needed} {' and '.join(values[0])} in BASE, {' and '.join(values[1])} in NEW"
            return Finding(now, at, figure.name, "not comparable", said, kind=figure)
    had, has = (tuple(float(trial[figure.name]) for trial in trials) for trials in (ours, theirs))
    over_records = _over_records(ours, figure) + _over_records(theirs, figure)
    same = had == has and _measured_from(ours) == _measured_from(theirs) != []
    return Test(now, at, figure.name, tolerance, Evidence(had, has, over_records, identical=same))


def _measured_from(trials: Sequence[Entry]) -> list[str]:
    """What the runs' figures were measured from, by its hash; nothing where one of them does not say."""
    hashes = [trial.get("artifacts", {}).get("sample") for trial in trials]
    return [str(each) for each in hashes] if all(hashes) else []


def _done(side: Side, at: Place, name: str) -> list[Entry]:
    """Completed runs that have the figure, by seed."""
    done = [trial for trial in side.trials[at] if trial["status"] == "completed" and _number(trial.get(name))]
    return sorted(done, key=lambda trial: int(trial["seed"]))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _over_records(trials: Sequence[Entry], figure: Figure) -> float:
    """From the runs' own intervals; 0 where they have none, and the spread between runs has to say it all.

    The boards share their holdout, so adding the two variances up overstates that of the difference.
    """
    ends = [(trial.get(f"{figure.name}_low"), trial.get(f"{figure.name}_high")) for trial in trials]
    known = [(float(low), float(high)) for low, high in ends if low is not None and high is not None]
    if len(known) < len(trials):
        return 0.0
    return jackknife_variance([low for low, _ in known], [high for _, high in known])


def count_figure(base: Side, new: Side, at: Place, now: Place, tolerance: Tolerance) -> Finding | None:
    """A number of training runs, as it is: a run that diverges is an event to look at, not noise to be averaged.

    With another number of runs in NEW, its share is taken times the runs of BASE.
    """
    name = tolerance.figure.name
    had, has = base.rows[at].get(name), new.rows[now].get(name)
    if had is None and has is None:
        return None
    if had is None:
        return Finding(now, at, name, "new", "BASE does not say it", kind=tolerance.figure)
    if has is None:
        return Finding(now, at, name, "missing", "NEW does not say it", kind=tolerance.figure)
    runs = len(base.trials[at]), len(new.trials[now])
    scaled = float(has) if runs[0] == runs[1] else float(has) / max(runs[1], 1) * runs[0]
    note = f"{int(had)} of {runs[0]} runs in BASE, {int(has)} of {runs[1]} in NEW"
    return exact_finding(now, at, tolerance, float(had), scaled, note)


def row_figure(base: Side, new: Side, at: Place, now: Place, tolerance: Tolerance) -> Finding | None:
    """A figure of the row as a whole, as it is; of a claim that NEW no longer makes, see ``claims``."""
    name = tolerance.figure.name
    ours, theirs = base.rows[at], new.rows[now]
    had, has = ours.get(name), theirs.get(name)
    if had is None and has is None:
        return None
    if had is None:
        return Finding(now, at, name, "new", "BASE does not have it", new=has, kind=tolerance.figure)
    if has is None and name == "epsilon_claimed":
        return None  # judged whatever was asked for, see `claims`
    if has is None:
        return Finding(now, at, name, "missing", "NEW does not have it", had, kind=tolerance.figure)
    if name == "epsilon_claimed":
        other = [
            f"{word} {ours.get(word)} in BASE, {theirs.get(word)} in NEW"
            for word in _CLAIM
            if ours.get(word) != theirs.get(word)
        ]
        if other:
            return Finding(now, at, name, "not comparable", "; ".join(other), had, has, kind=tolerance.figure)
    return exact_finding(now, at, tolerance, float(had), float(has), "compared as it is, without an interval")
