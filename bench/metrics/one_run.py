"""A certified lower bound on epsilon from one training run whose members were decided by fair coins.

Steinke, Nasr and Jagielski, Privacy Auditing with One (1) Training Run, NeurIPS 2023. Each audit record joined the
training by a fair coin of its own. Someone who sees the release guesses some of the coins. Under (epsilon, delta)
differential privacy for adding or removing one record, right guesses are no more frequent than theorem 5.2 allows; more
of them refute that epsilon. Nothing is assumed of the records, the model or the guesses, but that the guesses saw no
coin and that their number was fixed beforehand.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from bench.errors import InputError
from bench.metrics.guesses import Guesses, guess_plan, ranked
from bench.metrics.roc import one_run

HALVINGS = 40  # of an interval of length 1: the bound is found to 1e-12


def p_value(coins: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Probability bound of so many correct guesses or more, under (``epsilon``, ``delta``)-DP; in [0, 1].

    Corollary 5.4 with the code of appendix D: P[B >= v] + 2 m delta max_i P[v > B >= v - i] / i, where B is
    Binomial(r, e^epsilon / (1 + e^epsilon)), m the coins, r the guesses, v those that are correct, i from 1 to v.

    >>> round(p_value(100, 100, 75, math.log(3), 0), 3)
    0.553

    Raises:
        InputError: not 0 <= correct <= guesses <= coins, epsilon below 0, or delta outside [0, 1].
    """
    if not (0 <= correct <= guesses <= coins and epsilon >= 0 and 0 <= delta <= 1):
        raise InputError(
            f"expected 0 <= correct <= guesses <= coins, epsilon >= 0 and delta in [0, 1], got {correct}, {guesses}, "
            f"{coins}, {epsilon} and {delta}"
        )
    accuracy = 1 / (1 + math.exp(-epsilon))  # of randomised response, which is the best that epsilon allows
    p = float(binom.sf(correct - 1, guesses, accuracy))
    if delta > 0 and correct > 0:
        below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, accuracy))
        p += 2 * coins * delta * float((below / np.arange(1, correct + 1)).max())
    return min(p, 1.0)


@lru_cache(maxsize=65536)
def lower_bound(coins: int, guesses: int, correct: int, delta: float, alpha: float) -> float:
    """Largest epsilon that so many correct guesses refute at level ``alpha``; 0 where they refute none.

    Found by bisection as in appendix D, from below: every smaller epsilon is refuted too.

    Args:
        coins: audit records, each of which joined by a fair coin.
        guesses: how many coins were guessed; the others are abstentions.
        correct: how many of the guesses are right.
        delta: of the claim that is tested.
        alpha: probability with which the bound may exceed the truth.

    Raises:
        InputError: ``alpha`` lies outside (0, 1); see also :func:`p_value`.
    """
    if not 0 < alpha < 1:
        raise InputError(f"expected a level in (0, 1), got {alpha}")
    if p_value(coins, guesses, correct, 0.0, delta) >= alpha:
        return 0.0
    low, high = 0.0, 1.0
    while p_value(coins, guesses, correct, high, delta) < alpha:
        low, high = high, high + 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if p_value(coins, guesses, correct, middle, delta) < alpha:
            low = middle
        else:
            high = middle
    return low


def one_run_bound(
    scores: NDArray[Any], coins: NDArray[Any], record_ids: NDArray[Any], delta: float, alpha: float, seed: int
) -> float:
    """Certified lower bound on epsilon at ``delta`` from one run's scores; 0 where nothing is refuted.

    The largest over :func:`bench.metrics.guesses.guess_plan`, whose entries share ``alpha`` evenly.

    Args:
        scores: float64 ``(n,)``, larger = more likely in; made without a look at the coins.
        coins: bool ``(n,)``, whose coin said in.
        record_ids: int64 ``(n,)``; the order of the records changes nothing.
        delta: of the claim that is tested.
        alpha: probability with which the bound may exceed the truth.
        seed: breaks ties of scores.

    Raises:
        InputError: see :func:`bench.metrics.roc.checked` and :func:`lower_bound`.
    """
    values, joined = one_run(scores, coins)
    by_score = joined[ranked(values, record_ids, seed)]
    plan = guess_plan(len(joined))
    return max((_of_guesses(by_score, guesses, delta, alpha / len(plan)) for guesses in plan), default=0.0)


def largest_one_run_bound(coins: int, delta: float, alpha: float) -> float:
    """The bound if every guess were right: what no run of so many coins can exceed, however much it leaks."""
    plan = guess_plan(coins)
    return max((lower_bound(coins, g.total, g.total, delta, alpha / len(plan)) for g in plan), default=0.0)


def _of_guesses(by_score: NDArray[np.bool_], guesses: Guesses, delta: float, alpha: float) -> float:
    n = len(by_score)
    correct = int(by_score[: guesses.inside].sum()) + int((~by_score[n - guesses.outside :]).sum())
    return lower_bound(n, guesses.total, correct, delta, alpha)
