"""Coverage of the intervals, their degenerate cases and the summary."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.stats import t as student

from bench.errors import InputError
from bench.metrics import intervals, privacy, roc
from bench.metrics.intervals import PrivacySummary, summarise, summarise_sets
from bench.metrics.sets import compose_sets
from bench.rng import generator

COLUMNS = (
    "auc",
    "accuracy",
    "tpr_at_1pct_fpr",
    "tpr_at_0_1pct_fpr",
    "advantage",
    "balanced_accuracy",
    "set_auc",
    "set_accuracy",
)


def with_sets(scores: NDArray[np.float64], member: NDArray[np.bool_], set_id: NDArray[np.int64]) -> PrivacySummary:
    return summarise(scores, member, summarise_sets(scores, member, set_id, 0, 50), 0, 50)


@pytest.mark.parametrize("true_auc", [0.5, 0.7])
def test_record_interval_of_the_auc_covers_the_truth(true_auc: float) -> None:
    shift = math.sqrt(2) * NormalDist().inv_cdf(true_auc)
    member = np.arange(200) < 100
    rng = generator(0, "coverage")
    covered = 0
    runs = 400
    for run in range(runs):
        summary = summarise(rng.normal(size=200) + shift * member, member, None, run, 300)
        covered += summary.auc_low <= true_auc <= summary.auc_high
    assert 0.92 <= covered / runs <= 0.98


def test_every_value_is_the_mean_over_seeds_of_its_own_function() -> None:
    rng = generator(0, "values")
    member = rng.permutation(np.arange(1400) < 400)
    scores = rng.normal(size=(2, 1400)).round(1) + 0.5 * member
    summary = summarise(scores, member, None, 0, 50)
    assert summary.auc == pytest.approx(np.mean([roc.auc(s, member) for s in scores]))
    assert summary.accuracy == pytest.approx(np.mean([privacy.accuracy(s, member) for s in scores]))
    assert summary.advantage == pytest.approx(np.mean([roc.advantage(s, member) for s in scores]))
    assert summary.balanced_accuracy == pytest.approx(np.mean([privacy.balanced_accuracy(s, member) for s in scores]))
    points = [roc.tpr_at_fpr(s, member, 0.01) for s in scores]
    assert summary.tpr_at_1pct_fpr == pytest.approx(np.mean([p.tpr for p in points if p]))
    assert summary.realised_fpr_at_1pct == max(p.fpr for p in points if p)
    assert summary.accuracy_chance == 400 / 1400
    assert summary.advantage_null == roc.advantage_null_quantile(400, 1000)
    assert (summary.members, summary.nonmembers, summary.seeds) == (400, 1000, 2)


def test_record_interval_is_the_percentiles_of_the_bootstrap() -> None:
    rng = generator(0, "percentiles")
    member = np.arange(300) < 100
    scores = rng.normal(size=(2, 300)) + 0.4 * member
    summary = summarise(scores, member, None, 7, 400)
    drawn = privacy.bootstrap(scores, member, privacy.record_statistics, 7, 400, "bootstrap", "records")
    ordered = np.sort(drawn["auc"])  # the 10.025th and the 390.975th of 400: 2.5 % and 97.5 % of 401
    low = ordered[9] + 0.025 * (ordered[10] - ordered[9])
    high = ordered[389] + 0.975 * (ordered[390] - ordered[389])
    assert [summary.auc_low, summary.auc_high] == pytest.approx([low, high])


def test_seed_interval_is_the_stated_formula_and_needs_three_seeds() -> None:
    rng = generator(0, "seeds")
    member = np.arange(300) < 100
    scores = rng.normal(size=(4, 300)) + np.array([0.1, 0.5, 0.3, 0.6])[:, None] * member
    summary = summarise(scores, member, None, 7, 400)
    values = [roc.auc(s, member) for s in scores]
    drawn = privacy.bootstrap(scores, member, privacy.record_statistics, 7, 400, "bootstrap", "records")
    half = math.sqrt(student.ppf(0.975, 3) ** 2 * np.var(values, ddof=1) / 4 + 1.96**2 * drawn["auc"].var(ddof=1))
    assert summary.auc_seed_low == pytest.approx(np.mean(values) - half)
    assert summary.auc_seed_high == pytest.approx(np.mean(values) + half)
    two = summarise(scores[:2], member, None, 7, 50)
    assert {getattr(two, f"{c}_seed_{side}") for c in COLUMNS for side in ("low", "high")} == {None}


def test_what_was_not_measured_is_none_and_never_zero() -> None:
    member = np.arange(1009) < 10
    summary = summarise(generator(0, "none").normal(size=(3, 1009)), member, None, 0, 20)
    for column in ("tpr_at_1pct_fpr", "tpr_at_0_1pct_fpr", "set_auc", "set_accuracy"):
        for end in ("", "_low", "_high", "_seed_low", "_seed_high"):
            assert getattr(summary, column + end) is None
    assert summary.realised_fpr_at_1pct is None
    assert summary.realised_fpr_at_0_1pct is None


def test_constant_score_is_chance_not_sort_order() -> None:
    member = np.arange(1500) < 500
    set_id = compose_sets(np.arange(1500), member, 10, 0)
    summary = with_sets(np.full((3, 1500), 0.1), member, set_id)
    chance = {
        "auc": 0.5,
        "accuracy": 1 / 3,
        "advantage": 0.0,
        "balanced_accuracy": 0.5,
        "tpr_at_1pct_fpr": 0.0,
        "set_auc": 0.5,
        "set_accuracy": 1 / 3,
    }
    for column, value in chance.items():
        for end in ("", "_low", "_high", "_seed_low", "_seed_high"):
            assert getattr(summary, column + end) == value, column + end
    assert summary.tied_fraction == 1


@pytest.mark.parametrize("classes", [(3, 4), (1, 1)])
def test_constant_score_is_exact_with_a_handful_of_records(classes: tuple[int, int]) -> None:
    member = np.arange(sum(classes)) < classes[0]
    summary = summarise(np.zeros(len(member)), member, None, 0, 20)
    assert (summary.auc_low, summary.auc, summary.auc_high) == (0.5, 0.5, 0.5)


def test_perfect_separation_does_not_claim_certainty() -> None:
    member = np.arange(1500) < 500
    set_id = compose_sets(np.arange(1500), member, 10, 0)
    scores = np.tile(member.astype(np.float64), (3, 1)) + generator(0, "perfect").random((3, 1500)) / 2
    summary = with_sets(scores, member, set_id)
    for column in COLUMNS:
        if column != "tpr_at_0_1pct_fpr":
            assert getattr(summary, column) == getattr(summary, f"{column}_high") == 1
            assert 0.8 < getattr(summary, f"{column}_low") < 1
            assert getattr(summary, f"{column}_seed_low") == getattr(summary, f"{column}_low")
    assert summary.auc_low == pytest.approx(0.025 ** (1 / 500))
    assert summary.set_auc_low == pytest.approx(0.025 ** (1 / 50))
    reverse = with_sets(-scores, member, set_id)
    assert (reverse.auc_low, reverse.auc) == (0, 0)
    assert reverse.auc_high == pytest.approx(1 - 0.025 ** (1 / 500))
    assert reverse.tpr_at_1pct_fpr_high == pytest.approx(1 - 0.025 ** (1 / 500))


def test_nearly_perfect_claims_no_more_than_perfect() -> None:
    member = np.arange(600) < 200
    scores = np.arange(600.0)[::-1].copy()
    perfect = summarise(scores, member, None, 0, 100)
    scores[[199, 200]] = scores[[200, 199]]
    nearly = summarise(scores, member, None, 0, 100)
    assert nearly.auc < 1
    for column in ("auc", "accuracy", "advantage", "balanced_accuracy"):
        assert getattr(nearly, f"{column}_low") <= getattr(perfect, f"{column}_low")


@st.composite
def populations(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two nearly separated distributions over eight ordered values, members mostly high."""

    def leak(total: float) -> NDArray[np.float64]:
        parts = draw(hnp.arrays(np.float64, 4, elements=st.floats(0, 1)))
        return parts * total / max(float(parts.sum()), 1e-9)

    wrong = [10 ** draw(st.floats(-3.5, -1)) for _ in range(2)]
    low, high = leak(wrong[0]), leak(wrong[1])
    members = np.concatenate([low, [1 - low.sum(), 0, 0, 0]])
    nonmembers = np.concatenate([[0, 0, 0, 1 - high.sum()], high])
    return np.roll(members, draw(st.integers(0, 3))), nonmembers


