"""The controls: what the instrument must read when it measures itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import roc_auc_score

from bench.attacks.base import Attack, Knowledge
from bench.attacks.blind import Blind, bandwidth, gaussian_kernel, mid_ranks, rank_auc
from bench.attacks.constant import Constant
from bench.attacks.oracle import Oracle
from bench.attacks.random import Random
from bench.devices import Device
from bench.errors import PluginError
from bench.metrics.privacy import accuracy
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import View
from bench.rng import RecordRng, generator

SCHEMA = Schema("image", (1, 4, 4))
BLIND = Blind(permutations=199)


def world(n: int, seed: int, shift: float = 0.0) -> tuple[Records, NDArray[np.bool_]]:
    """Records and a membership by chance; ``shift`` makes the members brighter."""
    rng = generator(seed, "test controls")
    membership = rng.permutation(np.arange(n) % 2 == 0)
    x = rng.normal(128 + shift * membership[:, None, None, None], 40, (n, 1, 4, 4))
    return Records(np.arange(n) * 7, np.clip(x, 0, 255).astype(np.uint8), None, SCHEMA), membership


def run(
    attack: Attack, candidates: Records, membership: NDArray[np.bool_], seed: int = 0
) -> tuple[NDArray[np.float64], dict[str, float]]:
    truth = dict(zip(candidates.ids.tolist(), membership.tolist(), strict=True))
    knowledge = Knowledge(membership=truth if attack.knowledge == "labels" else None)
    scored = attack.score(candidates, View("nothing", SCHEMA, Device()), knowledge, RecordRng(seed, "attack"))
    return scored.scores, dict(scored.diagnostics)


@pytest.mark.parametrize("members", [10, 25, 40])
def test_constant_is_exactly_chance(members: int) -> None:
    candidates, _ = world(50, 0)
    membership = np.arange(50) < members  # sorted: ties broken by order would read 1 or 0
    for truth in (membership, membership[::-1]):
        scores, _ = run(Constant(), candidates, truth)
        assert auc(scores, truth) == 0.5
        assert accuracy(scores, truth) == pytest.approx(members / 50, abs=1e-15)


def test_oracle_is_exactly_one() -> None:
    candidates, membership = world(60, 1)
    scores, _ = run(Oracle(), candidates, membership)
    assert auc(scores, membership) == 1
    assert accuracy(scores, membership) == 1
    assert auc(scores, ~membership) == 0


def test_random_reads_chance_within_its_interval_and_is_not_constant() -> None:
    candidates, membership = world(400, 2)
    deviation = np.sqrt(401 / (12 * 200 * 200))  # of the Mann-Whitney statistic under no difference
    readings = [auc(run(Random(), candidates, membership, seed)[0], membership) for seed in range(60)]
    standardised = (np.array(readings) - 0.5) / deviation
    assert np.abs(standardised).max() < 4
    assert stats.kstest(standardised, "norm").pvalue > 1e-3
    assert 0.7 < standardised.std() < 1.3


@pytest.mark.parametrize("attack", [Oracle(), BLIND], ids=repr)
def test_without_labels_they_refuse(attack: Attack) -> None:
    candidates, _ = world(20, 0)
    with pytest.raises(PluginError, match="expected the membership of every candidate, got none"):
        attack.score(candidates, View("nothing", SCHEMA, Device()), Knowledge(), RecordRng(0))


def test_blind_reads_chance_where_the_split_is_fair() -> None:
    """Over splits of exchangeable records its p-value is uniform and its AUC has the mean .5."""
    results = [run(BLIND, *world(80, seed))[1] for seed in range(60)]
    p_values = np.array([r["permutation_p"] for r in results])
    aucs = np.array([r["mean_fold_auc"] for r in results])
    # A permutation p-value is a multiple of 1 / 200: half a step of that keeps the test of uniformity honest.
    assert stats.kstest(p_values - 0.5 / 200, "uniform").pvalue > 1e-3
    assert abs(aucs.mean() - 0.5) < 4 * aucs.std() / np.sqrt(len(aucs))


def test_blind_sees_a_split_that_can_be_told_apart() -> None:
    candidates, membership = world(300, 3, shift=25)
    scores, found = run(Blind(), candidates, membership)
    assert found["permutation_p"] < 1e-3
    assert auc(scores, membership) > 0.8
    assert found["mean_fold_auc"] > 0.8


def test_blind_predicts_out_of_fold_like_scikit_learns_kernel_ridge() -> None:
    candidates, membership = world(90, 4, shift=10)
    attack = Blind(permutations=99, ridge=0.7)
    scores, found = run(attack, candidates, membership)
    y = membership.astype(float)
    x = candidates.floats().reshape(90, -1)
    kernel = gaussian_kernel(x, x, bandwidth(x))
    # The same folds, drawn as the attack draws them.
    fold = RecordRng(0, "attack").shared("folds").permutation(np.arange(90) % 5)
    expected, aucs = np.zeros(90), []
    for k in range(5):
        train, test = fold != k, fold == k
        model = KernelRidge(alpha=0.7, kernel="precomputed").fit(
            kernel[np.ix_(train, train)], y[train] - y[train].mean()
        )
        predicted = model.predict(kernel[np.ix_(test, train)])
        expected[test] = stats.rankdata(predicted) / test.sum()
        aucs.append(roc_auc_score(y[test], predicted))
    np.testing.assert_allclose(scores, expected)
    assert found["mean_fold_auc"] == pytest.approx(np.mean(aucs))


def test_the_permutations_equal_a_literal_refit() -> None:
    n, permutations = 40, 99
    candidates, membership = world(n, 5, shift=20)
    _, found = run(Blind(permutations=permutations), candidates, membership)
    rng = RecordRng(0, "attack").shared("folds")
    fold = rng.permutation(np.arange(n) % 5)
    y = membership.astype(float)
    x = candidates.floats().reshape(n, -1)
    kernel = gaussian_kernel(x, x, bandwidth(x))
    # A permuted fold may lack a class: its AUC is undefined, and counts as chance.
    readings = []
    for labels in [y, *(rng.permutation(y) for _ in range(permutations))]:
        aucs = []
        for k in range(5):
            train, test = fold != k, fold == k
            model = KernelRidge(alpha=1.0, kernel="precomputed")
            model.fit(kernel[np.ix_(train, train)], labels[train] - labels[train].mean())
            if 0 < y[test].sum() < test.sum():
                both = 0 < labels[test].sum() < test.sum()
                predicted = model.predict(kernel[np.ix_(test, train)])
                aucs.append(roc_auc_score(labels[test], predicted) if both else 0.5)
        readings.append(np.mean(aucs))
    p_value = np.mean(np.array(readings) >= readings[0] - 1e-12)
    assert found["permutation_p"] == pytest.approx(p_value)
    assert found["mean_fold_auc"] == pytest.approx(readings[0])


def test_many_candidates_train_on_a_seeded_part_and_are_all_judged() -> None:
    candidates, membership = world(300, 8, shift=10)
    scores, found = run(Blind(permutations=99, records=60), candidates, membership)
    again, _ = run(Blind(permutations=99, records=60), candidates, membership)
    assert np.array_equal(scores, again)
    assert len(scores) == 300
    assert found["mean_fold_auc"] > 0.6


def test_the_kernel_is_gaussian_at_the_median_distance() -> None:
    x = generator(6, "test kernel").normal(size=(12, 5)).astype(np.float32)
    square = ((x[:, None].astype(float) - x[None]) ** 2).sum(axis=2)
    expected = np.exp(-square / np.median(square[np.triu_indices(12, 1)]))
    np.testing.assert_allclose(gaussian_kernel(x, x, bandwidth(x)), expected, rtol=1e-9)


def test_rank_auc_equals_scikit_learns_and_is_half_without_a_class() -> None:
    rng = generator(7, "test ranks")
    values = rng.integers(0, 4, (30, 3)).astype(float)  # many ties
    labels = np.stack([rng.permutation(np.arange(30) % 2) for _ in range(3)], axis=1).astype(float)
    expected = [roc_auc_score(labels[:, i], values[:, i]) for i in range(3)]
    np.testing.assert_allclose(rank_auc(mid_ranks(values), labels), expected)
    assert rank_auc(mid_ranks(values), np.ones((30, 3))).tolist() == [0.5] * 3
