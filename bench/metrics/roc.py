"""Exact ROC statistics: every distinct score is a threshold, tied records are called together.

A curve is kept as counts, for many weightings of the records at once, so that a bootstrap resample (a
weighting by how often each record was drawn) costs a cumulative sum and not a sort. Counts are integers held
in float64 and ratios are taken last, so that a score without information gives its chance level to the last
bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_FALSE_POSITIVES = 10
"""A TPR at a small FPR is measured only where that FPR stands for at least this many non-members."""

_EXACT_NULL_RECORDS = 3000  # beyond, the null is approximated: the exact one takes seconds


def checked(scores: NDArray[Any], membership: NDArray[Any]) -> tuple[Floats, Bools]:
    """Scores as float64 ``(seeds, n)`` (one run's ``(n,)`` becomes one seed) and membership as bool ``(n,)``.

    Raises:
        InputError: the shapes do not fit, a score is not finite, or one of the two classes is empty.
    """
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    problems = []
    if np.asarray(membership).dtype != np.bool_:
        problems.append(f"expected membership of dtype bool, got {np.asarray(membership).dtype}")
    member = np.asarray(membership, dtype=np.bool_)
    if values.ndim != 2 or len(values) == 0 or member.ndim != 1 or values.shape[-1] != len(member):
        problems.append(
            f"expected scores of shape (seeds, n) and membership of shape (n,), got {np.shape(scores)} and "
            f"{np.shape(membership)}"
        )
    elif member.all() or not member.any():
        problems.append(
            f"expected members and non-members among the candidates, got {int(member.sum())} members of "
            f"{len(member)}: without both there is nothing to tell apart"
        )
    if not np.isfinite(values).all():
        problems.append(f"expected finite scores, got {int((~np.isfinite(values)).sum())} that are not")
    if problems:
        raise InputError(problems)
    return values, member


def one_run(scores: NDArray[Any], membership: NDArray[Any]) -> tuple[Floats, Bools]:
    """The scores ``(n,)`` of one run and the membership, checked; see :func:`checked`."""
    if np.ndim(scores) != 1:
        raise InputError(f"expected the scores of one run, shape (n,), got shape {np.shape(scores)}")
    values, member = checked(scores, membership)
    return values[0], member


@dataclass(frozen=True)
class ThresholdCounts:
    """How many are called members at each distinct threshold, from the highest down.

    Attributes:
        members: members called members, float64 ``(thresholds + 1, weightings)``; the first row is 0, the
            last all.
        nonmembers: non-members called members, of the same shape.
        thresholds: float64 ``(thresholds + 1,)``, decreasing; the first is infinity.
    """

    members: Floats
    nonmembers: Floats
    thresholds: Floats

    @property
    def n_members(self) -> Floats:
        """Total weight of the members, ``(weightings,)``."""
        total: Floats = self.members[-1]
        return total

    @property
    def n_nonmembers(self) -> Floats:
        """Total weight of the non-members, ``(weightings,)``."""
        total: Floats = self.nonmembers[-1]
        return total

    def tpr_at_fpr(self, fpr: float) -> tuple[Floats, Floats]:
        """Largest TPR with FPR <= ``fpr`` and the smallest FPR that attains it, ``(weightings,)`` each."""
        allowed = np.floor(fpr * self.n_nonmembers + 1e-9)  # .29 * 100 is 28.999… in floating point
        last = (self.nonmembers <= allowed).sum(axis=0) - 1
        best = np.take_along_axis(self.members, last[None], axis=0)
        first = (self.members < best).sum(axis=0)
        realised = np.take_along_axis(self.nonmembers, first[None], axis=0)[0]
        return best[0] / self.n_members, realised / self.n_nonmembers

    def advantage(self) -> Floats:
        """Largest TPR - FPR over the thresholds, ``(weightings,)`` in [0, 1]."""
        numerator: Floats = (self.members * self.n_nonmembers - self.nonmembers * self.n_members).max(axis=0)
        return numerator / (self.n_members * self.n_nonmembers)


def threshold_counts(scores: Floats, membership: Bools, weights: NDArray[Any] | None = None) -> ThresholdCounts:
    """The counts for one run's scores ``(n,)`` under ``weights`` ``(n, weightings)``; by default 1 each."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    weight = np.ones((len(scores), 1)) if weights is None else weights[order].astype(np.float64)
    members = np.zeros((len(ends) + 1, weight.shape[1]))
    nonmembers = np.zeros_like(members)
    called = np.cumsum(weight, axis=0)[ends]
    members[1:] = np.cumsum(weight * membership[order][:, None], axis=0)[ends]
    nonmembers[1:] = called - members[1:]
    return ThresholdCounts(members, nonmembers, np.concatenate([[np.inf], ranked[ends]]))


def weighted_auc(scores: Floats, membership: Bools, weights: NDArray[Any] | None = None) -> Floats:
    """P(member's score > non-member's) + half the ties, for scores ``(n,)`` under each weighting."""
    weight: NDArray[Any] = np.ones((len(scores), 1)) if weights is None else weights
    own, others = scores[membership], scores[~membership]
    order = np.argsort(own, kind="stable")
    below = np.zeros((len(own) + 1, weight.shape[1]))  # weight of the k lowest members
    np.cumsum(weight[np.flatnonzero(membership)[order]], axis=0, dtype=np.float64, out=below[1:])
    first = np.searchsorted(own[order], others, side="left")
    last = np.searchsorted(own[order], others, side="right")
    lost = below[first]  # members below a non-member; ties count in one of the two sums only
    lost += lost if np.array_equal(first, last) else below[last]
    outside = weight[~membership].astype(np.float64)
    pairs = 2 * below[-1] * outside.sum(axis=0)
    won: Floats = (pairs - np.einsum("nb,nb->b", outside, lost)) / pairs
    return won


def auc(scores: NDArray[Any], membership: NDArray[Any]) -> float:
    """Area under the exact ROC curve of one run's scores ``(n,)``, ties averaged; in [0, 1].

    >>> auc(np.array([2.0, 1.0, 1.0, 0.0]), np.array([True, True, False, False]))
    0.875

    Raises:
        InputError: see :func:`checked`.
    """
    return float(weighted_auc(*one_run(scores, membership))[0])


def advantage(scores: NDArray[Any], membership: NDArray[Any]) -> float:
    """Largest TPR - FPR over all thresholds of one run's scores ``(n,)`` (Yeom et al., CSF 2018); in [0, 1].

    It is chosen on the scores that it is measured on, so it is above 0 without any leakage: read it beside
    :func:`advantage_null_quantile`.

    Raises:
        InputError: see :func:`checked`.
    """
    return float(threshold_counts(*one_run(scores, membership)).advantage()[0])


@dataclass(frozen=True)
class TprAtFpr:
    """A point that the exact ROC curve attains.

    Attributes:
        tpr: share of the members called members, in [0, 1].
        fpr: the realised share of the non-members called members, at most what was asked.
    """

    tpr: float
    fpr: float


def measurable(fpr: float, n_nonmembers: int) -> bool:
    """Whether so small an FPR stands for enough non-members to be measured."""
    return fpr * n_nonmembers >= MIN_FALSE_POSITIVES - 1e-9


def tpr_at_fpr(scores: NDArray[Any], membership: NDArray[Any], fpr: float) -> TprAtFpr | None:
    """Largest attainable TPR with realised FPR <= ``fpr``, or None where |N| x ``fpr`` < 10.

    Nothing is interpolated, and all records of one score are called together (Carlini et al., S&P 2022,
    section IV, for the measure).

    Raises:
        InputError: ``fpr`` lies outside (0, 1); see also :func:`checked`.
    """
    values, member = one_run(scores, membership)
    if not 0 < fpr < 1:
        raise InputError(f"expected a false-positive rate between 0 and 1, got {fpr}")
    if not measurable(fpr, int((~member).sum())):
        return None
    tpr, realised = threshold_counts(values, member).tpr_at_fpr(fpr)
    return TprAtFpr(float(tpr[0]), float(realised[0]))


@dataclass(frozen=True)
class RocCurve:
    """The exact ROC curve: float64 ``(thresholds + 1,)`` each, from (0, 0) at infinity to (1, 1).

    Attributes:
        fpr: false-positive rates, non-decreasing.
        tpr: true-positive rates, non-decreasing.
        thresholds: a record is called a member when its score is at least this.
    """

    fpr: Floats
    tpr: Floats
    thresholds: Floats


def roc_curve(scores: NDArray[Any], membership: NDArray[Any]) -> RocCurve:
    """The exact ROC curve of one run's scores ``(n,)``, for plotting.

    Raises:
        InputError: see :func:`checked`.
    """
    counts = threshold_counts(*one_run(scores, membership))
    fpr, tpr = counts.nonmembers / counts.n_nonmembers, counts.members / counts.n_members
    return RocCurve(fpr[:, 0], tpr[:, 0], counts.thresholds)


def advantage_null_sf(value: float, n_members: int, n_nonmembers: int) -> float:
    """P(advantage >= ``value``) when members and non-members have one continuous score distribution.

    The one-sided two-sample Kolmogorov-Smirnov null: exact by counting lattice paths up to 3,000 records,
    beyond by Hodges' approximation (Arkiv för Matematik 1958, eq. 5.3). With tied scores the true probability
    is smaller.
    """
    m, n = max(n_members, n_nonmembers), min(n_members, n_nonmembers)
    if m + n > _EXACT_NULL_RECORDS:
        z = value * np.sqrt(m * n / (m + n))
        return float(np.exp(-2 * z**2 - 2 * z * (m + 2 * n) / np.sqrt(m * n * (m + n)) / 3))
    inside = np.zeros(n + 1)  # probability of having seen i of the n, and never having reached the value
    inside[0] = 1
    seen = np.arange(n + 1)
    for step in range(1, m + n + 1):
        rest = m + n - step + 1
        others = step - seen  # of the m, after this step
        advanced = inside * (m - others + 1) / rest
        advanced[1:] += inside[:-1] * (n - seen[1:] + 1) / rest
        reached = seen * m - others * n >= value * m * n - 1e-6
        inside = np.where(reached, 0.0, advanced)
    return float(1 - inside[n])


@lru_cache(maxsize=64)
def advantage_null_quantile(n_members: int, n_nonmembers: int, q: float = 0.95) -> float:
    """The ``q`` quantile of one run's advantage under no leakage.

    The smallest value that the advantage can take and that is exceeded with probability at most 1 - ``q``.

    Raises:
        InputError: a class is empty, or ``q`` lies outside (0, 1).
    """
    if n_members < 1 or n_nonmembers < 1 or not 0 < q < 1:
        raise InputError(
            f"expected members, non-members and a quantile in (0, 1), got {n_members}, {n_nonmembers} and {q}"
        )
    steps = math.lcm(n_members, n_nonmembers)  # every advantage is a multiple of 1 / steps
    low, high = 0, steps  # P(advantage > high / steps) <= 1 - q always holds
    while low < high:
        middle = (low + high) // 2
        if advantage_null_sf((middle + 1) / steps, n_members, n_nonmembers) <= 1 - q:
            high = middle
        else:
            low = middle + 1
    return low / steps
