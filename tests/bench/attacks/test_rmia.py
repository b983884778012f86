"""RMIA: against a loop over every pair of records, what its settings are chosen on, and shadows that lack a side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import expit
from shadow_cases import NULL, World, member_auc, read_on_a_fitted_target, trial, world
from sklearn.metrics import roc_auc_score

from bench.attacks.rmia import GAMMA, TIES, A, Rmia, best
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.errors import InputError
from bench.metrics.roc import auc
from bench.rng import RecordRng

STATISTIC = {"name": "reconstruction", "encodings": 5}


def probabilities(of: World) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p of every record under the target ``(n,)`` and under each shadow ``(models, n)``."""
    is_z = np.arange(len(of.ids)) >= of.candidates
    units = []
    for values, own in zip([of.target, *of.shadows], [np.zeros(len(of.ids), dtype=bool), *of.trained], strict=True):
        value = values[:, 0].astype(np.float64)
        out = value[is_z & ~own]
        middle = np.median(out)
        units.append((value - middle) / np.mean([abs(v - middle) for v in out]))
    inside = [u for row, own in zip(units[1:], of.trained, strict=True) for u in row[own]]
    p = expit(np.array(units) - max(0.0, float(np.median(inside))) / 2)
    return p[0], p[1:]


def marginal(p: NDArray[np.float64], trained: NDArray[np.bool_], i: int, a: float, online: bool) -> float:
    """pbar of one record; NaN where it has none."""
    out = p[~trained[:, i], i]
    within = p[trained[:, i], i]
    if online and len(within):
        return float((within.mean() + out.mean()) / 2)
    return float(((1 + a) * out.mean() + 1 - a) / 2) if len(out) else float("nan")


def shares(ratio: NDArray[np.float64], x: NDArray[np.int64], z: NDArray[np.int64], gamma: float) -> list[float]:
    """Every pair of a record and a reference record."""
    return [sum(ratio[i] / ratio[j] >= gamma for j in z) / len(z) for i in x]


def looped(of: World, a: float, gamma: float, *, online: bool) -> list[float]:
    """The shares of candidates, without what tells equal ones apart."""
    ratio = ratios(of, a, online=online)
    z = np.array([j for j in of.ids[of.candidates :] if not np.isnan(ratio[j])])
    return shares(ratio, of.ids[: of.candidates], z, gamma)


def ratios(of: World, a: float, *, online: bool) -> NDArray[np.float64]:
    """p over pbar of every record."""
    target, p = probabilities(of)
    if online:  # a is that of the means over records that have both, which is all candidates here
        both = range(of.candidates)
        ins = [1 - p[of.trained[:, i], i].mean() for i in both]
        outs = [1 - p[~of.trained[:, i], i].mean() for i in both]
        a = float(np.mean(ins) / np.mean(outs))
    return target / np.array([marginal(p, of.trained, i, a, online) for i in of.ids])


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("gamma", [1.0, 1.5])
def test_offline_scores_are_those_of_a_loop_over_pairs(a: float, gamma: float) -> None:
    given = world(models=5)
    given.trained[:, 100] = True  # a z that no shadow left out does not count
    wanted = looped(given, a, gamma, online=False)
    assert np.std(wanted) > 0.1
    found = given.judge(Rmia(models=5, a=a, gamma=gamma)).scores
    np.testing.assert_allclose(found, wanted, atol=TIES, rtol=0)
    assert np.array_equal(np.argsort(found), np.argsort(ratios(given, a, online=False)[:60]))


@pytest.mark.parametrize("gamma", [1.0, 1.5])
def test_online_scores_are_those_of_a_loop_over_pairs(gamma: float) -> None:
    given = world(models=12, online=True, share=0.5)
    given.trained[0, :60], given.trained[1, :60] = True, False
    wanted = looped(given, 0.0, gamma, online=True)
    assert np.std(wanted) > 0.1
    found = given.judge(Rmia(models=12, online=True, gamma=gamma)).scores
    np.testing.assert_allclose(found, wanted, atol=TIES, rtol=0)
    assert np.array_equal(np.argsort(found), np.argsort(ratios(given, 0.0, online=True)[:60]))


