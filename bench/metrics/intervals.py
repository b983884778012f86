"""Every privacy number of an attack with its two kinds of uncertainty, over records and over training runs.

Over *records*, given these trained models: the 2.5 % and 97.5 % points of a bootstrap within members and
within non-members, widened in two cases. An interval always holds its own value (the bootstrap of a maximum,
such as the advantage, is biased upwards). And no interval claims more than a perfect score on these records
could: a score that separates all records has no spread to resample, but leaves a part of the population
unseen; see :func:`perfect_limits`. A score that is constant has nothing to resample either, and there the
value is exact.

Over *training runs*, from 3 seeds on: mean +- sqrt(t^2 s^2 / S + 1.96^2 v), t the 97.5 % point of Student's t
with S - 1 degrees of freedom, s^2 the variance over the seeds, v the bootstrap variance over records.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bench.errors import InputError
from bench.metrics.privacy import (
    LOW_FPRS,
    Statistics,
    accuracy_chance,
    bootstrap,
    over_seeds,
    record_statistics,
    set_statistics,
)
from bench.metrics.roc import Bools, Floats, advantage_null_quantile, checked, threshold_counts
from bench.metrics.sets import set_means

ALPHA = 0.05
MIN_SEEDS = 3
"""Below this many training runs there is no interval over training runs."""

MIN_SETS = 2
"""Below this many sets of a class the set columns are not measured."""


class SetColumns(BaseModel):
    """What is measured of sets of one size: rates in [0, 1], None where not measured."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    set_auc: float | None = None
    """AUC of the sets' scores, mean over seeds; None without two sets of each class."""
    set_auc_low: float | None = None
    """Lower 95 % limit over records of ``set_auc``."""
    set_auc_high: float | None = None
    """Upper 95 % limit over records of ``set_auc``."""
    set_auc_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``set_auc``; None below 3 seeds."""
    set_auc_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``set_auc``; None below 3 seeds."""
    set_accuracy: float | None = None
    """Mean over seeds of LOGAN's accuracy over such sets; None without two sets of each class."""
    set_accuracy_low: float | None = None
    """Lower 95 % limit over records of ``set_accuracy``."""
    set_accuracy_high: float | None = None
    """Upper 95 % limit over records of ``set_accuracy``."""
    set_accuracy_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``set_accuracy``; None below 3 seeds."""
    set_accuracy_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``set_accuracy``; None below 3 seeds."""


class SetSummary(SetColumns):
    """Sets of one size under one attack; the score of a set is the attack's own, or the mean of its records'."""

    member_sets: int
    """Number of sets of members."""
    nonmember_sets: int
    """Number of sets of non-members."""
    seeds: int
    """Number of training runs."""
    own_score: bool
    """Whether the attack has a score of its own for a set."""
    set_accuracy_chance: float | None = None
    """Accuracy over sets of a score without information."""
    mean_set_auc: float | None = None
    """AUC of the sets' mean scores, mean over seeds; ``set_auc`` unless the attack has a score of its own."""
    mean_set_auc_low: float | None = None
    """Lower 95 % limit over records of ``mean_set_auc``."""
    mean_set_auc_high: float | None = None
    """Upper 95 % limit over records of ``mean_set_auc``."""
    mean_set_auc_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``mean_set_auc``; None below 3 seeds."""
    mean_set_auc_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``mean_set_auc``; None below 3 seeds."""


