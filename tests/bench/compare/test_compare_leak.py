"""Leaks from stored scores, against the board's own headline, another library and DeLong's closed form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bench.compare.attacks import AttackPair, groups
from bench.compare.leak import worst_attack, worst_attack_rate
from bench.metrics.headline import headline
from bench.metrics.privacy import accuracy
from bench.rng import derive_seed, generator

N, M = 400, 120
IDS = np.arange(N, dtype=np.int64) * 2
MEMBER = generator(0, "members").permutation(N) < M


def scores(name: str, side: str, seeds: int, shift: float) -> dict[int, NDArray[np.float64]]:
    return {s: generator(s, name, side).normal(size=N) + shift * MEMBER for s in range(seeds)}


def pair(name: str, base: float, new: float, seeds: int = 2, ids: NDArray[np.int64] = IDS) -> AttackPair:
    keep = np.isin(IDS, ids)
    sides = [
        {seed: each[keep] for seed, each in scores(name, side, seeds, shift).items()}
        for side, shift in (("base", base), ("new", new))
    ]
    return AttackPair("digits", name, "samples", ids, MEMBER[keep], *sides)


def delong(new: NDArray[np.float64], base: NDArray[np.float64]) -> float:
    """Variance of the difference of two correlated AUCs (DeLong et al., Biometrics 1988), by plain loops."""
    parts = []
    for each in (new, base):
        own, others = each[MEMBER], each[~MEMBER]
        parts.append(
            (
                np.array([np.mean((x > others) + 0.5 * (x == others)) for x in own]),
                np.array([np.mean((own > y) + 0.5 * (own == y)) for y in others]),
            )
        )
    over_members, over_others = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    return float(over_members.var(ddof=1) / M + over_others.var(ddof=1) / (N - M))


def test_the_headline_is_the_boards() -> None:
    group = groups([pair("b", 0.9, 0.2), pair("a", 0.3, 1.0)])[0]
    whole, _ = worst_attack(group)
    for side, value in (("base", whole.base), ("new", whole.new)):
        stacks = {p.name: np.stack([getattr(p, side)[s] for s in (0, 1)]) for p in group}
        made, _ = headline(stacks, MEMBER, IDS, derive_seed(0, "bootstrap", "digits"), 10)
        assert value == pytest.approx(made.auc, abs=1e-12)


def test_each_attack_is_another_librarys_auc() -> None:
    one = pair("a", 0.3, 1.0)
    _, each = worst_attack([one])
    assert each["a"].base_runs == pytest.approx([roc_auc_score(MEMBER, one.base[s]) for s in (0, 1)])
    assert each["a"].new_runs == pytest.approx([roc_auc_score(MEMBER, one.new[s]) for s in (0, 1)])


def test_the_variance_over_records_is_delongs() -> None:
    common = generator(0, "common").normal(size=N)
    base = {0: common + 0.3 * generator(0, "b").normal(size=N)}
    new = {0: common + 0.3 * generator(0, "n").normal(size=N) + 0.4 * MEMBER}
    _, each = worst_attack([AttackPair("digits", "a", "samples", IDS, MEMBER, base, new)], resamples=2000)
    closed = delong(new[0], base[0])
    assert each["a"].over_records == pytest.approx(closed, rel=0.15)
    apart = delong(new[0], generator(9, "n").normal(size=N))
    assert closed < 0.5 * apart, "records that both boards share must cancel"


def test_attacks_on_other_candidates_are_groups_of_their_own() -> None:
    few = IDS[::2]
    found = groups([pair("few", 0.1, 0.1, ids=few), pair("b", 0.1, 0.1), pair("a", 0.1, 0.1)])
    assert [[p.name for p in group] for group in found] == [["a", "b"], ["few"]]


def test_equal_scores_are_identical() -> None:
    one = pair("a", 0.3, 0.3)
    same = AttackPair("digits", "a", "samples", IDS, MEMBER, one.base, one.base)
    assert worst_attack([same])[0].identical
    assert not worst_attack([one])[0].identical
    assert not worst_attack([AttackPair("digits", "a", "samples", IDS, MEMBER, one.base, {0: one.base[0]})])[
        0
    ].identical


def test_rates_are_of_the_worst_attack_of_each_board() -> None:
    group = [pair("a", 0.2, 1.5), pair("b", 1.0, 0.1)]
    found = worst_attack_rate(group, "accuracy")
    assert found is not None
    assert found.base_runs == pytest.approx([accuracy(group[1].base[s], MEMBER) for s in (0, 1)])
    assert found.new_runs == pytest.approx([accuracy(group[0].new[s], MEMBER) for s in (0, 1)])
    assert found.over_records > 0
    assert worst_attack_rate(group, "tpr_at_1pct_fpr") is None, "280 non-members cannot show a rate at 1 %"