def test_a_reference_record_counts_by_the_shadows_that_left_it_out() -> None:
    """What shadows say of their own training records moves nothing, as long as their median stays."""
    given = world(models=5, shift=8)
    shadows, inside = given.shadows.copy(), given.shadows[given.trained]
    shadows[given.trained] = inside + 3 * (inside > np.quantile(inside, 0.8))
    settled: dict[str, Any] = {"models": 5, "a": 0.3, "gamma": 1.0}
    plain, moved = given.judge(Rmia(**settled)), given.with_shadows(shadows).judge(Rmia(**settled))
    np.testing.assert_allclose(moved.scores, plain.scores, atol=1e-12, rtol=0)
    shadows[~given.trained] += np.linspace(-3, 3, len(given.ids))[np.nonzero(~given.trained)[1]][:, None]
    assert np.abs(given.with_shadows(shadows).judge(Rmia(**settled)).scores - plain.scores).max() > 0.1


@pytest.mark.parametrize("online", [True, False])
def test_no_offset_and_no_scale_counts_of_the_statistic_or_of_a_model(online: bool) -> None:
    given = world(models=6, online=online)
    plain = given.judge(Rmia(models=6, online=online))
    scale, level = 2.0 ** np.arange(6)[:, None, None], 8 * np.arange(6)[:, None, None]
    moved = replace(
        given, target=given.target / 16 - 2, shadows=(given.shadows * scale + level).astype(np.float32)
    ).judge(Rmia(models=6, online=online))
    np.testing.assert_allclose(moved.scores, plain.scores, atol=1.5 / 90)  # rounding may reorder one pair
    assert moved.diagnostics == plain.diagnostics


def test_settings_are_the_best_on_shadows_in_turn() -> None:
    """The grid again, by loops: each shadow as the target of the others, the reference records as candidates."""
    given = world(models=4, shift=3, reference=60, candidates=10, share=0.5)
    found = given.judge(Rmia(models=4)).diagnostics
    _, p = probabilities(given)
    half = RecordRng(3, "attack", "rmia").shared("halves").permutation(70) % 2 == 0
    z_ids = given.ids[10:]

    def success(a: float, gamma: float | None) -> float:
        values = []
        for k in range(4):
            others, own = [j for j in range(4) if j != k], given.trained[k]
            ratio = np.full(70, np.nan)
            for i in z_ids:
                ratio[i] = p[k, i] / marginal(p[others], given.trained[others], i, a, online=False)
            x = np.array([i for i in z_ids if np.isfinite(ratio[i]) and (own[i] or half[i])])
            z = np.array([i for i in z_ids if np.isfinite(ratio[i]) and not own[i] and not half[i]])
            values.append(roc_auc_score(own[x], ratio[x] if gamma is None else shares(ratio, x, z, gamma)))
        return sum(values)

    by_a = {a: success(a, None) for a in A}
    by_gamma = {gamma: success(found["a"], gamma) for gamma in GAMMA}
    assert len({round(value, 9) for value in by_a.values()}) > 5
    assert len({round(value, 9) for value in by_gamma.values()}) == 5
    assert by_a[found["a"]] == pytest.approx(max(by_a.values()), abs=1e-9)
    assert by_gamma[found["gamma"]] == pytest.approx(max(by_gamma.values()), abs=1e-9)


def test_equally_good_settings_are_the_first() -> None:
    assert best((3.0, 2.0, 1.0), lambda value: [0.5, 0.5 + (value < 3) / 4]) == 2.0


def test_a_gamma_that_nobody_reaches_hides_nothing() -> None:
    """Undefended shadows ask for a gamma that a target which leaks little does not reach."""
    given = world(candidates=400, reference=400, models=8, difficulty=5, shift=2, noise=0.5)
    found = given.judge(Rmia(models=8, gamma=1e6)).scores
    assert found.max() <= TIES
    assert member_auc(given, found) > 0.9


def test_settings_do_not_depend_on_the_target() -> None:
    given = world(models=6)
    plain = given.judge(Rmia(models=6)).diagnostics
    swapped = replace(given, target=-given.target)
    assert swapped.judge(Rmia(models=6)).diagnostics == plain


def test_given_settings_are_used() -> None:
    assert world(models=1).judge(Rmia(models=1, a=0.4, gamma=1.2)).diagnostics == {"a": 0.4, "gamma": 1.2}
    assert world(models=4).judge(Rmia(models=4, a=0.4)).diagnostics["a"] == 0.4
    assert world(models=4).judge(Rmia(models=4, gamma=1.3)).diagnostics["gamma"] == 1.3


@pytest.mark.parametrize("options", [{"models": 2}, {"models": 2, "a": 0.3}, {"models": 1, "online": True}])
def test_too_few_shadows_to_choose_on(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="expected at least 3 models to choose a and gamma on"):
        Rmia(**options)


