"""An estimate of epsilon on any split: an indication, which certifies nothing.

Differential privacy bounds every attack: TPR <= e^epsilon FPR + delta, and the same for the records that it calls
non-members (Kairouz, Oh and Viswanath, ICML 2015, theorem 2.1). Turned round, the rates of an attack say how large
epsilon must be (Jagielski, Ullman and Oprea, NeurIPS 2020; Nasr et al., IEEE S&P 2021), given limits of both rates.

Picked on the scores that it is measured on, a threshold finds an epsilon above 0 in nearly every run without any leak.
So it is chosen on one half of the records and measured once on the other; the halves are not swapped, since two looks
would have to be paid for. It stays an estimate all the same: records of one training are no independent trials of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from bench.errors import InputError
from bench.metrics.roc import Bools, Floats, one_run, threshold_counts


@dataclass(frozen=True)
class Cut:
    """A rule that calls records members, chosen on some of them.

    Attributes:
        direction: 1 where large scores are called members, -1 where small ones are.
        threshold: ``direction * score`` from which on a record is called a member.
        promise: the lower limit on the records that it was chosen on; it says nothing but which rule to choose.
    """

    direction: Literal[1, -1]
    threshold: float
    promise: float


@lru_cache(maxsize=64)
def lower_limits(n: int, alpha: float) -> Floats:
    """Clopper and Pearson's lower limit of a rate, at level ``alpha``, for 0 to ``n`` hits of ``n``: ``(n + 1,)``.

    The upper limit for k hits is 1 minus the lower one for n - k.
    """
    hits = np.arange(1, n + 1)
    limits = np.concatenate([[0.0], betaincinv(hits, n - hits + 1.0, alpha)])
    limits.setflags(write=False)  # it is shared between calls
    return limits


def epsilon_of_counts(
    true_positives: NDArray[Any],
    false_positives: NDArray[Any],
    members: int,
    nonmembers: int,
    delta: float,
    alpha: float,
) -> Floats:
    """Lower limits of epsilon from counts ``(n,)``; -inf where the rates bound nothing.

    The larger of ln((TPR_low - delta) / FPR_high) and ln((TNR_low - delta) / FNR_high). As TNR_low = 1 - FPR_high and
    FNR_high = 1 - TPR_low, both rest on the same two limits, at ``alpha`` / 2 each: nothing more is charged for two.
    """
    tpr_low = lower_limits(members, alpha / 2)[true_positives]
    tnr_low = lower_limits(nonmembers, alpha / 2)[nonmembers - np.asarray(false_positives)]
    ratio = np.maximum((tpr_low - delta) / (1 - tnr_low), (tnr_low - delta) / (1 - tpr_low))
    with np.errstate(divide="ignore"):
        found: Floats = np.log(np.maximum(ratio, 0.0))
    return found


def choose_cut(scores: NDArray[Any], membership: NDArray[Any], delta: float, alpha: float) -> Cut:
    """The direction and threshold with the largest lower limit on these records.

    Args:
        scores: float64 ``(n,)`` of one run.
        membership: bool ``(n,)``.
        delta, alpha: as the estimate will have them.

    Raises:
        InputError: see :func:`bench.metrics.roc.checked`; ``delta`` or ``alpha`` is no probability.
    """
    _check(delta, alpha)
    values, member = one_run(scores, membership)
    best: Cut | None = None
    sign: Literal[1, -1]
    for sign in (1, -1):
        counts = threshold_counts(sign * values, member)
        hits, false = (called[:, 0].astype(np.int64) for called in (counts.members, counts.nonmembers))
        limits = epsilon_of_counts(hits, false, int(member.sum()), int((~member).sum()), delta, alpha)
        at = int(limits.argmax())
        if best is None or limits[at] > best.promise:
            best = Cut(sign, float(counts.thresholds[at]), float(limits[at]))
    assert best is not None
    return best


def estimate_at(cut: Cut, scores: NDArray[Any], membership: NDArray[Any], delta: float, alpha: float) -> float:
    """The estimate of epsilon of a rule on records that it was not chosen on; never below 0.

    Raises:
        InputError: see :func:`choose_cut`.
    """
    _check(delta, alpha)
    values, member = one_run(scores, membership)
    called: Bools = cut.direction * values >= cut.threshold
    hits, false = np.array([(called & member).sum()]), np.array([(called & ~member).sum()])
    limit = epsilon_of_counts(hits, false, int(member.sum()), int((~member).sum()), delta, alpha)[0]
    return max(0.0, float(limit))


def largest_estimate(members: int, nonmembers: int, delta: float, alpha: float) -> float:
    """The estimate if every record of the measured half were told right.

    Args:
        members, nonmembers: how many are measured on, at least 1 each.
        delta, alpha: as the estimate has them.

    >>> round(largest_estimate(250, 250, 0.0, 0.05), 2)
    4.21

    Raises:
        InputError: ``delta`` or ``alpha`` is no probability, or a class is empty.
    """
    _check(delta, alpha)
    if members < 1 or nonmembers < 1:
        raise InputError(f"expected members and non-members to measure on, got {members} and {nonmembers}")
    right = epsilon_of_counts(np.array([members]), np.array([0]), members, nonmembers, delta, alpha)[0]
    return max(0.0, float(right))


def _check(delta: float, alpha: float) -> None:
    if not (0 <= delta < 1 and 0 < alpha < 1):
        raise InputError(f"expected delta in [0, 1) and a level in (0, 1), got {delta} and {alpha}")
