"""The certified bound: against the paper's figures, a naive computation, and mechanisms whose epsilon is known."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from audit_mechanisms import DELTA, Mechanism, delta_of, gaussian_delta, gaussian_mu, one_run
from scipy.stats import binom

from bench.errors import InputError
from bench.metrics.guesses import Guesses, guess_plan, ranked
from bench.metrics.one_run import largest_one_run_bound, lower_bound, one_run_bound, p_value
from bench.rng import generator

ALPHA = 0.05


def naive_p_value(m: int, r: int, v: int, q: Fraction, delta: Fraction) -> Fraction:
    """Corollary 5.4 as it is written, in exact arithmetic: every sum anew."""

    def pmf(k: int) -> Fraction:
        return math.comb(r, k) * q**k * (1 - q) ** (r - k)

    tail = sum((pmf(k) for k in range(v, r + 1)), Fraction(0))
    steps = [sum((pmf(k) for k in range(v - i, v)), Fraction(0)) / i for i in range(1, v + 1)]
    return min(Fraction(1), tail + 2 * m * delta * max(steps, default=Fraction(0)))


@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1, 10**4), Fraction(1, 100)])
@pytest.mark.parametrize(("m", "r", "v"), [(1, 1, 1), (9, 7, 0), (20, 12, 12), (40, 25, 18), (60, 25, 7)])
def test_p_value_is_that_of_exact_arithmetic(m: int, r: int, v: int, delta: Fraction) -> None:
    for q in (Fraction(1, 2), Fraction(2, 3), Fraction(19, 20)):
        found = p_value(m, r, v, math.log(q / (1 - q)), float(delta))
        assert found == pytest.approx(float(naive_p_value(m, r, v, q, delta)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("m", "r", "v", "delta", "printed", "digits"),
    [
        (100, 100, 75, 0.0, 0.702, 3),  # appendix D
        (100, 100, 75, 1e-4, 0.699, 3),
        (1000, 100, 75, 1e-4, 0.673, 3),
        (100_000, 1510, 1439, 1e-5, 2.675, 3),  # section 7, figure 11; 2.6758 is cut off, not rounded
    ],
)
def test_bounds_that_the_paper_prints(m: int, r: int, v: int, delta: float, printed: float, digits: int) -> None:
    assert abs(lower_bound(m, r, v, delta, ALPHA) - printed) < 10.0**-digits


def test_without_delta_the_bound_is_clopper_and_pearson() -> None:
    for r, v in ((50, 40), (1000, 731), (1000, 1000)):
        q = binom_lower(v, r)
        assert lower_bound(r, r, v, 0.0, ALPHA) == pytest.approx(math.log(q / (1 - q)), abs=1e-8)
    assert lower_bound(1000, 1000, 1000, 0.0, ALPHA) == pytest.approx(5.81, abs=0.005)


def binom_lower(v: int, r: int) -> float:
    """Clopper and Pearson's lower limit by halving the binomial tail."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if binom.sf(v - 1, r, middle) < ALPHA else (low, middle)
    return low


