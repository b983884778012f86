"""What shadow models say of a record that they were, and were not, trained on: the arithmetic of likelihood ratios.

A statistic's values come as ``(models, n)``, beside ``trained``, bool ``(models, n)``: which records each model was
trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FLOOR = 1e-3  # least standard deviation, as a share of the spread of all values: ties are no certainty
TINY = 1e-300  # instead of 0 in a denominator
ROUNDING = 1e-12  # a spread that is smaller, beside the values themselves, is rounding


def centred(values: Floats) -> Floats:
    """Values ``(models, n)`` or ``(n,)`` less each model's mean over all records.

    Models differ in their level (two discriminators in an offset, say), which is no property of any record. The mean
    and not the median: where the statistic falls into two clumps, members and others, the median jumps between them.
    """
    found: Floats = values - values.mean(axis=-1, keepdims=True)
    return found


def spread(values: Floats) -> float:
    """Standard deviation of all values; 1 where they are constant."""
    found = float(values.std())
    return found if found > ROUNDING * float(np.abs(values).max()) else 1.0


def standardised(values: Floats, base: Bools) -> Floats:
    """One model's values ``(n,)`` in units of those at ``base``: less their median, over their mean distance from it.

    Where those at ``base`` are constant, the unit is that of all values; where all are, they become 0.
    """
    centre = float(np.median(values[base]))
    apart = values - centre
    tiny = ROUNDING * float(np.abs(values).max())
    for some in (base, np.ones_like(base)):
        unit = float(np.abs(apart[some]).mean())
        if unit > tiny:
            found: Floats = apart / unit
            return found
    return np.zeros_like(values)


def mean_where(values: Floats, mask: Bools) -> Floats:
    """Mean over models ``(n,)`` of the values of each record where ``mask``; NaN where that is nowhere."""
    count = mask.sum(axis=0)
    found: Floats = np.where(count > 0, np.where(mask, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return found


def log_mean_where(logs: Floats, mask: Bools) -> Floats:
    """Logarithm of the mean over models ``(n,)`` of exp(logs) where ``mask``; NaN where that is nowhere."""
    count = mask.sum(axis=0)
    total = np.logaddexp.reduce(np.where(mask, logs, -np.inf), axis=0)
    found: Floats = np.where(count > 0, total - np.log(np.maximum(count, 1)), np.nan)
    return found


def in_and_out(values: Floats, trained: Bools) -> tuple[Floats, Floats]:
    """Means of each record ``(n,)`` over the models trained on it, and over the others.

    A record that was in no training set, or in every one, lacks one of them: it has the other, moved by the average
    shift between in and out, over the records that have both; over all values where no record has.

    Raises:
        InputError: no record was trained on, or none was left out.
    """
    _both_kinds(trained)
    inside, outside = mean_where(values, trained), mean_where(values, ~trained)
    shifts = (inside - outside)[np.isfinite(inside) & np.isfinite(outside)]
    shift = float(shifts.mean()) if len(shifts) else float(values[trained].mean() - values[~trained].mean())
    return np.where(np.isnan(inside), outside + shift, inside), np.where(np.isnan(outside), inside - shift, outside)


@dataclass(frozen=True)
class Variances:
    """How much models differ on a record: the same for all records, and each record's own.

    Attributes:
        pooled: mean over records within records; None where no record has two values.
        own: float64 ``(n,)``, unbiased; NaN where a record has fewer than two values.
    """

    pooled: float | None
    own: Floats


def variances(values: Floats, mask: Bools) -> Variances:
    """Variances over the models where ``mask``, around each record's own mean."""
    count = mask.sum(axis=0)
    squares = np.where(mask, (values - np.nan_to_num(mean_where(values, mask))) ** 2, 0.0).sum(axis=0)
    free = np.maximum(count - 1, 0)
    pooled = float(squares.sum() / free.sum()) if free.any() else None
    return Variances(pooled, np.where(free > 0, squares / np.maximum(free, 1), np.nan))


