"""LiRA: against scipy's densities in a loop, the theory of the likelihood-ratio test, and shadows that lack a side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from shadow_cases import NULL, World, member_auc, read_on_a_fitted_target, trial, world

from bench.attacks.lira import Lira
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.errors import InputError, PluginError
from bench.metrics.roc import auc
from bench.rng import generator

STATISTIC = {"name": "reconstruction", "encodings": 5}


def looped(of: World, *, online: bool, pooled: bool) -> NDArray[np.float64]:
    """One candidate at a time, all of which must be in and out of two shadows or more."""
    n = of.candidates
    shadows = [[float(v) for v in row[:n, 0]] for row in of.shadows]
    shadows = [[v - sum(row) / n for v in row] for row in shadows]
    target = [float(v) - sum(map(float, of.target[:n, 0])) / n for v in of.target[:n, 0]]
    sides: dict[bool, list[NDArray[np.float64]]] = {True: [], False: []}
    for i in range(n):
        for side in sides:
            values = [row[i] for row, mask in zip(shadows, of.trained, strict=True) if mask[i] == side]
            sides[side].append(np.array(values))
    deviations = {}
    for side, groups in sides.items():
        if pooled:
            total = sum(float(((g - g.mean()) ** 2).sum()) for g in groups if len(g))
            deviations[side] = [(total / max(1, sum(len(g) - 1 for g in groups if len(g)))) ** 0.5] * n
        else:
            deviations[side] = [float(np.std(g, ddof=1)) if len(g) else 0.0 for g in groups]
    scores = []
    for i in range(n):
        out = sides[False][i].mean(), deviations[False][i]
        if online:
            within = sides[True][i].mean(), deviations[True][i]
            scores.append(stats.norm.logpdf(target[i], *within) - stats.norm.logpdf(target[i], *out))
        else:
            scores.append((target[i] - out[0]) / out[1])
    return np.array(scores)


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("online", [True, False])
def test_scores_are_those_of_a_loop_over_scipys_densities(online: bool, pooled: bool) -> None:
    given = world(models=16, online=online, share=0.5)
    wanted = looped(given, online=online, pooled=pooled)
    assert wanted.std() > 0.5
    found = given.judge(Lira(models=16, online=online, pooled=pooled)).scores
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)


def test_offline_orders_as_the_papers_probability_and_does_not_saturate() -> None:
    given = world(models=8, shift=4)
    found = given.judge(Lira(models=8)).scores
    probability = stats.norm.cdf(found)
    assert np.array_equal(np.argsort(probability[found < 5]), np.argsort(found[found < 5]))
    strong = replace(given, target=given.target + np.where(np.arange(150) < 30, 100, 0)[:, None].astype(np.float32))
    found = strong.judge(Lira(models=8)).scores[:30]
    assert len(np.unique(stats.norm.cdf(found))) < 30
    assert len(np.unique(found)) == 30


@pytest.mark.parametrize("online", [True, False])
def test_it_reaches_what_theory_gives_where_members_are_shifted(online: bool) -> None:
    """With equal variances the best test is that of s - mean_out: Phi(shift / (sd sqrt 2)); difficulty cancels."""
    given = world(candidates=2000, reference=2, models=100, online=online, share=0.5, shift=1, noise=0.5, difficulty=5)
    theory = stats.norm.cdf(1 / (0.5 * 2**0.5))
    raw = member_auc(given, given.target[:2000, 0].astype(np.float64))
    assert raw < 0.62
    for pooled in (True, False):
        assert member_auc(given, given.judge(Lira(models=100, online=online, pooled=pooled)).scores) == pytest.approx(
            theory, abs=0.02
        )


def test_online_reaches_the_neyman_pearson_test_where_only_variances_differ() -> None:
    """Members scatter three times as far; the mean says nothing, and the likelihood ratio with known parameters all."""
    rng, n, models = generator(5, "variances"), 2000, 128
    mean = 5 * rng.normal(size=n)
    trained, member = rng.random((models, n)) < 0.5, np.arange(n) < n // 2
    target = mean + rng.normal(size=n) * np.where(member, 3, 1)
    shadows = mean + rng.normal(size=(models, n)) * np.where(trained, 3, 1)
    given = World(target[:, None].astype(np.float32), shadows[:, :, None].astype(np.float32), trained, n)
    given = replace(
        given, target=np.vstack([given.target, [[0]]]), shadows=np.pad(given.shadows, ((0, 0), (0, 1), (0, 0)))
    )
    given = replace(given, trained=np.pad(trained, ((0, 0), (0, 1))))
    best = stats.norm.logpdf(target, mean, 3) - stats.norm.logpdf(target, mean, 1)
    for pooled in (True, False):
        found = given.judge(Lira(models=models, online=True, pooled=pooled)).scores
        assert auc(found, member) == pytest.approx(auc(best, member), abs=0.02)
    assert auc(best, member) > 0.7


@pytest.mark.parametrize("online", [True, False])
def test_no_models_level_and_no_unit_of_the_statistic_counts(online: bool) -> None:
    given = world(models=8, online=online, share=0.5)
    plain = given.judge(Lira(models=8, online=online)).scores
    levels = np.arange(8, dtype=np.float32)[:, None, None] * 8
    moved = replace(given, target=4 * (given.target - 64), shadows=4 * (given.shadows + levels))
    np.testing.assert_allclose(moved.judge(Lira(models=8, online=online)).scores, plain, rtol=1e-3, atol=1e-3)


def test_candidates_in_or_out_of_no_shadow_are_moved_by_the_average_shift() -> None:
    """Candidate 0 was in no shadow, candidate 1 in all."""
    given = world(models=8, online=True, share=0.5)
    given.trained[:, 0], given.trained[:, 1] = False, True
    given.trained[:, 2:60] = np.arange(8)[:, None] % 2 == np.arange(2, 60) % 2
    scored = given.judge(Lira(models=8, online=True))
    assert scored.diagnostics == {"pooled": 1.0, "candidates_in_or_out_of_no_shadow": 2 / 60}
    values = given.shadows[:, :60, 0].astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    s = given.target[:60, 0].astype(np.float64)
    s -= s.mean()
    shift = np.mean(
        [values[given.trained[:, i], i].mean() - values[~given.trained[:, i], i].mean() for i in range(2, 60)]
    )

    def pooled(side: bool) -> float:
        groups = [values[given.trained[:, i] == side, i] for i in range(60)]
        groups = [g for g in groups if len(g) > 1]
        return float(sum(((g - g.mean()) ** 2).sum() for g in groups) / sum(len(g) - 1 for g in groups)) ** 0.5

    for i, (inside, outside) in enumerate(
        [(values[:, 0].mean() + shift, values[:, 0].mean()), (values[:, 1].mean(), values[:, 1].mean() - shift)]
    ):
        expected = stats.norm.logpdf(s[i], inside, pooled(True)) - stats.norm.logpdf(s[i], outside, pooled(False))
        assert scored.scores[i] == pytest.approx(expected)


def test_candidates_that_are_in_no_shadow_at_all_are_refused() -> None:
    given = world(models=2, online=True)
    given.trained[:] = False
    with pytest.raises(InputError, match="got none of one kind; ask for more shadows"):
        given.judge(Lira(models=2, online=True))


@pytest.mark.parametrize(("models", "pooled"), [(63, 1.0), (64, 0.0)])
def test_variances_are_pooled_where_shadows_are_few(models: int, pooled: float) -> None:
    given = world(candidates=4, reference=4, models=models)
    assert given.judge(Lira(models=models)).diagnostics == {"pooled": pooled}


@pytest.mark.parametrize("options", [{}, {"online": True}, {"pooled": False}, {"online": True, "pooled": False}])
def test_a_constant_statistic_says_nothing_and_stays_finite(options: dict[str, Any]) -> None:
    given = world(models=4, online=bool(options.get("online")), share=0.5)
    flat = replace(given, target=np.full_like(given.target, 0.3), shadows=np.full_like(given.shadows, 0.3))
    assert np.unique(flat.judge(Lira(models=4, **options)).scores).tolist() == [0.0]


def test_shadows_that_agree_on_a_record_are_no_certainty() -> None:
    """Half of a Monte Carlo statistic is exactly 0: two shadows that tie would give an infinite score."""
    given = world(models=2, difficulty=0)
    given.shadows[:, 5] = 0.25
    centred = given.shadows[:, :60, 0].astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    given.shadows[0, 5] += (centred[1, 5] - centred[0, 5]).astype(np.float32) * 60 / 59
    found = given.judge(Lira(models=2, pooled=False)).scores
    assert abs(found[5]) <= 1e3 * 10


def test_a_shadow_that_saw_a_candidate_is_no_offline_shadow() -> None:
    given = world(models=4)
    given.trained[2, 7] = True
    with pytest.raises(PluginError, match="lira: expected shadows that never saw a candidate, got 1 candidates that"):
        given.judge(Lira(models=4))


def test_its_banks() -> None:
    assert {r.source for r in Lira().needs(trial())} == {"reference"}
    assert Lira().knowledge == "shadow"
    online = Lira(online=True, models=5, defended=False)
    assert online.knowledge == "shadow + candidates"
    assert [(r.source, r.defenses) for r in online.needs(trial())] == [("candidates", ({"name": "none"},))] * 5


def test_too_few_reference_records_matter_offline_only() -> None:
    few = replace(trial(), sizes={**trial().sizes, "reference": 19})
    assert Lira(online=True).not_applicable(few, frozenset()) is None
    reason = (
        "lira trains shadows on 20 reference records each, as many as the target's, and needs 20 in all; there are 19"
    )
    assert Lira().not_applicable(few, frozenset()) == reason
    assert Lira().not_applicable(trial(), frozenset()) is None


@pytest.mark.parametrize(
    "options", [{}, {"online": True}, {"statistic": "logan_white_box", "online": True, "pooled": False}]
)
@pytest.mark.parametrize("kind", ["image", "table"])
def test_contract(kind: str, options: dict[str, Any]) -> None:
    report = check_attack(Lira(**options), planted=Planted("image" if kind == "image" else "table"))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


@pytest.mark.parametrize("online", [True, False])
def test_it_finds_the_members_of_a_fitted_target_and_nothing_in_an_untrained_one(online: bool) -> None:
    attack = Lira(models=4, online=online, statistic=STATISTIC)
    found = read_on_a_fitted_target(attack)
    print(f"{attack!r}: {found:.3f}")
    assert found > 0.85
    assert abs(read_on_a_fitted_target(attack, steps=0) - 0.5) < NULL
