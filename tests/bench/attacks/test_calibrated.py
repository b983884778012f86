"""Calibration: against a loop, its sign, and a target whose records differ in difficulty."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_cases import NULL, read_on_a_fitted_target, trial, world

from bench.attacks.calibrated import Calibrated
from bench.attacks.reconstruction import Reconstruction
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.errors import PluginError
from bench.metrics.roc import auc
from bench.rng import generator

STATISTIC = {"name": "reconstruction", "encodings": 5}


def test_scores_are_the_targets_less_the_mean_of_the_references() -> None:
    given = world(models=3)
    found = given.judge(Calibrated(models=3)).scores
    expected = [
        float(given.target[i, 0]) - np.mean([float(given.shadows[k, i, 0]) for k in range(3)]) for i in range(60)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_order_of_candidates_changes_nothing() -> None:
    given, order = world(models=2), generator(1, "order").permutation(60)
    assert np.array_equal(
        given.judge(Calibrated(models=2), order).scores, given.judge(Calibrated(models=2)).scores[order]
    )


def test_a_calibrated_score_is_not_flipped_where_statistics_are_negative_losses() -> None:
    """Losses of a member: 1 under the target, 3 under the reference; of a non-member: 3 under both. In published code
    the difference of losses was taken for the difference of scores, so that members came last."""
    losses = np.array([[1.0], [3.0]] + [[2.0]] * 90, dtype=np.float32)
    reference = np.array([[3.0], [3.0]] + [[2.0]] * 90, dtype=np.float32)
    given = world(candidates=2, models=1)
    given = type(given)(-losses, -reference[None], given.trained, 2)
    member, other = given.judge(Calibrated()).scores
    assert (member, other) == (2.0, 0.0)


def test_difficulty_cancels() -> None:
    given = world(candidates=400, models=8, difficulty=10, shift=2, noise=0.5)
    members = np.arange(400) < 200
    raw: NDArray[np.float64] = given.target[:400, 0].astype(np.float64)
    assert auc(raw, members) < 0.65
    assert auc(given.judge(Calibrated(models=8)).scores, members) > 0.95


def test_one_reference_model_by_default_as_published() -> None:
    (request,) = Calibrated().needs(trial())
    assert (request.name, request.source, request.size) == ("offline-0", "reference", 20)


def test_a_reference_model_that_saw_a_candidate_is_refused() -> None:
    given = world(models=1)
    given.trained[0, :2] = True
    with pytest.raises(PluginError, match="calibrated: expected shadows that never saw a candidate, got 2 candidates"):
        given.judge(Calibrated())


def test_a_missing_reference_model_is_named() -> None:
    with pytest.raises(PluginError, match=r"got none named \['offline-2'\]"):
        world(models=2).judge(Calibrated(models=3))


@pytest.mark.parametrize("kind", ["image", "table"])
def test_contract(kind: str) -> None:
    report = check_attack(Calibrated(), planted=Planted("image" if kind == "image" else "table"))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_it_beats_its_statistic_on_a_fitted_target_and_finds_nothing_in_an_untrained_one() -> None:
    """Contrast decides how well a record is reconstructed, more than membership does."""
    raw = read_on_a_fitted_target(Reconstruction(encodings=5))
    found = read_on_a_fitted_target(Calibrated(models=3, statistic=STATISTIC))
    print(f"reconstruction {raw:.3f}, calibrated {found:.3f}")
    assert raw < 0.8
    assert found > max(0.85, raw + 0.05)
    assert abs(read_on_a_fitted_target(Calibrated(models=3, statistic=STATISTIC), steps=0) - 0.5) < NULL