@settings(max_examples=300, deadline=None)
@given(populations(), st.sampled_from([(40, 40), (60, 1000), (1000, 60), (300, 1000)]))
def test_perfect_limits_are_exceeded_by_every_population_that_often_separates(
    population: tuple[NDArray[np.float64], NDArray[np.float64]], sizes: tuple[int, int]
) -> None:
    p, q = population
    M, N = sizes
    at_least = np.cumsum(p[::-1])[::-1]  # P(member >= value)
    lowest = at_least**M - np.append(at_least[1:], 0) ** M  # P(lowest of M members = value)
    separated = float((lowest * (np.cumsum(q) - q) ** N).sum())
    if separated <= 0.025:
        return
    values = np.arange(8.0)
    scores, member = np.concatenate([values, values]), np.arange(16) < 8
    weights = np.concatenate([p * M, q * N])[:, None]
    counts = roc.threshold_counts(scores, member, weights)
    limits = intervals.perfect_limits(M, N)
    assert roc.weighted_auc(scores, member, weights)[0] >= limits["auc"] - 1e-9
    assert privacy.accuracy_of(counts)[0] >= limits["accuracy"] - 1e-9
    assert privacy.balanced_accuracy_of(counts)[0] >= limits["balanced_accuracy"] - 1e-9
    assert counts.advantage()[0] >= limits["advantage"] - 1e-9
    if N >= 1000:
        tpr = max(float(at_least[i]) if i < 8 else 0.0 for i in range(9) if q[i:].sum() <= 0.01)
        assert tpr >= limits["tpr_at_1pct_fpr"] - 1e-9