def test_what_holds_for_the_population_holds_for_a_non_member() -> None:
    """Non-members are like reference records: with gamma 1, the share that they beat is uniform."""
    given = world(candidates=1000, reference=1000, models=8, share=0.3)
    scores = given.judge(Rmia(models=8, a=0.3, gamma=1.0)).scores[500:]
    np.testing.assert_allclose(np.quantile(scores, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.06)


@pytest.mark.parametrize("online", [True, False])
def test_it_finds_members_that_differ_in_difficulty(online: bool) -> None:
    given = world(candidates=400, reference=400, models=8, online=online, difficulty=5, shift=2, noise=0.5, share=0.5)
    assert member_auc(given, given.target[:400, 0].astype(np.float64)) < 0.65
    assert member_auc(given, given.judge(Rmia(models=8, online=online)).scores) > 0.9


@pytest.mark.parametrize("online", [True, False])
def test_members_that_no_shadow_leaves_in_doubt_do_not_tie_with_others(online: bool) -> None:
    """Known by heart: with p of 1/2 for an ordinary record, no ratio could exceed 2, which others reach by chance."""
    given = world(candidates=200, reference=300, models=8, online=online, difficulty=0, shift=25)
    assert member_auc(given, given.judge(Rmia(models=8, online=online)).scores) > 0.99


def test_constant_statistics_say_nothing() -> None:
    given = world(models=4)
    flat = replace(given, target=np.full_like(given.target, 0.3), shadows=np.full_like(given.shadows, 0.3))
    assert len(np.unique(flat.judge(Rmia(models=4)).scores)) == 1


def test_a_population_of_some_reference_records() -> None:
    given = world(models=4)
    found = given.judge(Rmia(models=4, a=0.3, gamma=1.0, population=20)).scores
    assert 5 < len(np.unique(np.round(found, 4))) <= 21
    everyone = given.judge(Rmia(models=4, a=0.3, gamma=1.0)).scores
    assert not np.array_equal(found, everyone)
    assert auc(found, everyone > np.median(everyone)) > 0.95


def test_shadows_that_saw_every_reference_record_are_refused() -> None:
    given = world(models=3)
    given.trained[:, 60:] = True
    with pytest.raises(InputError, match="expected reference records that a shadow was not trained on, got none"):
        given.judge(Rmia(models=3, a=0.3, gamma=1.0))


def test_shadows_to_choose_on_need_records_in_and_out() -> None:
    """No record but those of one shadow is out of another: then that one's z are of no use, nor are the others' x."""
    given = world(models=3)
    for trained in (np.zeros((3, 90), dtype=bool), np.arange(90) % 3 != np.arange(3)[:, None]):
        given.trained[:, 60:] = trained
        with pytest.raises(InputError, match="rmia: expected records in and out of a shadow to choose a and gamma on"):
            given.judge(Rmia(models=3))
        assert np.isfinite(given.judge(Rmia(models=3, a=0.3, gamma=1.0)).scores).all()


def test_a_statistic_that_was_fitted_on_reference_records_is_refused() -> None:
    with pytest.raises(InputError, match="rmia scores reference records too, and domias was fitted on those"):
        Rmia(statistic="domias")


def test_it_needs_twice_the_members_as_reference_offline() -> None:
    few = replace(trial(), sizes={**trial().sizes, "reference": 39})
    assert "needs 40 in all; there are 39" in str(Rmia().not_applicable(few, frozenset()))
    assert Rmia(online=True).not_applicable(few, frozenset()) is None
    assert Rmia().not_applicable(trial(), frozenset()) is None


@pytest.mark.parametrize("options", [{}, {"online": True}, {"statistic": "logan_white_box"}])
@pytest.mark.parametrize("kind", ["image", "table"])
def test_contract(kind: str, options: dict[str, Any]) -> None:
    report = check_attack(Rmia(**options), planted=Planted("image" if kind == "image" else "table"))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


@pytest.mark.parametrize("online", [True, False])
def test_it_finds_the_members_of_a_fitted_target_and_nothing_in_an_untrained_one(online: bool) -> None:
    attack = Rmia(models=4, online=online, statistic=STATISTIC)
    found = read_on_a_fitted_target(attack)
    print(f"{attack!r}: {found:.3f}")
    assert found > 0.85
    assert abs(read_on_a_fitted_target(attack, steps=0) - 0.5) < NULL
