"""Accuracy under ties by enumeration, and weighted resamples against literal ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bench.errors import InputError
from bench.metrics import privacy, roc
from bench.rng import generator


def average_over_orders(scores: list[int], member: list[bool]) -> tuple[float, float]:
    """Accuracy and balanced accuracy of the top |M|, averaged over every order of tied records."""
    n, size = len(scores), sum(member)
    accuracies, balanced = [], []
    for order in itertools.permutations(range(n)):
        ranked = sorted(order, key=lambda i: -scores[i])  # stable: ties keep the order of the permutation
        hits = sum(member[i] for i in ranked[:size])
        accuracies.append(hits / size)
        balanced.append((hits / size + 1 - (size - hits) / (n - size)) / 2)
    return float(np.mean(accuracies)), float(np.mean(balanced))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=6))
def test_accuracy_is_the_mean_over_all_orders_of_ties(records: list[tuple[int, bool]]) -> None:
    scores, member = [s for s, _ in records], [m for _, m in records]
    if all(member) or not any(member):
        member[0] = not member[0]
    accuracy, balanced = average_over_orders(scores, member)
    assert privacy.accuracy(np.array(scores), np.array(member)) == pytest.approx(accuracy)
    assert privacy.balanced_accuracy(np.array(scores), np.array(member)) == pytest.approx(balanced)


def test_accuracy_is_the_stated_formula() -> None:
    # scores above the tie: 2 of which 1 is a member; the tie: 4 of which 2 are; 4 members in all
    scores = np.array([9, 8, 5, 5, 5, 5, 1, 0, 0])
    member = np.array([1, 0, 1, 1, 0, 0, 0, 0, 1], dtype=np.bool_)
    assert privacy.accuracy(scores, member) == pytest.approx((1 + (4 - 2) * 2 / 4) / 4)


@pytest.mark.parametrize(("m", "n"), [(500, 1000), (3, 7), (10, 10), (7, 3)])
def test_constant_score_is_chance_not_sort_order(m: int, n: int) -> None:
    for member in (np.arange(m + n) < m, np.arange(m + n) >= n):
        assert privacy.accuracy(np.full(m + n, 0.1), member) == privacy.accuracy_chance(member) == m / (m + n)
        assert privacy.balanced_accuracy(np.full(m + n, 0.1), member) == 0.5


def test_a_random_score_is_at_chance_on_average() -> None:
    member = np.arange(60) < 20
    rng = generator(0, "chance")
    draws = [rng.normal(size=60) for _ in range(2000)]
    assert np.mean([privacy.accuracy(s, member) for s in draws]) == pytest.approx(1 / 3, abs=0.01)
    assert np.mean([privacy.balanced_accuracy(s, member) for s in draws]) == pytest.approx(0.5, abs=0.01)


def literal(scores: NDArray[np.float64], member: NDArray[np.bool_]) -> dict[str, float]:
    """The statistics of a resample that was really drawn, each by its own function."""
    one, tenth = roc.tpr_at_fpr(scores, member, 0.01), roc.tpr_at_fpr(scores, member, 0.001)
    assert one is not None
    assert tenth is None
    return {
        "auc": roc_auc_score(member, scores),
        "accuracy": privacy.accuracy(scores, member),
        "balanced_accuracy": privacy.balanced_accuracy(scores, member),
        "advantage": roc.advantage(scores, member),
        "tpr_at_1pct_fpr": one.tpr,
    }


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_weighted_resamples_equal_literal_ones(decimals: int) -> None:
    rng = generator(0, "weighted", decimals)
    member = rng.permutation(np.arange(1300) < 300)
    scores = (rng.normal(size=1300) + member * 0.7).round(decimals)
    (weights,) = privacy.resample_counts(member, 3, 25, "test")
    fast = privacy.record_statistics(scores, member, weights)
    assert set(fast) == {"auc", "accuracy", "balanced_accuracy", "advantage", "tpr_at_1pct_fpr"}
    for b in range(25):
        drawn = np.repeat(np.arange(1300), weights[:, b])
        for name, value in literal(scores[drawn], member[drawn]).items():
            assert fast[name][b] == pytest.approx(value, abs=1e-12), name


def test_resamples_keep_the_size_of_every_stratum_and_draw_like_a_multinomial() -> None:
    strata = np.array([0] * 40 + [1] * 10 + [2] * 25)
    counts = np.concatenate(list(privacy.resample_counts(strata, 0, 4000, "test")), axis=1)
    assert counts.shape == (75, 4000)
    for stratum, size in ((0, 40), (1, 10), (2, 25)):
        part = counts[strata == stratum]
        assert (part.sum(axis=0) == size).all()
        np.testing.assert_allclose(part.mean(axis=1), 1, atol=0.08)
        np.testing.assert_allclose(part.var(axis=1), 1 - 1 / size, atol=0.15)


def test_chunks_change_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    member = np.arange(50) < 17
    whole = np.concatenate(list(privacy.resample_counts(member, 1, 101, "test")), axis=1)
    monkeypatch.setattr(privacy, "_CHUNK_CELLS", 350)
    parts = list(privacy.resample_counts(member, 1, 101, "test"))
    assert len(parts) == 15
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_seeds_share_their_resamples() -> None:
    rng = generator(0, "seeds")
    scores, member = rng.normal(size=(1, 80)), np.arange(80) < 30
    one = privacy.bootstrap(scores, member, privacy.record_statistics, 5, 50, "test")
    three = privacy.bootstrap(scores.repeat(3, 0), member, privacy.record_statistics, 5, 50, "test")
    for name, values in one.items():
        np.testing.assert_allclose(three[name], values, atol=1e-12)


def test_bootstrap_variance_of_the_auc_is_delongs() -> None:
    rng = generator(0, "delong")
    member = np.arange(600) < 200
    scores = rng.normal(size=600) + member * 0.6
    wins = (scores[member][:, None] > scores[~member][None]).astype(np.float64)
    delong = wins.mean(axis=1).var(ddof=1) / 200 + wins.mean(axis=0).var(ddof=1) / 400
    drawn = privacy.bootstrap(scores[None], member, privacy.record_statistics, 0, 2000, "test")["auc"]
    assert drawn.var() == pytest.approx(delong, rel=0.1)


def test_a_bootstrap_needs_two_resamples() -> None:
    with pytest.raises(InputError, match="at least 2 bootstrap resamples, got 1"):
        next(privacy.resample_counts(np.array([True, False]), 0, 1, "test"))
