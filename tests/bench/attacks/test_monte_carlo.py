"""The Monte Carlo attack against a loop over all pairs, with the ties that it must have and those it must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from sample_cases import NULL, overfitted, untrained

from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.monte_carlo import TINY, MonteCarlo, Radius, count_near
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.devices import Device
from bench.errors import PluginError
from bench.records import Schema
from bench.release import View
from bench.rng import RecordRng, generator

CPU = Device()
Values = NDArray[np.float64]


def normal(*shape: int, seed: int = 0) -> Values:
    return generator(seed, "monte carlo tests").normal(size=shape)


def looped(x: Values, s: Values, radius: Radius, weighted: bool) -> tuple[list[float], float]:
    distances = [[float(np.linalg.norm(a - b)) for b in s] for a in x]
    if radius == "median":
        r = float(np.median([min(row) for row in distances]))
    else:
        r = float(np.quantile(distances, radius, method="inverted_cdf"))
    return [sum(-np.log(d / r) if weighted else 1.0 for d in row if d < r) for row in distances], r


@pytest.mark.parametrize("held", [0, 10**6])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("radius", ["median", 0.01, 0.2])
@pytest.mark.parametrize("n", [30, 31])  # with 31 the median is a candidate's own distance
def test_counts_are_those_of_a_loop(n: int, radius: Radius, weighted: bool, held: int) -> None:
    x, s = normal(n, 3), normal(200, 3, seed=1)
    wanted, r = looped(x, s, radius, weighted)
    found, found_radius = count_near(x, s, CPU, radius, weighted, held)
    assert found_radius == pytest.approx(r, rel=1e-10)
    assert max(wanted) > min(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_half_of_the_scores_are_exactly_zero_by_construction() -> None:
    found, _ = count_near(normal(101, 5), normal(300, 5, seed=1), CPU)
    assert (found == 0).sum() == 51  # the median candidate's nearest sample is at the radius, not within


def test_samples_at_the_very_radius_are_not_within() -> None:
    """Categories encoded as columns of 0 and 1: most distances are equal, and rounding must not tell them apart."""
    codes = generator(0, "codes").integers(0, 7, (400, 4))
    rows = np.eye(7)[codes].reshape(400, 28)
    x, s = rows[:100], rows[100:]
    exact = 2 * (codes[:100, None] != codes[None, 100:]).sum(axis=2)  # the squared distances
    squared = float(np.median(np.sqrt(exact.min(axis=1)))) ** 2
    found, radius = count_near(x, s, CPU)
    assert radius**2 == pytest.approx(squared)
    assert (exact == round(squared)).any()
    assert found.tolist() == (exact < round(squared)).sum(axis=1).tolist()


@pytest.mark.parametrize("radius", ["median", 0.001])
@pytest.mark.parametrize("weighted", [False, True])
def test_copies_have_a_finite_weight_and_the_largest(weighted: bool, radius: Radius) -> None:
    s = np.repeat(3 * normal(10, 784, seed=1), 20, axis=0)  # farther from each other than from the rest
    x = np.concatenate([s[::20], normal(20, 784)])
    found, r = count_near(x, s, CPU, radius, weighted)
    assert r > 0
    assert found[:10] == pytest.approx(20 * -np.log(TINY) if weighted else 20)
    assert found[:10].min() >= found[10:].max()
    assert (found[10:].max() > 0) == (radius == "median")


def test_samples_that_are_all_one_record() -> None:
    s = np.repeat(normal(1, 6, seed=1), 50, axis=0)
    found, _ = count_near(np.concatenate([s[:1], normal(9, 6)]), s, CPU, 0.01)
    assert found.tolist() == [50] + [0] * 9


def test_the_score_is_a_share_of_the_samples() -> None:
    planted = Planted()
    attack = MonteCarlo()
    found = attack.score(planted.candidates, planted.view("samples"), planted.knowledge(attack), RecordRng(0))
    assert set(found.scores) == {0.0, 1 / planted.members}
    assert found.diagnostics["zero_scores"] == 0.5
    assert found.diagnostics["radius"] > 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weighted": True},
        {"radius": 0.001},
        {"components": 5},
        {"features": "hog"},
        {"features": "colour_histogram"},
        {"features": "identity"},
    ],
    ids=str,
)
def test_contract(options: dict[str, Any]) -> None:
    report = check_attack(MonteCarlo(**options))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


@pytest.mark.parametrize("features", ["pca", "identity"])
def test_a_table_is_judged_too(features: str) -> None:
    report = check_attack(MonteCarlo(features=features), planted=Planted("table"))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


@pytest.mark.parametrize("features", ["hog", "colour_histogram"])
def test_features_of_images_do_not_apply_to_tables(features: str) -> None:
    trial = TrialSpec(Schema("table", (4,)), 10, {}, {"name": "tvae"}, (), 0, 100)
    reason = MonteCarlo(features=features).not_applicable(trial, frozenset())
    assert reason == f"monte_carlo with features={features} judges images, not table records"
    assert MonteCarlo().not_applicable(trial, frozenset()) is None


@pytest.mark.parametrize("radius", [0.0, 1.0, -0.1, "mean"])
def test_a_radius_is_the_median_or_a_share(radius: object) -> None:
    with pytest.raises(ValidationError, match="radius"):
        MonteCarlo(radius=radius)


def test_features_need_reference_records() -> None:
    planted = Planted()
    view = View("samples", planted.schema, CPU, lambda: planted.trained_on("memorised").x)
    with pytest.raises(PluginError, match="expected reference records to fit features on, got none"):
        MonteCarlo().score(planted.candidates, view, Knowledge(), RecordRng(0))


@pytest.mark.parametrize("options", [{}, {"weighted": True}, {"radius": 0.001}, {"features": "identity"}], ids=str)
def test_an_overfitted_model_gives_its_members_away_and_an_untrained_one_does_not(options: dict[str, Any]) -> None:
    attack = MonteCarlo(**options)
    assert overfitted().auc(attack) > 0.9
    assert abs(untrained().auc(attack) - 0.5) < NULL
