"""Ranks of rows by privacy that only count differences which the records can tell."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from bench.errors import InputError
from bench.metrics.headline import RowReplicates
from bench.metrics.intervals import ALPHA
from bench.metrics.roc import Floats

_EQUAL = 1e-12  # differences of AUCs below this are rounding


def difference_p(a: RowReplicates, b: RowReplicates) -> float:
    """Two-sided p-value of "both rows leak equally", from their paired bootstrap differences.

    Normal, with the standard deviation of the differences. Equal rows without spread give 1, unequal ones 0.

    Raises:
        InputError: the rows were not measured on the same candidates and resamples.
    """
    if a.pairing != b.pairing or a.replicates.shape != b.replicates.shape:
        raise InputError(
            "expected rows measured on the same candidates with the same seed and number of resamples, got "
            "rows that differ there: rank data sets apart, and make all headlines of a ranking alike"
        )
    difference = a.auc - b.auc
    drawn = a.replicates - b.replicates
    if np.ptp(drawn) < _EQUAL:
        return 1.0 if abs(difference) < _EQUAL else 0.0
    return math.erfc(abs(difference) / float(drawn.std(ddof=1)) / math.sqrt(2))


def holm(p: Floats) -> Floats:
    """Holm's step-down adjustment of p-values ``(tests,)``, in [0, 1] (Scand. J. Statist. 1979)."""
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted


def rank_rows(
    rows: Mapping[str, RowReplicates], excluded: Collection[str] = (), alpha: float = ALPHA
) -> dict[str, int | None]:
    """Rank of each row: 1 + the number of rows that leak significantly less; None for the excluded ones.

    All pairs are compared, Holm-adjusted together, two-sided at ``alpha``. Rows whose quality is gone or that
    diverged are to be excluded: they enter no comparison. The differences are over records, given the trained
    models.

    Args:
        rows: row name to replicates, all of one data set.
        excluded: names of rows without a rank.
        alpha: level of the family of comparisons.

    Raises:
        InputError: an excluded name is not a row, or rows cannot be paired.
    """
    unknown = sorted(set(excluded) - set(rows))
    if unknown:
        raise InputError(f"expected excluded rows to be among the rows, got {', '.join(unknown)}")
    names = [name for name in rows if name not in excluded]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    adjusted = holm(np.array([difference_p(rows[a], rows[b]) for a, b in pairs], dtype=np.float64))
    ranks: dict[str, int | None] = {name: None if name in excluded else 1 for name in rows}
    for (a, b), p in zip(pairs, adjusted, strict=True):
        if p < alpha:
            worse = a if rows[a].auc > rows[b].auc else b
            ranks[worse] = (ranks[worse] or 1) + 1
    return ranks
