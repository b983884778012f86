"""Intervals and p-values of differences, against closed forms, plain loops and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.compare.evidence import Evidence, jackknife_variance, judge, least_difference, run_spread
from bench.compare.measures import FIGURES, SPREAD_DF, Figure
from bench.rng import generator

AUC, KID = FIGURES["auc"], FIGURES["kid"]
BASE, NEW = (0.50, 0.53, 0.49), (0.61, 0.58)


def test_the_moderated_spread_is_the_weighted_mean_of_variances() -> None:
    assert AUC.spread is not None
    total, df = SPREAD_DF * AUC.spread**2, SPREAD_DF
    for runs in (BASE, NEW):
        mean = sum(runs) / len(runs)
        for value in runs:
            total += (value - mean) ** 2
        df += len(runs) - 1
    assert run_spread(Evidence(BASE, NEW), AUC) == (pytest.approx(math.sqrt(total / df)), df)


def test_a_share_is_of_the_geometric_mean() -> None:
    spread, df = run_spread(Evidence((100.0,), (400.0,)), KID)
    assert KID.spread is not None
    assert (spread, df) == (pytest.approx(KID.spread * 200), SPREAD_DF)


def test_a_distance_about_zero_has_the_spread_of_its_records() -> None:
    spread, _ = run_spread(Evidence((-1.0,), (1.0,), over_records=9.0), KID)
    assert KID.spread is not None
    assert spread == pytest.approx(KID.spread * 3)


def test_without_spread_over_records_it_is_students_test() -> None:
    evidence = Evidence(BASE, NEW)
    spread, df = run_spread(evidence, AUC)
    error = spread * math.sqrt(1 / 3 + 1 / 2)
    d = np.mean(NEW) - np.mean(BASE)
    judged = judge(evidence, AUC)
    assert judged.p_rise == pytest.approx(stats.t.sf(d / error, df), rel=1e-6)
    assert judged.p_fall == pytest.approx(1 - judged.p_rise)
    half = stats.t.ppf(0.975, df) * error
    assert (judged.low, judged.high) == (pytest.approx(d - half), pytest.approx(d + half))


def test_without_spread_over_runs_it_is_the_normal_test() -> None:
    exact = Figure("auc", "lower", "scores", 0.0)
    judged = judge(Evidence((0.5,), (0.45,), over_records=0.02**2), exact)
    assert judged.p_fall == pytest.approx(stats.norm.sf(0.05 / 0.02), rel=1e-6)
    assert judged.high - judged.low == pytest.approx(2 * 1.959964 * 0.02, rel=1e-5)


def test_the_p_value_is_the_level_at_which_the_interval_ends_at_zero() -> None:
    evidence = Evidence(BASE, NEW, over_records=0.015**2)
    p = judge(evidence, AUC).p_rise
    assert least_difference(evidence, AUC, p) == pytest.approx(evidence.difference, rel=1e-6)
    spread, df = run_spread(evidence, AUC)
    runs = spread * math.sqrt(1 / 3 + 1 / 2)
    assert math.hypot(stats.t.isf(p, df) * runs, stats.norm.isf(p) * 0.015) == pytest.approx(evidence.difference)


def test_directions_mirror_each_other() -> None:
    there, back = judge(Evidence(BASE, NEW, 1e-4), AUC), judge(Evidence(NEW, BASE, 1e-4), AUC)
    assert (there.p_rise, there.low) == (pytest.approx(back.p_fall), pytest.approx(-back.high))


def test_no_difference_is_even() -> None:
    assert judge(Evidence((0.5, 0.6), (0.6, 0.5)), AUC).p_rise == pytest.approx(0.5)


def test_equal_measurements_are_no_test() -> None:
    judged = judge(Evidence((0.5,), (0.5,), identical=True), AUC)
    assert (judged.low, judged.high, judged.p_rise, judged.p_fall) == (0, 0, 1, 1)


def test_a_difference_beyond_all_doubt() -> None:
    exact = Figure("auc", "lower", "scores", 0.0)
    assert judge(Evidence((0.5,), (0.9,), over_records=1e-6), exact).p_rise <= 1e-12
    assert judge(Evidence((0.5,), (0.9,)), exact).p_rise <= 1e-12


def test_more_runs_see_more() -> None:
    seen = [least_difference(Evidence(BASE[:1] * n, BASE[:1] * n), AUC, 0.01) for n in (1, 2, 3, 5, 10)]
    assert seen == sorted(seen, reverse=True)
    assert least_difference(Evidence((0.5,), (0.5,), identical=True), AUC, 0.01) == 0


def test_the_jackknife_of_runs_that_share_their_holdout() -> None:
    assert jackknife_variance([10 - 1.96, 20 - 3.92], [10 + 1.96, 20 + 3.92]) == pytest.approx(1.5**2, rel=1e-4)


@pytest.mark.parametrize(("runs", "spread"), [(1, 0.02), (2, 0.02), (2, 0.03), (5, 0.03), (2, 0.005)])
def test_equal_boards_are_told_apart_at_most_as_often_as_the_level(runs: int, spread: float) -> None:
    """Runs that differ by up to half as much again as expected; the level is one of many tests'."""
    draws = generator(0, "null", runs, str(spread)).normal(0.7, spread, size=(600, 2, runs))
    level = 0.01
    hits = sum(judge(Evidence(tuple(a), tuple(b)), AUC).p_rise < level for a, b in draws.tolist())
    assert hits / 600 <= stats.binom.ppf(0.999, 600, 1.5 * level) / 600
