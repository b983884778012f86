"""The shadow classifier: against a pipeline of scikit-learn's, what it combines, and where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from shadow_cases import NULL, Lookup, World, member_auc, read_on_a_fitted_target, trial, world
from sklearn.linear_model import LogisticRegression

from bench.attacks.shadow_classifier import ShadowClassifier
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.errors import InputError, PluginError
from bench.rng import generator

STATISTIC = {"name": "reconstruction", "encodings": 5}


def classifier(statistics: int = 1, **options: Any) -> ShadowClassifier:
    """One that looks up its statistics."""
    attack = ShadowClassifier(**options)
    attack.inner = tuple(Lookup(column) for column in range(statistics))
    return attack


def two_statistics(**options: Any) -> World:
    """Two statistics that say something apart and everything together: difficulty is in both, membership in one."""
    base = world(shift=0, noise=0.2, **options)
    rng = generator(9, "second")
    member = np.arange(len(base.target)) < base.candidates // 2

    def second(values: NDArray[np.float32], own: NDArray[np.bool_]) -> NDArray[np.float32]:
        other = values + 2 * own[:, None] + 0.2 * rng.normal(size=values.shape)
        return np.concatenate([values, other], axis=1).astype(np.float32)

    shadows = np.stack([second(v, own) for v, own in zip(base.shadows, base.trained, strict=True)])
    return replace(base, target=second(base.target, member), shadows=shadows)


def test_scores_are_those_of_a_pipeline_of_ones_own() -> None:
    given = two_statistics(models=3)

    def features(values: NDArray[np.float32], base: NDArray[np.bool_]) -> NDArray[np.float64]:
        exact = values.astype(np.float64)
        middle = np.array([np.median(exact[base, c]) for c in range(2)])
        return (exact - middle) / np.abs(exact[base] - middle).mean(axis=0)

    is_reference = np.arange(150) >= 60
    x, y = [], []
    for values, own in zip(given.shadows, given.trained, strict=True):
        x.append(features(values, is_reference & ~own)[60:])
        y.append(own[60:])
    labels = np.concatenate(y)
    weights = np.where(labels, len(labels) / (2 * labels.sum()), len(labels) / (2 * (~labels).sum()))
    fitted = LogisticRegression(max_iter=1000).fit(np.concatenate(x), labels, sample_weight=weights)
    scored = given.judge(classifier(2, models=3))
    np.testing.assert_allclose(
        scored.scores, fitted.decision_function(features(given.target, is_reference)[:60]), rtol=1e-3, atol=1e-3
    )
    assert scored.diagnostics == pytest.approx(
        {"weight_0_lookup": fitted.coef_[0, 0], "weight_1_lookup": fitted.coef_[0, 1]}, rel=1e-3
    )


@pytest.mark.parametrize("kind", ["logistic", "gradient_boosting"])
def test_it_combines_statistics(kind: str) -> None:
    given = two_statistics(candidates=200, reference=300, models=6)
    for column in range(2):
        assert member_auc(given, given.target[:200, column].astype(np.float64)) < 0.75
    found = given.judge(classifier(2, models=6, classifier=kind)).scores
    assert member_auc(given, found) > (0.98 if kind == "logistic" else 0.85)


@pytest.mark.parametrize("kind", ["logistic", "gradient_boosting"])
def test_the_same_bytes_twice_in_any_order(kind: str) -> None:
    given, order = two_statistics(models=3), generator(1, "order").permutation(60)
    first = given.judge(classifier(2, models=3, classifier=kind)).scores
    assert np.array_equal(given.judge(classifier(2, models=3, classifier=kind), order).scores, first[order])


def test_with_one_statistic_it_orders_as_that_does() -> None:
    given = world(models=4)
    found = given.judge(classifier(models=4)).scores
    assert np.array_equal(np.argsort(found), np.argsort(given.target[:60, 0]))


def test_shadows_decide_which_way_a_statistic_points() -> None:
    given = world(models=4, shift=-3, difficulty=1)
    assert member_auc(given, given.target[:60, 0].astype(np.float64)) < 0.2
    assert member_auc(given, given.judge(classifier(models=4)).scores) > 0.8


def test_no_models_level_or_scale_counts() -> None:
    given = two_statistics(models=3)
    plain = given.judge(classifier(2, models=3)).scores
    scale, level = np.array([1, 4, 0.5])[:, None, None], np.array([0, 8, -40])[:, None, None]
    moved = replace(given, target=given.target * 2 + 16, shadows=(given.shadows * scale + level).astype(np.float32))
    np.testing.assert_allclose(moved.judge(classifier(2, models=3)).scores, plain, rtol=1e-3, atol=1e-3)


def test_classes_weigh_the_same() -> None:
    """A fifth of the reference is in a shadow: without weights, nearly everything would be called out."""
    given = world(candidates=400, reference=1000, models=4, share=0.2, difficulty=0, shift=3)
    scores = given.judge(classifier(models=4)).scores
    assert np.mean(scores[:200] > 0) == pytest.approx(np.mean(scores[200:] < 0), abs=0.06)


def test_its_access_is_the_least_that_suffices() -> None:
    def access(*statistics: str) -> str:
        return ShadowClassifier(statistics=list(statistics)).access

    assert access("nearest_sample") == "samples"
    assert access("nearest_sample", "gan_leaks_partial") == "latent"
    assert access("logan_white_box", "nearest_sample") == "white_box"
    both = ShadowClassifier(statistics=["logan_white_box", STATISTIC])
    assert both.needs_roles == {"discriminator", "encoder"}
    assert not both.reads_samples
    assert {r.samples for r in both.needs(trial())} == {False}
    assert {r.samples for r in ShadowClassifier().needs(trial())} == {True}
    assert [part.name for part in both.parts()] == ["logan_white_box", "reconstruction"]


def test_accesses_that_do_not_go_together_are_refused() -> None:
    from bench.attacks.shadow_classifier import widest

    updates = Lookup()
    updates.access = "updates"
    hard = Lookup()
    hard.access = "decision"
    with pytest.raises(InputError, match="statistics whose accesses go together, got decision and updates"):
        widest((updates, hard))
    chosen = Lookup()
    chosen.access = "latent"
    assert widest((hard, chosen)) == "white_box"


def test_the_lowest_cap_holds() -> None:
    attack = ShadowClassifier(statistics=["nearest_sample", {"name": "gan_leaks_partial", "candidates": 30}])
    assert attack.cap == 30
    assert ShadowClassifier().cap is None


def test_where_it_is_not_applicable() -> None:
    both = ShadowClassifier(statistics=["nearest_sample", "logan_white_box"])
    assert both.not_applicable(trial(), frozenset({"decoder"})) == (
        "logan_white_box needs the target's discriminator, and vae has none"
    )
    assert both.not_applicable(trial(), frozenset({"generator", "discriminator"})) is None
    few = replace(trial(), sizes={**trial().sizes, "reference": 39})
    assert "needs 40 in all; there are 39" in str(ShadowClassifier().not_applicable(few, frozenset()))
    training = ShadowClassifier(statistics=["nearest_sample", "logan_black_box"])
    assert training.not_applicable(trial(), frozenset({"generator"})) == (
        "shadow_classifier needs statistics that train no models of their own, and logan_black_box does"
    )


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ([{"encodings": 5}], "expected the statistic's name"),
        (["domias"], "shadow_classifier scores reference records too, and domias was fitted on those"),
        (["lira"], "expected a statistic that needs no labels and no models of its own, got lira, which needs shadow"),
        (["oracle"], "expected a statistic that needs no labels"),
    ],
)
def test_statistics_that_cannot_serve(statistics: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ShadowClassifier(statistics=statistics)


def test_at_least_one_statistic() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        ShadowClassifier(statistics=[])


def test_shadows_of_one_kind_of_records_teach_nothing() -> None:
    given = world(models=2)
    given.trained[:] = False
    with pytest.raises(InputError, match="expected reference records in and out of the shadows, got one kind"):
        given.judge(classifier(models=2))


def test_a_shadow_that_saw_a_candidate_is_refused() -> None:
    given = world(models=2)
    given.trained[1, 3] = True
    with pytest.raises(PluginError, match="shadow_classifier: expected shadows that never saw a candidate, got 1"):
        given.judge(classifier(models=2))


@pytest.mark.parametrize(
    "options", [{}, {"statistics": ["nearest_sample", "logan_white_box", STATISTIC], "models": 3}], ids=["one", "three"]
)
@pytest.mark.parametrize("kind", ["image", "table"])
def test_contract(kind: str, options: dict[str, Any]) -> None:
    report = check_attack(ShadowClassifier(**options), planted=Planted("image" if kind == "image" else "table"))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_it_finds_the_members_of_a_fitted_target_and_nothing_in_an_untrained_one() -> None:
    attack = ShadowClassifier(models=4, statistics=[STATISTIC])
    found = read_on_a_fitted_target(attack)
    print(f"{attack!r}: {found:.3f}")
    assert found > 0.7
    assert abs(read_on_a_fitted_target(attack, steps=0) - 0.5) < NULL