class PrivacySummary(SetColumns):
    """Privacy columns of one attack: rates in [0, 1], None where not measured."""

    members: int
    """Number of candidates that are members."""
    nonmembers: int
    """Number of candidates that are not."""
    seeds: int
    """Number of training runs."""
    accuracy_chance: float
    """Accuracy of a score without information: |M| / (|M| + |N|)."""
    advantage_null: float
    """95 % quantile of one run's advantage without any leakage."""
    tied_fraction: float
    """Share of candidates whose score is tied with another's; the largest over seeds."""
    realised_fpr_at_1pct: float | None = None
    """FPR attained where 1 % was asked; the largest over seeds."""
    realised_fpr_at_0_1pct: float | None = None
    """FPR attained where .1 % was asked; the largest over seeds."""
    auc: float
    """Mean over seeds of the area under the exact ROC curve, ties averaged; .5 is chance."""
    auc_low: float
    """Lower 95 % limit over records of ``auc``."""
    auc_high: float
    """Upper 95 % limit over records of ``auc``."""
    auc_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``auc``; None below 3 seeds."""
    auc_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``auc``; None below 3 seeds."""
    accuracy: float
    """LOGAN's accuracy, mean over seeds: share of true members among the |M| highest scores."""
    accuracy_low: float
    """Lower 95 % limit over records of ``accuracy``."""
    accuracy_high: float
    """Upper 95 % limit over records of ``accuracy``."""
    accuracy_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``accuracy``; None below 3 seeds."""
    accuracy_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``accuracy``; None below 3 seeds."""
    tpr_at_1pct_fpr: float | None = None
    """Mean over seeds of the largest attainable TPR with FPR <= 1 %; None below 1,000 non-members."""
    tpr_at_1pct_fpr_low: float | None = None
    """Lower 95 % limit over records of ``tpr_at_1pct_fpr``."""
    tpr_at_1pct_fpr_high: float | None = None
    """Upper 95 % limit over records of ``tpr_at_1pct_fpr``."""
    tpr_at_1pct_fpr_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``tpr_at_1pct_fpr``; None below 3 seeds."""
    tpr_at_1pct_fpr_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``tpr_at_1pct_fpr``; None below 3 seeds."""
    tpr_at_0_1pct_fpr: float | None = None
    """Mean over seeds of the largest attainable TPR with FPR <= .1 %; None below 10,000 non-members."""
    tpr_at_0_1pct_fpr_low: float | None = None
    """Lower 95 % limit over records of ``tpr_at_0_1pct_fpr``."""
    tpr_at_0_1pct_fpr_high: float | None = None
    """Upper 95 % limit over records of ``tpr_at_0_1pct_fpr``."""
    tpr_at_0_1pct_fpr_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``tpr_at_0_1pct_fpr``; None below 3 seeds."""
    tpr_at_0_1pct_fpr_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``tpr_at_0_1pct_fpr``; None below 3 seeds."""
    advantage: float
    """Mean over seeds of the largest TPR - FPR; above 0 by chance alone, see ``advantage_null``."""
    advantage_low: float
    """Lower 95 % limit over records of ``advantage``."""
    advantage_high: float
    """Upper 95 % limit over records of ``advantage``."""
    advantage_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``advantage``; None below 3 seeds."""
    advantage_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``advantage``; None below 3 seeds."""
    balanced_accuracy: float
    """(TPR + TNR) / 2 with the |M| highest scores called members, mean over seeds; .5 is chance."""
    balanced_accuracy_low: float
    """Lower 95 % limit over records of ``balanced_accuracy``."""
    balanced_accuracy_high: float
    """Upper 95 % limit over records of ``balanced_accuracy``."""
    balanced_accuracy_seed_low: float | None = None
    """Lower 95 % limit over training runs of ``balanced_accuracy``; None below 3 seeds."""
    balanced_accuracy_seed_high: float | None = None
    """Upper 95 % limit over training runs of ``balanced_accuracy``; None below 3 seeds."""


def separation_limit(n_members: int, n_nonmembers: int, alpha: float = ALPHA / 2) -> float:
    """Lower limit at level ``alpha`` of the AUC of a score that separates these records perfectly.

    k = min(|M|, |N|) disjoint pairs of a member and a non-member are independent, and each is in the right
    order with probability AUC; so perfect separation has probability at most AUC^k, and the limit is
    alpha^(1/k): the Clopper-Pearson limit for k of k.
    """
    return float(alpha ** (1 / min(n_members, n_nonmembers)))


