"""The estimate of epsilon: its limits, what it finds in known mechanisms, and what it does not find in noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from audit_mechanisms import DELTA, Mechanism, Seen, delta_of, fixed_split
from scipy.stats import binom, binomtest

from bench.errors import InputError
from bench.metrics.epsilon_estimate import (
    Cut,
    choose_cut,
    epsilon_of_counts,
    estimate_at,
    largest_estimate,
    lower_limits,
)
from bench.metrics.headline import halves

ALPHA = 0.05


def estimate(seen: Seen, delta: float) -> float:
    """Chosen on one half, measured on the other."""
    first = halves(seen.ids, seen.coins, 0)
    cut = choose_cut(seen.scores[first], seen.coins[first], delta, ALPHA)
    return estimate_at(cut, seen.scores[~first], seen.coins[~first], delta, ALPHA)


def test_limits_are_clopper_and_pearsons() -> None:
    limits = lower_limits(23, 0.025)
    for hits in range(24):
        both = binomtest(hits, 23).proportion_ci(0.95, method="exact")  # .025 at each side
        assert limits[hits] == pytest.approx(both.low, abs=1e-9)
        assert 1 - limits[23 - hits] == pytest.approx(both.high, abs=1e-9)


def test_the_larger_of_both_ratios_by_hand() -> None:
    for hits, false in ((30, 2), (40, 20), (48, 35)):
        tpr = binomtest(hits, 50).proportion_ci(0.95, method="exact")
        fpr = binomtest(false, 60).proportion_ci(0.95, method="exact")
        high = math.log((tpr.low - 1e-3) / fpr.high)
        low = math.log((1 - fpr.high - 1e-3) / (1 - tpr.low))
        found = epsilon_of_counts(np.array([hits]), np.array([false]), 50, 60, 1e-3, ALPHA)[0]
        assert found == pytest.approx(max(high, low), abs=1e-9)


def test_a_delta_above_every_rate_bounds_nothing() -> None:
    assert epsilon_of_counts(np.array([5]), np.array([0]), 5, 5, 0.9, ALPHA)[0] == -math.inf
    assert largest_estimate(5, 5, 0.9, ALPHA) == 0.0


def test_the_cut_is_the_best_of_all_by_a_naive_search() -> None:
    seen = fixed_split(40, "gaussian", 8, 0)
    scores = np.round(seen.scores, 1)  # with ties
    best = max(
        float(
            epsilon_of_counts(
                np.array([(sign * scores >= t)[seen.coins].sum()]),
                np.array([(sign * scores >= t)[~seen.coins].sum()]),
                40,
                40,
                DELTA,
                ALPHA,
            )[0]
        )
        for sign in (1, -1)
        for t in np.append(np.unique(sign * scores), np.inf)
    )
    cut = choose_cut(scores, seen.coins, DELTA, ALPHA)
    assert cut.promise == best > 0
    assert cut.direction == 1
    assert estimate_at(cut, scores, seen.coins, DELTA, ALPHA) == cut.promise
    flipped = choose_cut(-scores, seen.coins, DELTA, ALPHA)
    assert (flipped.direction, flipped.threshold, flipped.promise) == (-1, cut.threshold, cut.promise)


def test_it_is_never_below_0_and_reaches_its_largest_on_a_perfect_attack() -> None:
    member = np.arange(100) < 50
    assert estimate_at(Cut(1, 0.5, 0.0), np.zeros(100), member, DELTA, ALPHA) == 0.0
    perfect = estimate_at(Cut(1, 0.5, 0.0), member.astype(float), member, DELTA, ALPHA)
    assert perfect == largest_estimate(50, 50, DELTA, ALPHA) > 0
    assert largest_estimate(250, 250, DELTA, ALPHA) == pytest.approx(4.21, abs=0.005)  # of 500 + 500, half is measured


@pytest.mark.parametrize("epsilon", [1.0, 2.0, 3.0, 4.0])
def test_randomised_response_is_found_to_three_fifths(epsilon: float) -> None:
    _median_reaches("randomised response", epsilon, 0.6)


@pytest.mark.parametrize("epsilon", [4.0, 8.0])
def test_the_gaussian_mechanism_is_found_to_three_twentieths(epsilon: float) -> None:
    _median_reaches("gaussian", epsilon, 0.15)


def _median_reaches(mechanism: Mechanism, epsilon: float, share: float) -> None:
    found = [estimate(fixed_split(500, mechanism, epsilon, run), delta_of(mechanism)) for run in range(30)]
    assert np.median(found) >= share * epsilon
    assert sum(value > epsilon for value in found) <= binom.ppf(0.999, 30, ALPHA)


def naive(seen: Seen, delta: float) -> float:
    """The mistake: the threshold with the largest ratio of the very rates that it is measured by."""
    best = 0.0
    for t in np.unique(seen.scores):
        called = seen.scores >= t
        for yes, no in ((called[seen.coins], called[~seen.coins]), (~called[~seen.coins], ~called[seen.coins])):
            if no.any() and yes.mean() > delta:
                best = max(best, math.log((yes.mean() - delta) / no.mean()))
    return best


def test_a_threshold_picked_on_the_same_scores_finds_epsilon_in_noise_and_ours_does_not() -> None:
    runs, same, other = 100, [], []
    for run in range(runs):
        seen = fixed_split(100, "none", 0, run)
        same.append(naive(seen, DELTA) > 0)
        other.append(estimate(seen, DELTA) > 0)
    assert sum(same) >= 0.92 * runs
    assert sum(other) <= binom.ppf(0.999, runs, ALPHA)


def test_picking_on_the_same_scores_breaks_the_promise_even_with_limits_for_both_rates() -> None:
    runs = 200
    same = [choose_cut(s.scores, s.coins, DELTA, ALPHA).promise > 0 for s in _null(runs)]
    assert sum(same) > binom.ppf(0.999, runs, ALPHA)


def _null(runs: int) -> list[Seen]:
    return [fixed_split(500, "none", 0, run) for run in range(runs)]


@pytest.mark.parametrize(("delta", "alpha"), [(-0.1, 0.05), (1.0, 0.05), (0.0, 0.0), (0.0, 1.0)])
def test_what_is_no_probability_is_refused(delta: float, alpha: float) -> None:
    member = np.array([True, False])
    for call in (
        lambda: choose_cut(np.zeros(2), member, delta, alpha),
        lambda: estimate_at(Cut(1, 0.0, 0.0), np.zeros(2), member, delta, alpha),
        lambda: largest_estimate(5, 5, delta, alpha),
    ):
        with pytest.raises(InputError, match="expected delta in"):
            call()


def test_an_empty_class_is_refused() -> None:
    with pytest.raises(InputError, match="expected members and non-members to measure on, got 0 and 3"):
        largest_estimate(0, 3, DELTA, ALPHA)
