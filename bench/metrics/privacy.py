"""The privacy statistics of one attack on one release, for many resamples of the records at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.roc import (
    Bools,
    Floats,
    ThresholdCounts,
    measurable,
    one_run,
    threshold_counts,
    weighted_auc,
)
from bench.rng import Purpose, generator

Statistics = Callable[[Floats, Bools, NDArray[Any]], dict[str, Floats]]
"""Scores ``(n,)``, membership ``(n,)`` and weights ``(n, b)`` to named statistics, each ``(b,)``."""

LOW_FPRS = {"tpr_at_1pct_fpr": 0.01, "tpr_at_0_1pct_fpr": 0.001}
"""The columns that hold a true-positive rate at a small false-positive rate, and that rate."""

_CHUNK_CELLS = 1_000_000  # records x resamples held at once: 8 MB per array of counts


def _expected_hits(counts: ThresholdCounts) -> tuple[Floats, Floats]:
    """Members among the |M| highest scores in expectation under ties, as numerator and denominator."""
    size = counts.n_members
    called = counts.members + counts.nonmembers
    tie = (called < size).sum(axis=0)[None]  # the group of equal scores in which the |M|-th highest lies

    def at(table: Floats, row: NDArray[np.int64]) -> Floats:
        values: Floats = np.take_along_axis(table, row, axis=0)[0]
        return values

    m_above, n_above = at(counts.members, tie - 1), at(called, tie - 1)
    m_tied, n_tied = at(counts.members, tie) - m_above, at(called, tie) - n_above
    return m_above * n_tied + (size - n_above) * m_tied, n_tied


def accuracy_of(counts: ThresholdCounts) -> Floats:
    """LOGAN's accuracy, ``(weightings,)`` in [0, 1]: share of true members among the |M| highest scores.

    (m_above + (|M| - n_above) * m_tied / n_tied) / |M|: in expectation over the order of tied records (Hayes
    et al., PoPETs 2019, section 4; the expectation under ties is the suite's).
    """
    hits, ties = _expected_hits(counts)
    return hits / (counts.n_members * ties)


def balanced_accuracy_of(counts: ThresholdCounts) -> Floats:
    """(TPR + TNR) / 2 where the |M| highest scores are called members, ``(weightings,)`` in [0, 1].

    The threshold uses the sizes of the classes and no label; ties in expectation, so chance is .5.
    """
    hits, ties = _expected_hits(counts)
    M, N = counts.n_members, counts.n_nonmembers
    # one fraction: TPR and TNR rounded each would leave chance beside .5
    return (hits * N + (N * ties - M * ties + hits) * M) / (2 * M * N * ties)


def accuracy_chance(membership: Bools) -> float:
    """The accuracy of a score without information: |M| / (|M| + |N|)."""
    return int(membership.sum()) / len(membership)


def accuracy(scores: NDArray[Any], membership: NDArray[Any]) -> float:
    """LOGAN's accuracy of one run's scores ``(n,)``; see :func:`accuracy_of`.

    >>> accuracy(np.zeros(4), np.array([True, False, False, False]))
    0.25
    """
    return float(accuracy_of(threshold_counts(*one_run(scores, membership)))[0])


def balanced_accuracy(scores: NDArray[Any], membership: NDArray[Any]) -> float:
    """Balanced accuracy of one run's scores ``(n,)``; see :func:`balanced_accuracy_of`."""
    return float(balanced_accuracy_of(threshold_counts(*one_run(scores, membership)))[0])


def record_statistics(scores: Floats, membership: Bools, weights: NDArray[Any]) -> dict[str, Floats]:
    """Every per-record column under each weighting; without a TPR that cannot be measured."""
    counts = threshold_counts(scores, membership, weights)
    n_nonmembers = int((~membership).sum())
    return {
        "auc": weighted_auc(scores, membership, weights),
        "accuracy": accuracy_of(counts),
        "advantage": counts.advantage(),
        "balanced_accuracy": balanced_accuracy_of(counts),
        **{name: counts.tpr_at_fpr(f)[0] for name, f in LOW_FPRS.items() if measurable(f, n_nonmembers)},
    }


def set_statistics(scores: Floats, membership: Bools, weights: NDArray[Any]) -> dict[str, Floats]:
    """The columns of sets, where a "record" is a whole set with one score."""
    counts = threshold_counts(scores, membership, weights)
    return {"set_auc": weighted_auc(scores, membership, weights), "set_accuracy": accuracy_of(counts)}


def over_seeds(scores: Floats, membership: Bools, statistics: Statistics, weights: NDArray[Any]) -> dict[str, Floats]:
    """Each statistic per training run and weighting, ``(seeds, weightings)``."""
    runs = [statistics(run, membership, weights) for run in scores]
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


def resample_counts(strata: NDArray[Any], seed: int, resamples: int, *purpose: Purpose) -> Iterator[NDArray[np.int32]]:
    """How often each record occurs in each bootstrap resample, in chunks of int32 ``(n, b)``.

    Records are drawn with replacement within each stratum, whose size stays. The draws depend on the seed,
    the purpose and the strata in the order of the records, and not on the size of the chunks.

    Args:
        strata: ``(n,)``; for two classes, the membership.
        seed: the root seed; the same for all that is to be paired.
        resamples: how many in total.
        purpose: names the stream.

    Raises:
        InputError: ``resamples`` is below 2.
    """
    if resamples < 2:
        raise InputError(f"expected at least 2 bootstrap resamples, got {resamples}")
    groups = [(np.flatnonzero(strata == g), generator(seed, *purpose, int(g))) for g in np.unique(strata)]
    chunk = max(1, _CHUNK_CELLS // len(strata))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        counts = np.empty((len(strata), size), dtype=np.int32)
        for place, rng in groups:
            drawn = rng.integers(0, len(place), size=(size, len(place)))
            cells = (drawn * size + np.arange(size)[:, None]).ravel()
            counts[place] = np.bincount(cells, minlength=len(place) * size).reshape(len(place), size)
        yield counts


def bootstrap(
    scores: Floats, membership: Bools, statistics: Statistics, seed: int, resamples: int, *purpose: Purpose
) -> dict[str, Floats]:
    """Bootstrap replicates of the mean over training runs, each ``(resamples,)``.

    Members are resampled within members and non-members within non-members; one resample serves all seeds,
    since they share their records.
    """
    parts: dict[str, list[Floats]] = {}
    for weights in resample_counts(membership, seed, resamples, *purpose):
        for name, values in over_seeds(scores, membership, statistics, weights).items():
            parts.setdefault(name, []).append(values.mean(axis=0))
    return {name: np.concatenate(values) for name, values in parts.items()}