def variance_of(first: Variances, second: Variances, values: Floats, pooled: bool) -> Floats:
    """The variance ``(n,)`` to use for the first kind of values.

    Each record's own, or the pooled one: for all, or for those with fewer than two values; the second kind's where
    there is none; that of all values where there is none either. Never below the floor.
    """
    common = next((v for v in (first.pooled, second.pooled) if v is not None), spread(values) ** 2)
    own = np.full(values.shape[1], common) if pooled else np.where(np.isnan(first.own), common, first.own)
    found: Floats = np.maximum(own, (FLOOR * spread(values)) ** 2)
    return found


def log_ratio(s: Floats, mean_in: Floats, var_in: Floats, mean_out: Floats, var_out: Floats) -> Floats:
    """log N(s; mean_in, var_in) - log N(s; mean_out, var_out), of each record ``(n,)``."""
    found: Floats = 0.5 * (
        (s - mean_out) ** 2 / var_out - (s - mean_in) ** 2 / var_in + np.log(var_out) - np.log(var_in)
    )
    return found


def log_logistic(u: Floats) -> Floats:
    """log(1 / (1 + exp(-u))), which neither overflows nor rounds to 0 below."""
    found: Floats = -np.logaddexp(0.0, -u)
    return found


def log_marginal(log_out: Floats, a: float) -> Floats:
    """log of ((1 + a) p_out + 1 - a) / 2: the mean of p_out and of p_in, taken for a p_out + 1 - a; NaN stays NaN."""
    rest = np.log((1 - a) / 2) if a < 1 else -np.inf
    with np.errstate(invalid="ignore"):
        found: Floats = np.logaddexp(np.log((1 + a) / 2) + log_out, rest)
    return found


def log_marginal_online(logs: Floats, trained: Bools, a: float | None = None) -> Floats:
    """log of (p_in + p_out) / 2 of each record ``(n,)``, from log p ``(models, n)``.

    Where a record was in no training set or in every one, p_in = a p_out + 1 - a gives the mean that it lacks.

    Args:
        a: None: the mean of 1 - p_in over that of 1 - p_out, of the records that have both; of all where none has.

    Raises:
        InputError: ``a`` is None, and no record was trained on, or none was left out.
    """
    inside, outside = log_mean_where(logs, trained), log_mean_where(logs, ~trained)
    if a is None:
        _both_kinds(trained)
        both = np.isfinite(inside) & np.isfinite(outside)
        ins, outs = (inside[both], outside[both]) if both.any() else (logs[trained], logs[~trained])
        away = float(-np.expm1(outs).mean())
        a = min(1.0, float(-np.expm1(ins).mean()) / away) if away > 0 else 1.0
    found, lacks_in, lacks_out = np.empty(len(inside)), np.isnan(inside), np.isnan(outside)
    both = ~lacks_in & ~lacks_out
    found[both] = np.logaddexp(inside[both], outside[both]) - np.log(2)
    found[lacks_in] = log_marginal(outside[lacks_in], a)
    # p_out over p_in is (1 - (1 - p_in) / a) / p_in, from 0 to 1; where a is 0, it is 0.
    share = 1 + np.expm1(inside[lacks_out]) / max(a, TINY)
    ratio = np.clip(share / np.exp(np.maximum(inside[lacks_out], np.log(TINY))), 0, 1)
    found[lacks_out] = inside[lacks_out] + np.log1p(ratio) - np.log(2)
    return found


def _both_kinds(trained: Bools) -> None:
    if trained.all() or not trained.any():
        raise InputError(
            "expected shadows that were trained on some of the records and not on others, got none of one kind; ask "
            "for more shadows (`models`)"
        )


def share_beaten(log_x: Floats, log_z: Floats, gamma: float) -> Floats:
    """Share of ``z`` ``(k,)`` whose ratio, times gamma, each ratio of ``x`` ``(n,)`` reaches, from logarithms.

    One sort and a search per record, instead of every pair.
    """
    found: Floats = np.searchsorted(np.sort(log_z), log_x - np.log(gamma), side="right") / len(log_z)
    return found
