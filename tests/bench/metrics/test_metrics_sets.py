"""Sets of candidates: composition and comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics import sets
from bench.metrics.intervals import SetSummary, summarise, summarise_sets
from bench.rng import generator


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 12), st.integers(0, 5))
def test_sets_partition_each_class(m: int, n: int, size: int, seed: int) -> None:
    ids = np.arange(m + n) * 7 + 3
    member = np.arange(m + n) < m
    set_id = sets.compose_sets(ids, member, size, seed)
    used, counts = np.unique(set_id[set_id >= 0], return_counts=True)
    np.testing.assert_array_equal(used, np.arange(m // size + n // size))
    assert (counts == size).all()
    assert (set_id == sets.NO_SET).sum() == m % size + n % size
    assert set(set_id[member & (set_id >= 0)]) == set(range(m // size))


def test_composition_follows_the_record_ids_and_the_seed() -> None:
    ids = np.arange(100, 180)
    member = np.arange(80) < 30
    order = generator(0, "order").permutation(80)
    set_id = sets.compose_sets(ids, member, 10, 1)
    np.testing.assert_array_equal(sets.compose_sets(ids[order], member[order], 10, 1), set_id[order])
    assert (sets.compose_sets(ids, member, 10, 2) != set_id).any()
    assert (np.diff(set_id[:30]) < 0).any()  # not the order of the file


def test_set_auc_and_accuracy_equal_a_loop() -> None:
    rng = generator(0, "sets")
    member = rng.permutation(np.arange(130) < 50)
    scores = rng.normal(size=130) + 0.3 * member
    set_id = sets.compose_sets(np.arange(130), member, 5, 0)
    means = {
        own: np.array([scores[set_id == s].mean() for s in np.unique(set_id[(member == own) & (set_id >= 0)])])
        for own in (True, False)
    }
    wins = np.mean([[float(a > b) for b in means[False]] for a in means[True]])
    assert sets.set_auc(scores, member, set_id) == pytest.approx(wins)
    cut = np.sort(np.concatenate([means[True], means[False]]))[-10]
    assert sets.set_accuracy(scores, member, set_id) == pytest.approx((means[True] >= cut).mean())


def test_equal_sets_stay_tied_whatever_the_order_of_their_scores() -> None:
    member = np.arange(12) < 6
    set_id = np.repeat([0, 1, 2, 3], 3)
    triple = [0.1, 0.2, 0.3]
    assert sum(triple) != sum(triple[::-1])  # what a plain sum would see
    scores = np.array(triple * 2 + triple[::-1] * 2)
    assert sets.set_auc(scores, member, set_id) == 0.5
    assert sets.set_accuracy(scores, member, set_id) == 0.5


def test_a_set_tells_more_than_a_record() -> None:
    rng = generator(0, "gain")
    member = np.arange(1500) < 500
    scores = rng.normal(size=1500) + 0.3 * member
    set_id = sets.compose_sets(np.arange(1500), member, 10, 0)
    # the difference of two means of ten has sqrt(10) times the signal: AUC = Phi(.3 sqrt(10 / 2)) = .749
    assert sets.set_auc(scores, member, set_id) == pytest.approx(0.749, abs=0.08)
    summary = summarise(scores, member, summarise_sets(scores, member, set_id, 0, 200), 0, 200)
    assert summary.set_auc == pytest.approx(sets.set_auc(scores, member, set_id))
    assert summary.set_accuracy == pytest.approx(sets.set_accuracy(scores, member, set_id))
    assert summary.auc < (summary.set_auc or 0)


def test_too_few_sets_are_not_measured() -> None:
    rng = generator(0, "few")
    member = np.arange(60) < 19
    scores, set_id = rng.normal(size=(3, 60)), sets.compose_sets(np.arange(60), member, 10, 0)
    found = summarise_sets(scores, member, set_id, 0, 20, own=rng.normal(size=(3, 5)))
    assert (found.member_sets, found.nonmember_sets, found.own_score) == (1, 4, True)
    measured = [name for name in SetSummary.model_fields if "set_auc" in name or "set_accuracy" in name]
    assert [getattr(found, name) for name in measured] == [None] * 16
    assert summarise(scores, member, found, 0, 20).set_auc is None


def own_scores() -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    """Records that tell little, and sets of 5 of them with a score of their own that tells more."""
    rng = generator(0, "own")
    member = rng.permutation(np.arange(150) < 50)
    set_id = sets.compose_sets(np.arange(150), member, 5, 0)
    scores = rng.normal(size=(3, 150)) + 0.1 * member
    return scores, member, set_id, rng.normal(size=(3, 30)) + 1.0 * (np.arange(30) < 10)


def test_an_attacks_own_scores_of_sets_take_the_place_of_means() -> None:
    scores, member, set_id, own = own_scores()
    found = summarise_sets(scores, member, set_id, 3, 200, own=own)
    wins = [np.mean([[float(a > b) for b in run[10:]] for a in run[:10]]) for run in own]
    assert found.set_auc == pytest.approx(np.mean(wins))
    assert (found.member_sets, found.nonmember_sets, found.own_score) == (10, 20, True)
    plain = summarise_sets(scores, member, set_id, 3, 200)
    assert plain.own_score is False
    for end in ("", "_low", "_high", "_seed_low", "_seed_high"):
        mean = getattr(found, f"mean_set_auc{end}")
        assert mean == getattr(plain, f"mean_set_auc{end}") == getattr(plain, f"set_auc{end}") is not None
        assert mean != getattr(found, f"set_auc{end}")
    assert found.set_accuracy_chance == pytest.approx(1 / 3)
    assert found.set_accuracy == pytest.approx(
        np.mean([np.isin(np.argsort(-run)[:10], range(10)).mean() for run in own])
    )


def test_own_scores_equal_to_the_means_change_nothing() -> None:
    scores, member, set_id, _ = own_scores()
    means, _ = sets.set_means(scores, member, set_id)
    found, plain = (
        summarise_sets(scores, member, set_id, 3, 50, own=means),
        summarise_sets(scores, member, set_id, 3, 50),
    )
    assert found.model_dump(exclude={"own_score"}) == plain.model_dump(exclude={"own_score"})


def test_own_scores_of_another_number_of_sets_are_refused() -> None:
    scores, member, set_id, own = own_scores()
    with pytest.raises(InputError, match=r"one finite score per run and set, \(3, 30\), got shape \(3, 29\)"):
        summarise_sets(scores, member, set_id, 0, 20, own=own[:, 1:])
    own[0, 0] = np.nan
    with pytest.raises(InputError, match="with 1 that are not finite"):
        summarise_sets(scores, member, set_id, 0, 20, own=own)


IDS = np.arange(4)
MEMBER = np.array([True, True, False, False])


@pytest.mark.parametrize(
    ("ids", "member", "size", "message"),
    [
        (IDS, MEMBER, 0, "sets of at least 1 record, got 0"),
        (IDS, MEMBER[:3], 2, "one membership per record id"),
        (np.array([0, 1, 1, 2]), MEMBER, 2, "each candidate once"),
    ],
)
def test_bad_composition_is_refused(ids: NDArray[np.int64], member: NDArray[np.bool_], size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sets.compose_sets(ids, member, size, 0)


def test_a_mixed_set_is_refused() -> None:
    with pytest.raises(InputError, match=r"all in or all out, got members and non-members in \[1\]"):
        sets.set_means(np.zeros(4), MEMBER, np.array([0, 1, 1, -1]))
    with pytest.raises(InputError, match="expected 4 set ids"):
        sets.set_means(np.zeros(4), MEMBER, np.zeros(3, dtype=np.int64))
