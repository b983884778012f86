"""Does the audit keep its promise, and how much does it find? Printed by `python -m pytest -m study <this file> -s`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from audit_mechanisms import DELTA, Mechanism, Seen, delta_of, fixed_split, one_run

from bench.metrics.epsilon_estimate import choose_cut, estimate_at, largest_estimate
from bench.metrics.guesses import Guesses, ranked
from bench.metrics.one_run import largest_one_run_bound, lower_bound, one_run_bound

pytestmark = pytest.mark.study

ALPHA = 0.05
RUNS = 1000
COINS = 1000
SIZES = (100, 250, 500, 1000, 2500, 5000)
MECHANISMS: tuple[Mechanism, ...] = ("randomised response", "gaussian")


def bound(seen: Seen, delta: float, run: int) -> float:
    return one_run_bound(seen.scores, seen.coins, seen.ids, delta, ALPHA, run)


def estimate(seen: Seen, delta: float) -> float:
    """Every second member and non-member chooses; records are as good as shuffled here."""
    first = np.arange(len(seen.coins)) % 2 == 0
    cut = choose_cut(seen.scores[first], seen.coins[first], delta, ALPHA)
    return estimate_at(cut, seen.scores[~first], seen.coins[~first], delta, ALPHA)


def share(found: Iterable[bool]) -> float:
    return float(np.mean(list(found)))


@pytest.mark.parametrize("delta", [0.0, DELTA])
@pytest.mark.parametrize("mechanism", ["none", "constant"])
@pytest.mark.parametrize("coins", [100, 1000])
def test_without_a_leak_the_certified_bound_is_above_0_in_at_most_5_percent(
    coins: int, mechanism: Mechanism, delta: float
) -> None:
    above = share(bound(one_run(coins, mechanism, 0, run), delta, run) > 0 for run in range(RUNS))
    print(f"null, {mechanism} scores, {coins} coins, delta {delta:g}: bound above 0 in {above:.1%} of {RUNS} runs")
    assert above <= 0.05


@pytest.mark.parametrize("epsilon", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_certified_bound_exceeds_the_truth_in_at_most_6_5_percent(mechanism: Mechanism, epsilon: float) -> None:
    delta = delta_of(mechanism)
    found = [bound(one_run(COINS, mechanism, epsilon, run), delta, run) for run in range(RUNS)]
    above = share(value > epsilon for value in found)
    print(
        f"{mechanism}, epsilon {epsilon:g}, delta {delta:g}, {COINS} coins: bound above the truth in {above:.1%} of "
        f"{RUNS} runs, median {np.median(found):.2f}, 99.9 % quantile {np.quantile(found, 0.999):.2f}"
    )
    assert above <= 0.065


@pytest.mark.parametrize(
    ("mechanism", "epsilon", "least"),
    [
        *(("randomised response", e, 0.6) for e in (1.0, 2.0, 3.0, 4.0)),
        ("gaussian", 4.0, 0.15),
        ("gaussian", 8.0, 0.15),
    ],
)
def test_the_median_estimate_of_500_and_500_records(mechanism: Mechanism, epsilon: float, least: float) -> None:
    delta = delta_of(mechanism)
    found = [estimate(fixed_split(500, mechanism, epsilon, run), delta) for run in range(RUNS)]
    ratio, above = float(np.median(found)) / epsilon, share(value > epsilon for value in found)
    print(
        f"estimate, {mechanism}, epsilon {epsilon:g}, 500 + 500 records: median {np.median(found):.2f} = {ratio:.2f} "
        f"epsilon; above the truth in {above:.1%} of {RUNS} runs"
    )
    assert ratio >= least
    assert above <= 0.05


def test_without_a_leak_the_estimate_is_0() -> None:
    seen = [fixed_split(500, "none", 0, run) for run in range(RUNS)]
    ours = share(estimate(one, DELTA) > 0 for one in seen)
    same = share(choose_cut(one.scores, one.coins, DELTA, ALPHA).promise > 0 for one in seen)
    print(f"null, 500 + 500 records: estimate above 0 in {ours:.1%} of {RUNS} runs; {same:.1%} chosen on the same half")
    assert ours <= 0.05 < same


def table(title: str, largest: Callable[[int], float], median: Callable[[Mechanism, float, int], float]) -> None:
    print(f"\n{title}")
    print("| n | largest |" + "".join(f" {name}, {e:g} |" for name in ("RR", "Gauss") for e in (1, 2, 4, 8)))
    print("|---|---|" + "---|" * 8)
    for n in SIZES:
        cells = [median(mechanism, epsilon, n) for mechanism in MECHANISMS for epsilon in (1.0, 2.0, 4.0, 8.0)]
        print(f"| {n:,} | {largest(n):.2f} |" + "".join(f" {cell:.2f} |" for cell in cells))


def test_power_of_the_certified_bound() -> None:
    def median(mechanism: Mechanism, epsilon: float, n: int) -> float:
        delta = delta_of(mechanism)
        return float(np.median([bound(one_run(n, mechanism, epsilon, run), delta, run) for run in range(200)]))

    table("Certified bound, n coins: median of 200 runs", lambda n: largest_one_run_bound(n, DELTA, ALPHA), median)
    assert median("randomised response", 1.0, 1000) > median("randomised response", 1.0, 100)


def test_power_of_the_estimate() -> None:
    def median(mechanism: Mechanism, epsilon: float, n: int) -> float:
        delta = delta_of(mechanism)
        return float(np.median([estimate(fixed_split(n, mechanism, epsilon, run), delta) for run in range(200)]))

    def largest(n: int) -> float:
        return largest_estimate(n // 2, n // 2, DELTA, ALPHA)

    table("Estimate, n members and n non-members: median of 200 runs", largest, median)
    assert median("gaussian", 8.0, 1000) > median("gaussian", 8.0, 100)


def test_what_delta_and_many_tests_cost() -> None:
    print("\nLargest bound that a run can show, by delta and tests (attacks x seeds x claims)")
    print("| coins | delta |" + "".join(f" {tests} |" for tests in (1, 3, 6, 24)))
    print("|---|---|---|---|---|---|")
    for coins in (250, 1000, 5000):
        for delta in (0.0, 1e-6, 1e-5, 1e-4):
            cells = [largest_one_run_bound(coins, delta, ALPHA / tests) for tests in (1, 3, 6, 24)]
            assert cells == sorted(cells, reverse=True)
            print(f"| {coins:,} | {delta:g} |" + "".join(f" {cell:.2f} |" for cell in cells))


def nearly_all(n: int) -> Guesses:
    k = n // 2 - math.ceil(math.sqrt(n))
    return Guesses(k, k)


RULES: dict[str, Callable[[int], tuple[Guesses, ...]]] = {
    "all": lambda n: (Guesses(n // 2, n - n // 2),),
    "nearly all": lambda n: (nearly_all(n),),
    "half": lambda n: (Guesses(n // 4, n // 4),),
    "fifth": lambda n: (Guesses(n // 10, n // 10),),
    "twentieth at the top": lambda n: (Guesses(n // 20, 0),),
    "nearly all + fifth": lambda n: (nearly_all(n), Guesses(n // 10, n // 10)),
    "nearly all + half + twentieth": lambda n: (nearly_all(n), Guesses(n // 4, n // 4), Guesses(n // 20, 0)),
    "nearly all + fifth + tenth at the top": lambda n: (
        nearly_all(n), Guesses(n // 10, n // 10), Guesses(n // 10, 0),
    ),
    "nearly all + fifth + twentieth (used)": lambda n: (
        nearly_all(n), Guesses(n // 10, n // 10), Guesses(n // 20, 0),
    ),
}  # fmt: skip
LEAKS: tuple[tuple[str, Mechanism, float], ...] = (
    ("RR 1", "randomised response", 1.0),
    ("RR 4", "randomised response", 4.0),
    ("RR 8", "randomised response", 8.0),
    ("Gauss 2", "gaussian", 2.0),
    ("Gauss 4", "gaussian", 4.0),
    ("Gauss 8", "gaussian", 8.0),
    ("5 % of members", "some members", 0.05),
    ("10 % of members", "some members", 0.1),
    ("30 % of members", "some members", 0.3),
)


@pytest.mark.parametrize(("coins", "tests"), [(250, 1), (1000, 1), (1000, 6)])
def test_which_number_of_guesses_finds_most(coins: int, tests: int) -> None:
    print(f"\nMedian bound of 200 runs by what is guessed: {coins} coins, level .05 / {tests}")
    print("| guesses |" + "".join(f" {name} |" for name, _, _ in LEAKS) + " mean |")
    print("|---|" + "---|" * (len(LEAKS) + 1))
    means = {}
    for rule, plan in RULES.items():
        medians = []
        for _, mechanism, strength in LEAKS:
            delta = delta_of(mechanism)
            found = []
            for run in range(200):
                seen = one_run(coins, mechanism, strength, run)
                by_score = seen.coins[ranked(seen.scores, seen.ids, run)]
                level = ALPHA / tests / len(plan(coins))
                found.append(
                    max(
                        lower_bound(coins, g.total, correct(by_score, g), delta, level)
                        for g in plan(coins)
                    )
                )  # fmt: skip
            medians.append(float(np.median(found)))
        means[rule] = np.mean(medians)
        print(f"| {rule} |" + "".join(f" {m:.2f} |" for m in medians) + f" {means[rule]:.2f} |")
    used = "nearly all + fifth + twentieth (used)"
    assert means[used] > means["all"]


def correct(by_score: np.ndarray, guesses: Guesses) -> int:
    out = by_score[len(by_score) - guesses.outside :]
    return int(by_score[: guesses.inside].sum() + (~out).sum())
