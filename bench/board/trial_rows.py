"""Rows of trials, and what the trials of one row of the leaderboard say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.board.columns import QUALITY, STABILITY, TABLE_QUALITY, UTILITY
from bench.board.measures import measure_of
from bench.metrics.quality import QualityRecord
from bench.metrics.stability import collapsed
from bench.results import Lines, PrivacyClaim, Trial


def trial_columns(trial: Trial, lines: Lines | None) -> dict[str, Any]:
    """The cells of ``trials.csv``; what was not measured is None."""
    cost = trial.costs
    train, sample = cost.get("train"), cost.get("sample")
    claim = trial.claim
    return {
        "dataset": trial.dataset,
        "target": trial.target,
        "defense": trial.defense,
        "seed": trial.seed,
        "status": trial.status,
        # A record has the columns of its kind: those of images are empty for tables and the other way round.
        **{name: getattr(trial.quality, name, None) for name in (*QUALITY, *UTILITY, *TABLE_QUALITY)},
        **{name: None if trial.stability is None else getattr(trial.stability, name) for name in STABILITY},
        # How many and which: the list itself is in the JSON.
        "snapshots": None if trial.stability is None else len(trial.stability.snapshots),
        "collapsed": is_collapsed(trial, lines),
        "train_s": None if train is None else train.wall_s,
        "sample_s": None if sample is None else sample.wall_s,
        "samples_per_s": sample.items / sample.wall_s if sample and sample.items and sample.wall_s > 0 else None,
        "quality_s": cost["quality"].wall_s if "quality" in cost else None,
        "peak_mem_mib": largest(c.peak_mem_mib for c in cost.values()),
        "gpu_peak_mem_mib": largest(c.gpu_peak_mem_mib for c in cost.values()),
        "device": None if train is None else train.device,
        "arithmetic": None if train is None else train.precision,
        "key": trial.key,
        "reason": trial.reason,
        "epsilon_claimed": None if claim is None else claim.epsilon,
        "delta": None if claim is None else claim.delta,
        "claim_void_reason": None if claim is None else claim.void_reason,
        "claim_unit": None if claim is None else claim.unit,
        "claim_accountant": None if claim is None else claim.accountant,
    }


def row_columns(trials: Sequence[Trial], lines: Lines | None) -> dict[str, Any]:
    """Quality, stability, cost and claim of one row of the leaderboard, from its completed trials.

    Quality figures are means over seeds. ``kid_low`` and ``kid_high``, and those of a table's distances, are the
    means of the trials' own jackknife limits: an interval over records, given these trained models, like each
    trial's. It is not narrowed by the number of seeds, because the seeds share their holdout, so their errors
    move together by an unknown amount; for whatever correlation, the standard deviation of a mean is at most the
    mean of the standard deviations. What another training run would give is ``quality_spread``'s to say.
    """
    done = [trial for trial in trials if trial.status == "completed"]
    quality = [trial.quality for trial in done if trial.quality is not None]
    final = [getattr(record, measure_of(trials, lines).column) for record in quality]
    reference = {"real": lines.real if lines else None, "untrained": lines.untrained if lines else None}
    collapses = [is_collapsed(trial, lines) for trial in done]
    train = [trial.costs["train"] for trial in done if "train" in trial.costs]
    return {
        **{name: mean(getattr(record, name, None) for record in quality) for name in _MEASURED},
        "seeds": len(done),
        "diverged_runs": sum(trial.status == "diverged" for trial in trials),
        # None of the trials told: empty, not 0.
        "collapsed_runs": None if all(c is None for c in collapses) else sum(c is True for c in collapses),
        "quality_spread": float(np.std(final, ddof=1)) if len(final) >= 3 else None,
        "loss_oscillation": mean(t.stability.loss_oscillation for t in done if t.stability is not None),
        "train_s": mean(cost.wall_s for cost in train),
        "peak_mem_mib": largest(c.peak_mem_mib for trial in done for c in trial.costs.values()),
        "device": ";".join(sorted({cost.device for cost in train})) or None,
        "trials": len(trials),
        **{
            f"{name}_{line}": getattr(record, name, None)
            for name in ("kid", "marginal_distance", "correlation_distance")
            for line, record in reference.items()
        },
        "quality_extractor": ";".join(sorted({r.extractor for r in quality if isinstance(r, QualityRecord)})) or None,
        "quality_n": min((record.n for record in quality), default=None),
        **_claim_columns(weakest_claim(trials)),
    }


_MEASURED = (
    *("kid", "kid_low", "kid_high", "fid", "precision", "recall", "density", "coverage", "utility", "utility_real"),
    *(
        f"{name}{end}"
        for name in ("marginal_distance", "correlation_distance", "member_proximity")
        for end in ("", "_low", "_high")
    ),
)


def weakest_claim(trials: Iterable[Trial]) -> PrivacyClaim | None:
    """The weakest of the completed seeds' claims: a claim that is void at one seed is void for the row."""
    claims = [trial.claim for trial in trials if trial.status == "completed" and trial.claim is not None]
    void = [claim for claim in claims if claim.epsilon is None]
    return void[0] if void else max(claims, key=lambda claim: claim.epsilon or 0.0, default=None)


def _claim_columns(claim: PrivacyClaim | None) -> dict[str, Any]:
    if claim is None:
        names = ("epsilon_claimed", "delta", *(f"claim_{n}" for n in _CLAIM_WORDS), *_CLAIM_REST)
        return dict.fromkeys(names)
    return {
        "epsilon_claimed": claim.epsilon,
        "delta": claim.delta,
        **{f"claim_{name}": getattr(claim, name) for name in _CLAIM_WORDS},
        "claim_epsilon_rdp": None if claim.epsilon is None else claim.epsilon_rdp,
        "claim_void_reason": claim.void_reason,
    }


_CLAIM_WORDS = ("unit", "adjacency", "accountant")
_CLAIM_REST = ("claim_epsilon_rdp", "claim_void_reason")


def is_collapsed(trial: Trial, lines: Lines | None) -> bool | None:
    """Whether the trial's generator shows only a small part of the data; None where nothing could tell."""
    quality = trial.quality
    if not isinstance(quality, QualityRecord):  # a table's distances do not tell what is left out
        return None
    real = lines.real.coverage if lines and isinstance(lines.real, QualityRecord) else None
    return collapsed(quality.coverage, real, quality.mode_count, quality.modes_real)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of what was measured, or None."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def largest(values: Iterable[float | None]) -> float | None:
    """Largest of what was measured, or None."""
    return max((value for value in values if value is not None), default=None)


def lines_by_place(lines: Iterable[Lines]) -> Mapping[tuple[str, str], Lines]:
    """Data set and target -> the reference lines."""
    return {(line.dataset, line.target): line for line in lines}