@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-3, 1e-2])
@pytest.mark.parametrize(("m", "r"), [(40, 30), (1000, 50), (1000, 936)])
def test_what_is_refuted_is_everything_below_the_bound(m: int, r: int, delta: float) -> None:
    # Else bisection could end above an epsilon that is not refuted, and the bound would promise too much.
    for v in sorted({r // 2, int(0.7 * r), int(0.9 * r), r}):
        bound = lower_bound(m, r, v, delta, ALPHA)
        grid = np.linspace(0, 12, 300)
        refuted = np.array([p_value(m, r, v, epsilon, delta) < ALPHA for epsilon in grid])
        assert refuted.tolist() == (grid < bound).tolist()


def test_delta_and_a_smaller_level_lower_the_bound() -> None:
    assert lower_bound(500, 100, 90, 1e-4, ALPHA) < lower_bound(500, 100, 90, 0.0, ALPHA)
    assert lower_bound(500, 100, 90, 0.0, ALPHA / 3) < lower_bound(500, 100, 90, 0.0, ALPHA)
    assert lower_bound(500, 100, 100, 0.5, ALPHA) == 0.0  # such a delta allows anything


@pytest.mark.parametrize("m", [0, 3, 4, 9, 20, 21, 100, 999, 1000, 5000])
def test_the_plan_of_guesses_fits_any_number_of_coins(m: int) -> None:
    plan = guess_plan(m)
    assert len(set(plan)) == len(plan)
    assert all(g.inside > 0 and g.outside >= 0 and g.total <= m for g in plan)
    assert largest_one_run_bound(m, DELTA, ALPHA) == max(
        (lower_bound(m, g.total, g.total, DELTA, ALPHA / len(plan)) for g in plan), default=0.0
    )


def test_every_number_of_guesses_is_charged_for() -> None:
    m = 200
    plan = guess_plan(m)
    assert plan == (Guesses(85, 85), Guesses(20, 20), Guesses(10, 0))
    rng = generator(0, "planted scores")
    coins = rng.random(m) < 0.5
    scores = 2 * coins + rng.normal(size=m)
    order = np.argsort(-scores)
    bounds = []
    for inside, outside in plan:
        correct = coins[order[:inside]].sum() + (~coins[order[m - outside :]]).sum()
        bounds.append(lower_bound(m, inside + outside, int(correct), DELTA, ALPHA / 3))
    assert one_run_bound(scores, coins, np.arange(m), DELTA, ALPHA, 0) == max(bounds) > 0


def test_a_perfect_attack_reaches_the_largest_bound() -> None:
    # The middle is left out, so that it does so although the number that joined is none that was guessed.
    for run in range(20):
        coins = generator(run, "perfect").random(1000) < 0.5
        ids = np.arange(1000)
        assert one_run_bound(coins.astype(float), coins, ids, DELTA, ALPHA, 0) == largest_one_run_bound(
            1000, DELTA, ALPHA
        )


def test_ties_are_broken_by_record_id_and_never_by_a_coin() -> None:
    rng = generator(0, "ties")
    scores, ids = np.round(rng.normal(size=300)), rng.permutation(900)[:300]
    order = ranked(scores, ids, 7)
    assert (np.diff(scores[order]) <= 0).all()
    shuffled = rng.permutation(300)
    assert (ids[shuffled][ranked(scores[shuffled], ids[shuffled], 7)] == ids[order]).all()
    assert (ids[ranked(scores, ids, 8)] != ids[order]).any()
    # All alike: the guesses of one run cannot follow the coins, whichever they are.
    same, counts = np.zeros(300), []
    for run in range(200):
        coins = generator(run, "coins of ties").random(300) < 0.5
        counts.append(coins[ranked(same, ids, 7)][:100].sum())
    assert binom.cdf(sum(counts), 200 * 100, 0.5) == pytest.approx(0.5, abs=0.499)


def test_the_order_of_records_changes_nothing_and_reversed_scores_refute_nothing() -> None:
    seen = one_run(400, "gaussian", 8, 0)
    bound = one_run_bound(seen.scores, seen.coins, seen.ids, DELTA, ALPHA, 0)
    p = generator(0, "order").permutation(400)
    assert one_run_bound(seen.scores[p], seen.coins[p], seen.ids[p], DELTA, ALPHA, 0) == bound > 0
    assert one_run_bound(-seen.scores, seen.coins, seen.ids, DELTA, ALPHA, 0) == 0  # one direction only


@pytest.mark.parametrize("mechanism", ["none", "constant"])
def test_without_a_leak_the_bound_is_seldom_above_0(mechanism: Mechanism) -> None:
    runs = 200
    above = sum(one_run_bound(*_of(300, mechanism, 0, run), 0.0, ALPHA, run) > 0 for run in range(runs))
    assert above <= binom.ppf(0.999, runs, ALPHA)


@pytest.mark.parametrize(("mechanism", "epsilon"), [("randomised response", 2.0), ("gaussian", 4.0)])
def test_the_bound_seldom_exceeds_the_truth(mechanism: Mechanism, epsilon: float) -> None:
    runs = 150
    found = [one_run_bound(*_of(300, mechanism, epsilon, run), delta_of(mechanism), ALPHA, run) for run in range(runs)]
    assert sum(bound > epsilon for bound in found) <= binom.ppf(0.999, runs, ALPHA)
    assert np.median(found) > 0.1 * epsilon  # and it is no bound of 0


def _of(n: int, mechanism: Mechanism, strength: float, run: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    seen = one_run(n, mechanism, strength, run)
    return seen.scores, seen.coins, seen.ids


def test_the_gaussian_mechanism_of_these_tests_has_the_epsilon_it_says() -> None:
    # By numerical integration of the densities, where the first exceeds e^epsilon times the second.
    x = np.linspace(-12, 20, 400_001)
    for epsilon in (1.0, 4.0, 8.0):
        mu = gaussian_mu(epsilon)
        density = np.exp(-((x - mu) ** 2) / 2), np.exp(-(x**2) / 2)
        excess = (
            np.maximum(density[0] - math.exp(epsilon) * density[1], 0).sum() * (x[1] - x[0]) / math.sqrt(2 * math.pi)
        )
        assert excess == pytest.approx(DELTA, rel=1e-3)
        assert gaussian_delta(mu, epsilon) == pytest.approx(DELTA, rel=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((10, 11, 5, 1.0, 0.0), "expected 0 <= correct <= guesses <= coins"),
        ((10, 5, 6, 1.0, 0.0), "expected 0 <= correct <= guesses <= coins"),
        ((10, 5, 5, -1.0, 0.0), "epsilon >= 0"),
        ((10, 5, 5, 1.0, 1.5), r"delta in \[0, 1\]"),
    ],
)
def test_what_is_no_audit_is_refused(given: tuple[int, int, int, float, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        p_value(*given)


def test_a_level_is_a_probability() -> None:
    with pytest.raises(InputError, match="expected a level in"):
        lower_bound(10, 5, 5, 0.0, 1.0)
    with pytest.raises(InputError, match="expected finite scores"):
        one_run_bound(np.array([np.nan, 1.0]), np.array([True, False]), np.arange(2), 0.0, ALPHA, 0)