def test_perfect_advantage_limit_holds_for_the_population_that_separates_most() -> None:
    # a share d of both classes mixes evenly between the rest: TPR - FPR = 1 - d all along the mixture
    M, N, parts = 60, 60, 20_000
    d = 1 - intervals.perfect_limits(M, N)["advantage"]
    at_least = 1 - d * np.arange(parts) / parts  # P(member >= part of the mixture)
    lowest = at_least**M - (at_least - d / parts) ** M
    below = 1 - d + d * np.arange(parts) / parts  # P(non-member < part)
    separated = float((lowest * below**N).sum() + (1 - d) ** M)
    assert 0.015 < separated <= 0.025


def test_separation_limit_is_attained_by_a_population() -> None:
    # a share 1 - a of the members lies below every non-member: AUC = a, and P(separated) = a^M exactly
    assert intervals.separation_limit(50, 80) ** 50 == pytest.approx(0.025)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_value_and_stays_a_rate(m: int, n: int, seeds: int, seed: int) -> None:
    member = np.arange(m + n) < m
    scores = generator(seed, "held").integers(0, 4, (seeds, m + n)).astype(np.float64)
    summary = summarise(scores, member, None, seed, 20)
    for column in ("auc", "accuracy", "advantage", "balanced_accuracy"):
        low, value, high = (getattr(summary, column + end) for end in ("_low", "", "_high"))
        assert 0 <= low <= value <= high <= 1


def test_tied_fraction_counts_the_worst_seed() -> None:
    member = np.arange(4) < 2
    scores = np.array([[1.0, 2, 3, 4], [1, 1, 2, 3], [5, 5, 6, 6]])
    assert summarise(scores, member, None, 0, 20).tied_fraction == 1
    assert summarise(scores[:2], member, None, 0, 20).tied_fraction == 0.5


def test_the_same_seed_gives_the_same_summary() -> None:
    member = np.arange(90) < 30
    scores = generator(0, "same").normal(size=(3, 90))
    first = summarise(scores, member, None, 4, 50)
    assert summarise(scores, member, None, 4, 50) == first
    assert summarise(scores, member, None, 5, 50) != first
    assert PrivacySummary.model_validate_json(first.model_dump_json()) == first


def test_the_summary_documents_every_field_and_takes_no_nan() -> None:
    assert all(field.description for field in PrivacySummary.model_fields.values())
    member = np.arange(4) < 2
    good = summarise(np.arange(4.0), member, None, 0, 20).model_dump()
    with pytest.raises(ValidationError, match="finite number"):
        PrivacySummary.model_validate(good | {"auc": math.nan})


def test_bad_scores_are_refused() -> None:
    with pytest.raises(InputError, match="expected finite scores"):
        summarise(np.array([[0.0, np.inf]]), np.array([True, False]), None, 0)