def perfect_limits(n_members: int, n_nonmembers: int, alpha: float = ALPHA / 2) -> dict[str, float]:
    """Per column, the lower limit at level ``alpha`` for a score that separates these records perfectly.

    Each bounds the probability of perfect separation for the population's value v and sets the bound to
    ``alpha``. With u the threshold where the population's value is attained, separation needs all members
    above u or no non-member above u: accuracy, P <= v^M + (1 - M (1 - v) / N)^N <= 2 exp(-M (1 - v)); TPR at
    FPR f, P <= v^M + (1 - f)^N. For the advantage, integrating over the lowest member gives P <= (1 + q d)
    exp(-(q - 1) d), d = 1 - v, q = min(M, N).
    """
    M, N = n_members, n_nonmembers
    auc = separation_limit(M, N, alpha)
    miss = math.log(2 / alpha) / M
    q, d = min(M, N), np.linspace(0, 1, 10_001)
    enough = np.flatnonzero((1 + q * d) * np.exp(-(q - 1) * d) <= alpha)
    return {
        "auc": auc,
        "set_auc": auc,
        "accuracy": max(0.0, 1 - miss),
        "set_accuracy": max(0.0, 1 - miss),
        "balanced_accuracy": max(0.0, 1 - miss * (1 + M / N) / 2),
        "advantage": float(1 - d[enough[0]]) if len(enough) else 0.0,
        **{name: max(0.0, alpha - (1 - f) ** N) ** (1 / M) for name, f in LOW_FPRS.items()},
    }


def tied_fraction(scores: Floats) -> float:
    """Share of one run's scores ``(n,)`` that are tied with another's, in [0, 1]."""
    _, counts = np.unique(scores, return_counts=True)
    return float(counts[counts > 1].sum() / len(scores))


def interval_columns(
    scores: Floats, membership: Bools, statistics: Statistics, seed: int, resamples: int, purpose: str
) -> dict[str, float | None]:
    """Value, record interval and seed interval of each of the statistics, as columns.

    Args:
        scores: float64 ``(seeds, n)``.
        membership: bool ``(n,)``.
        statistics: what is measured of one run's scores.
        seed, resamples, purpose: of the bootstrap.
    """
    runs = over_seeds(scores, membership, statistics, np.ones((len(membership), 1), dtype=np.int32))
    replicates = bootstrap(scores, membership, statistics, seed, resamples, "bootstrap", purpose)
    M = int(membership.sum())
    N = len(membership) - M
    ceiling = perfect_limits(M, N)
    # a reversed score is as unsure of 0 as a perfect one of 1; no member found is Clopper-Pearson's 0 of M
    floor = {"auc": 1 - ceiling["auc"], "set_auc": 1 - ceiling["auc"]}
    floor |= dict.fromkeys(LOW_FPRS, 1 - (ALPHA / 2) ** (1 / M))
    constant = bool((scores == scores[:, :1]).all())
    ends = ("low", "high", "seed_low", "seed_high") if len(scores) >= MIN_SEEDS else ("low", "high")
    columns: dict[str, float | None] = {}
    for name, per_run in runs.items():
        values, drawn = per_run[:, 0], replicates[name]
        if constant:  # equal on every seed, and to the last bit what it says
            columns |= {name: float(values[0])} | {f"{name}_{end}": float(values[0]) for end in ends}
            continue
        value = float(values.mean())
        low_cap, high_cap = ceiling[name], floor.get(name, 0.0)
        # The k-th of B resamples stands for k / (B + 1): the default would leave 2.7 % on each side at B = 400.
        low, high = (float(q) for q in np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2], method="weibull"))
        columns |= {
            name: value,
            f"{name}_low": min(low, low_cap, value),
            f"{name}_high": max(high, high_cap, value),
        }
        if len(values) >= MIN_SEEDS:
            half = math.sqrt(seed_half_width(values) ** 2 + 1.96**2 * float(drawn.var(ddof=1)))
            columns[f"{name}_seed_low"] = max(0.0, min(value - half, low_cap))
            columns[f"{name}_seed_high"] = min(1.0, max(value + half, high_cap))
    return columns


