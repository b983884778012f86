"""Exact ROC statistics against naive loops, scikit-learn and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ks_2samp, mannwhitneyu
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from bench.errors import InputError
from bench.metrics import roc
from bench.rng import generator

Labelled = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def labelled_scores(draw: st.DrawFn) -> Labelled:
    """Scores with many ties, with at least one record of each class."""
    members = draw(st.lists(st.integers(-3, 3), min_size=1, max_size=25))
    nonmembers = draw(st.lists(st.integers(-3, 3), min_size=1, max_size=25))
    order = np.array(draw(st.permutations(range(len(members) + len(nonmembers)))))
    scores = np.array(members + nonmembers, dtype=np.float64)[order]
    return scores, (np.arange(len(order)) < len(members))[order]


def naive_points(scores: NDArray[np.float64], member: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """(FPR, TPR) at infinity and at every score, by counting."""
    cuts = [math.inf, *sorted(set(scores.tolist()), reverse=True)]
    return [(float((scores[~member] >= c).mean()), float((scores[member] >= c).mean())) for c in cuts]


@settings(deadline=None)
@given(labelled_scores())
def test_auc_counts_pairs(data: Labelled) -> None:
    scores, member = data
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in scores[member] for b in scores[~member]]
    assert roc.auc(scores, member) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert roc.auc(scores, member) == pytest.approx(roc_auc_score(member, scores), abs=1e-12)
    u = mannwhitneyu(scores[member], scores[~member]).statistic
    assert roc.auc(scores, member) == pytest.approx(u / len(pairs), abs=1e-12)


@settings(deadline=None)
@given(labelled_scores())
def test_auc_is_mirrored_by_the_sign_and_kept_by_a_monotone_map(data: Labelled) -> None:
    scores, member = data
    assert roc.auc(-scores, member) == pytest.approx(1 - roc.auc(scores, member), abs=1e-12)
    assert roc.auc(np.exp(scores), member) == roc.auc(scores, member)


@settings(deadline=None)
@given(labelled_scores())
def test_curve_and_advantage_equal_a_loop_over_thresholds(data: Labelled) -> None:
    scores, member = data
    curve = roc.roc_curve(scores, member)
    points = naive_points(scores, member)
    np.testing.assert_allclose(np.stack([curve.fpr, curve.tpr], axis=1), points, atol=1e-12)
    assert curve.thresholds[0] == math.inf
    assert roc.advantage(scores, member) == pytest.approx(max(t - f for f, t in points), abs=1e-12)


def test_curve_equals_scikit_learn_without_its_dropped_points() -> None:
    rng = generator(0, "curve")
    scores, member = rng.normal(size=300).round(1), rng.random(300) < 0.4
    fpr, tpr, thresholds = sklearn_roc_curve(member, scores, drop_intermediate=False)
    curve = roc.roc_curve(scores, member)
    np.testing.assert_allclose(curve.fpr, fpr)
    np.testing.assert_allclose(curve.tpr, tpr)
    np.testing.assert_array_equal(curve.thresholds, thresholds)


@settings(max_examples=50, deadline=None)
@given(labelled_scores(), st.sampled_from([0.05, 0.1, 0.29, 0.5, 0.9]))
def test_tpr_at_fpr_equals_a_loop_over_thresholds(data: Labelled, fpr: float) -> None:
    scores, member = np.repeat(data[0], 200), np.repeat(data[1], 200)
    attainable = [(t, f) for f, t in naive_points(scores, member) if f <= fpr + 1e-12]
    best = max(t for t, _ in attainable)
    point = roc.tpr_at_fpr(scores, member, fpr)
    assert point is not None
    assert point.tpr == pytest.approx(best)
    assert point.fpr == pytest.approx(min(f for t, f in attainable if t == best))


def test_tpr_is_not_interpolated_and_never_above_the_asked_fpr() -> None:
    # 20 of 1,000 non-members tie with half of the members at the top: nothing but TPR 0 is attainable at 1 %,
    # interpolation would report .25 and the "nearest" threshold .5 at FPR 2 %
    scores = np.concatenate([np.ones(50), np.zeros(50), np.ones(20), np.zeros(980)])
    member = np.arange(1100) < 100
    assert roc.tpr_at_fpr(scores, member, 0.01) == roc.TprAtFpr(tpr=0.0, fpr=0.0)
    assert roc.tpr_at_fpr(scores, member, 0.02) == roc.TprAtFpr(tpr=0.5, fpr=0.02)


def test_a_whole_number_of_false_positives_survives_rounding() -> None:
    assert 0.29 * 100 < 29  # the trap
    scores = np.concatenate([np.full(10, 0.5), np.ones(29), np.zeros(71)])
    assert roc.tpr_at_fpr(scores, np.arange(110) < 10, 0.29) == roc.TprAtFpr(tpr=1.0, fpr=0.29)


@pytest.mark.parametrize(("n_nonmembers", "measured"), [(999, False), (1000, True)])
def test_tpr_at_1_percent_needs_1000_nonmembers(n_nonmembers: int, measured: bool) -> None:
    scores = np.arange(10.0 + n_nonmembers)
    point = roc.tpr_at_fpr(scores, np.arange(len(scores)) < 10, 0.01)
    assert (point is not None) == measured


def test_constant_score_is_chance_not_sort_order() -> None:
    for member in (np.arange(30) < 10, np.arange(30) >= 20):
        assert roc.auc(np.zeros(30), member) == 0.5
        assert roc.advantage(np.full(30, 7.0), member) == 0
        np.testing.assert_array_equal(roc.roc_curve(np.zeros(30), member).fpr, [0, 1])


def test_heavy_tails_need_exact_thresholds() -> None:
    rng = generator(0, "heavy tails")
    member = np.arange(2000) < 1000
    scores = rng.standard_cauchy(2000) + member * 0.75
    sweep = np.linspace(scores.max(), scores.min(), 100)
    fpr = [(scores[~member] >= c).mean() for c in sweep]
    tpr = [(scores[member] >= c).mean() for c in sweep]
    swept = float(np.trapezoid(tpr, fpr))
    exact = roc.auc(scores, member)
    assert exact == pytest.approx(roc_auc_score(member, scores), abs=1e-12)
    assert exact == pytest.approx(0.5 + math.atan(0.75 / 2) / math.pi, abs=0.03)
    assert swept < exact - 0.04


def test_advantage_reaches_its_null_quantile_in_five_percent_of_null_runs() -> None:
    # an advantage whose threshold is picked on the scores that it is measured on is above 0 in every null run
    member = np.arange(500) < 200
    rng = generator(0, "null advantage")
    values = np.array([roc.advantage(rng.normal(size=500), member) for _ in range(2000)])
    assert (values > 0).mean() > 0.99
    assert (values > roc.advantage_null_quantile(200, 300)).mean() == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(("m", "n"), [(5, 5), (7, 5), (5, 7), (30, 12), (50, 100)])
def test_advantage_null_is_the_one_sided_kolmogorov_smirnov_null(m: int, n: int) -> None:
    rng = generator(0, "ks", m, n)
    for _ in range(5):
        scores, member = rng.normal(size=m + n), np.arange(m + n) < m
        # members larger: the distribution function of the non-members lies above theirs
        reference = ks_2samp(scores[~member], scores[member], alternative="greater", method="exact")
        value = roc.advantage(scores, member)
        assert value == pytest.approx(reference.statistic, abs=1e-12)
        assert roc.advantage_null_sf(value, m, n) == pytest.approx(reference.pvalue, abs=1e-9)


def test_advantage_null_of_equal_sizes_is_gnedenko_and_korolyuks() -> None:
    n = 40
    for k in (1, 5, 12):
        expected = math.comb(2 * n, n - k) / math.comb(2 * n, n)
        assert roc.advantage_null_sf(k / n, n, n) == pytest.approx(expected, abs=1e-12)


def test_advantage_null_quantile_is_the_smallest_that_is_rarely_exceeded() -> None:
    q = roc.advantage_null_quantile(20, 30)
    step = 1 / math.lcm(20, 30)
    assert roc.advantage_null_sf(q + step, 20, 30) <= 0.05 < roc.advantage_null_sf(q, 20, 30)


def test_approximate_null_joins_the_exact_one() -> None:
    value = 0.04
    assert roc.advantage_null_sf(value, 1500, 1501) == pytest.approx(roc.advantage_null_sf(value, 1500, 1499), rel=0.02)
    reference = ks_2samp(np.arange(2000.0), np.arange(4000.0) / 2 + 80.3, alternative="greater", method="asymp")
    assert roc.advantage_null_sf(reference.statistic, 4000, 2000) == pytest.approx(reference.pvalue, rel=1e-6)


BOTH = np.array([True, False])


@pytest.mark.parametrize(
    ("scores", "member", "message"),
    [
        (np.zeros(3), BOTH, "expected scores of shape"),
        (np.zeros(2), np.array([True, True]), "expected members and non-members"),
        (np.array([0.0, np.nan]), BOTH, "expected finite scores, got 1"),
        (np.zeros(2), np.array([1, 0]), "expected membership of dtype bool"),
        (np.zeros((1, 2)), BOTH, "expected the scores of one run"),
    ],
)
def test_bad_input_is_refused(scores: NDArray[np.float64], member: NDArray[np.bool_], message: str) -> None:
    with pytest.raises(InputError, match=message):
        roc.auc(scores, member)


def test_bad_rates_are_refused() -> None:
    with pytest.raises(InputError, match="false-positive rate between 0 and 1, got 1"):
        roc.tpr_at_fpr(np.zeros(2), BOTH, 1)
    with pytest.raises(InputError, match=r"a quantile in \(0, 1\), got 1, 1 and 2"):
        roc.advantage_null_quantile(1, 1, 2)
