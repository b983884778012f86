"""The undefended model stopped early, at the sample quality that a defense leaves: the cheapest defense of all.

A defense that costs quality must leak less than the undefended training did when it was no better than that. So the
undefended training's snapshots are attacked too, and a defended row is read beside the first of them whose KID is at
most its own: with everything in common but the defense, and a fraction of the steps. Both KIDs are measured alike, on
snapshots, with the snapshots' extractor and number of records, on the same half of the holdout.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.board.attack_rows import AttackRow, attack_rows
from bench.board.worst import worst_attack

if TYPE_CHECKING:
    from bench.board.rows import Row
    from bench.metrics.headline import Headline
    from bench.results import Results, Trial


@dataclass(frozen=True)
class EqualKid:
    """The undefended training of the same data set and target at its first snapshot that is as good.

    Attributes:
        step: training steps at the snapshot.
        steps: those of the whole training.
        kid: its KID (x 1000), mean over seeds.
        own_kid: the defended row's KID, measured in the same way.
        headline: the worst of the attacks that judge snapshots, on this one.
    """

    step: int
    steps: int
    kid: float
    own_kid: float
    headline: Headline


def equal_kid(rows: Sequence[Row], results: Results) -> list[EqualKid | None]:
    """For each row the undefended snapshot to read beside it.

    Both sides are means over the seeds that were completed and measured on both, since runs differ by far more than
    snapshots do. None for a row that is undefended itself, or that holds generated records back (its snapshots are not
    what it releases), where no snapshot was attacked or measured, and where the row is better than every snapshot.
    """
    resamples = int(results.settings["resamples"])
    headlines: dict[tuple[str, str, int, tuple[int, ...]], Headline | None] = {}
    found: list[EqualKid | None] = []
    for row in rows:
        plain = row.undefended
        seeds = _shared_seeds(row, plain) if plain else ()
        own = _final_kid(row.trials, seeds)
        curve = _curve(plain.trials, seeds) if plain else {}
        step = next((step for step, kid in curve.items() if own is not None and kid <= own), None)
        if plain is None or own is None or step is None:
            found.append(None)
            continue
        place = (row.dataset, row.target, step, seeds)
        if place not in headlines:
            worst = worst_attack(_judged(plain, step, max(curve), seeds, results), resamples)
            headlines[place] = worst.headline if worst else None
        headline = headlines[place]
        found.append(EqualKid(step, max(curve), curve[step], own, headline) if headline else None)
    return found


def _shared_seeds(row: Row, plain: Row) -> tuple[int, ...]:
    """The seeds that were completed and measured on both sides; none where snapshots are not what is released."""
    if any(trial.filtered for trial in row.trials):
        return ()
    measured = [
        {t.seed for t in of.trials if t.status == "completed" and t.stability and t.stability.kid_final is not None}
        for of in (row, plain)
    ]
    return tuple(sorted(set.intersection(*measured)))


def _final_kid(trials: Sequence[Trial], seeds: Collection[int]) -> float | None:
    """KID at the end of training as snapshots measure it, mean over the seeds."""
    kids = [t.stability.kid_final for t in trials if t.seed in seeds and t.stability is not None]
    known = [kid for kid in kids if kid is not None]
    return float(np.mean(known)) if known else None


def _curve(trials: Sequence[Trial], seeds: Collection[int]) -> Mapping[int, float]:
    """Training steps, ascending -> KID of the snapshot, mean over the seeds; the steps that all have."""
    runs = [
        dict(zip(t.stability.snapshots, t.stability.snapshot_kid, strict=True))
        for t in trials
        if t.seed in seeds and t.stability is not None
    ]
    common = set.intersection(*(set(run) for run in runs)) if runs else set()
    return {step: float(np.mean([run[step] for run in runs])) for step in sorted(common)}


def _judged(plain: Row, step: int, last: int, seeds: Collection[int], results: Results) -> Sequence[AttackRow]:
    """The attacks that judge snapshots, on one snapshot; the last one is the undefended row itself."""
    cells = [c for c in results.snapshots if (c.dataset, c.target) == (plain.dataset, plain.target)]
    if step == last:
        names = {cell.attack for cell in cells}
        chosen = [cell for attack in plain.attacks if attack.attack in names for cell in attack.cells]
    else:
        chosen = [cell for cell in cells if cell.at_step == step]
    return attack_rows(replace(results, cells=tuple(cell for cell in chosen if cell.seed in seeds)))


def equal_kid_columns(found: EqualKid | None) -> dict[str, Any]:
    """The cells of ``leaderboard.csv`` that it fills."""
    h = found.headline if found else None
    return {
        "undefended_auc_at_equal_kid": h.auc if h else None,
        "undefended_auc_at_equal_kid_low": h.auc_low if h else None,
        "undefended_auc_at_equal_kid_high": h.auc_high if h else None,
        "equal_kid_step": found.step if found else None,
        "equal_kid": found.kid if found else None,
        "equal_kid_attack": h.worst_attack if h else None,
    }


def equal_kid_words(found: EqualKid | None) -> str:
    """A sentence for the verdict, or an empty string."""
    if found is None:
        return ""
    early = f"stopped after {found.step:,} of {found.steps:,} steps"
    when = "trained to its end" if found.step == found.steps else early
    h = found.headline
    by = f"{h.worst_attack}, the worst of {len(h.attacks)} cheap attacks" if len(h.attacks) > 1 else h.worst_attack
    return (
        f"The undefended model, {when}, is about as good (snapshot KID {found.kid:,.0f}, here {found.own_kid:,.0f}) "
        f"and reads AUC {h.auc:.3f} ({h.auc_low:.3f} to {h.auc_high:.3f}, {by})."
    )