def seed_half_width(values: Floats) -> float:
    """t s / sqrt(S): half the 95 % interval of the mean of one value per training run ``(seeds,)``."""
    from scipy.stats import t

    size = len(values)
    return float(t.ppf(1 - ALPHA / 2, size - 1) * values.std(ddof=1) / math.sqrt(size))


def summarise_sets(
    scores: NDArray[Any],
    membership: NDArray[Any],
    set_id: NDArray[np.int64],
    seed: int,
    resamples: int = 1000,
    own: NDArray[Any] | None = None,
) -> SetSummary:
    """What an attack tells of sets of one size.

    Args:
        scores: float64 ``(seeds, n)``, of records.
        membership: bool ``(n,)``.
        set_id: int64 ``(n,)``, -1 for a record in no set.
        seed: the root seed of the bootstrap.
        resamples: number of bootstrap resamples, of whole sets.
        own: float64 ``(seeds, sets)``, the attack's own score of each set, by ascending set id; None where it has
            none and the mean score of a set's records takes its place.

    Raises:
        InputError: what ``set_means`` refuses, or own scores of another shape or that are not finite.
    """
    means, set_member = set_means(scores, membership, set_id)
    M, N = int(set_member.sum()), int((~set_member).sum())
    if own is not None and (np.shape(own) != means.shape or not np.isfinite(own).all()):
        raise InputError(
            f"expected one finite score per run and set, {means.shape}, got shape {np.shape(own)} with "
            f"{int((~np.isfinite(own)).sum())} that are not finite"
        )
    columns: dict[str, Any] = {}
    if min(M, N) >= MIN_SETS:
        by_mean = interval_columns(means, set_member, set_statistics, seed, resamples, "sets")
        columns |= {f"mean_{name}": value for name, value in by_mean.items() if name.startswith("set_auc")}
        columns |= (
            by_mean
            if own is None
            else interval_columns(
                np.asarray(own, dtype=np.float64), set_member, set_statistics, seed, resamples, "sets"
            )
        )
        columns["set_accuracy_chance"] = accuracy_chance(set_member)
    counted = {"member_sets": M, "nonmember_sets": N, "seeds": len(means), "own_score": own is not None}
    return SetSummary.model_validate({**counted, **columns})


def summarise(
    scores: NDArray[Any],
    membership: NDArray[Any],
    sets: SetColumns | None,
    seed: int,
    resamples: int = 1000,
) -> PrivacySummary:
    """All privacy columns of one attack.

    Args:
        scores: float64 ``(seeds, n)``, larger = more likely a member; the candidates in the order of their
            record ids, so that attacks on the same candidates meet the same resamples.
        membership: bool ``(n,)``, shared by all seeds.
        sets: from ``summarise_sets``, whose columns join; None: they stay empty.
        seed: the root seed of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: shapes that do not fit, a score that is not finite, or an empty class.
    """
    values, member = checked(scores, membership)
    columns = interval_columns(values, member, record_statistics, seed, resamples, "records")
    if sets is not None:
        columns |= {name: getattr(sets, name) for name in SetColumns.model_fields}
    realised = {
        f"realised_fpr_at_{name.removeprefix('tpr_at_').removesuffix('_fpr')}": max(
            float(threshold_counts(run, member).tpr_at_fpr(fpr)[1][0]) for run in values
        )
        for name, fpr in LOW_FPRS.items()
        if name in columns
    }
    M, N = int(member.sum()), int((~member).sum())
    return PrivacySummary.model_validate(
        {
            "members": M,
            "nonmembers": N,
            "seeds": len(values),
            "accuracy_chance": accuracy_chance(member),
            "advantage_null": advantage_null_quantile(M, N),
            "tied_fraction": max(tied_fraction(run) for run in values),
            **realised,
            **columns,
        }
    )
