"""Holes in what a filter lets through: on releases whose filter is planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.hole import Hole
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.devices import Device
from bench.errors import PluginError
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import View
from bench.rng import RecordRng, generator

SCHEMA = Schema("table", (2,))
RNG = RecordRng(0, "attack", "hole")


def points(n: int, seed: int) -> NDArray[np.float32]:
    return generator(seed, "test points").normal(size=(n, 2)).astype(np.float32)


def records(x: NDArray[np.float32], first: int = 0) -> Records:
    return Records(np.arange(first, first + len(x), dtype=np.int64), x, None, SCHEMA)


def distances(x: NDArray[np.float32], s: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.array([np.hypot(*(s.astype(float) - row).T).min() for row in x])


def view(samples: NDArray[np.float32]) -> View:
    return View("samples", SCHEMA, Device(), lambda: samples)


def test_scores_are_those_of_a_loop() -> None:
    candidates, reference, samples = points(40, 0), points(50, 1), points(60, 2)
    radius = np.quantile(distances(reference, samples), 0.3)
    wanted = [-1.0 if distance < radius else 0.0 for distance in distances(candidates, samples)]
    found = Hole(quantile=0.3).score(records(candidates), view(samples), Knowledge(reference=records(reference)), RNG)
    assert found.scores.tolist() == wanted
    assert found.diagnostics["radius"] == pytest.approx(radius, rel=1e-6)
    assert 0 < sum(wanted) + 40 < 40


def test_a_filter_gives_its_members_away() -> None:
    """No sample within .15 of a member: every candidate with a sample nearer than the radius is none."""
    members, others, reference, drawn = points(300, 0), points(300, 1), points(500, 2), points(3000, 3)
    samples = drawn[distances(drawn, members) > 0.15]
    everyone = records(np.concatenate([members, others]))
    membership = np.arange(600) < 300
    found = Hole(quantile=0.1).score(everyone, view(samples), Knowledge(reference=records(reference)), RNG)
    assert found.diagnostics["radius"] < 0.15
    assert not (found.scores[membership] == -1).any()
    struck = float((found.scores[~membership] == -1).mean())
    assert 0.03 < struck < 0.3
    assert auc(found.scores, membership) == pytest.approx(0.5 + struck / 2)


def test_without_a_filter_it_reads_chance() -> None:
    everyone, membership = records(points(600, 0)), np.arange(600) < 300
    found = Hole(quantile=0.5).score(everyone, view(points(3000, 3)), Knowledge(reference=records(points(500, 2))), RNG)
    assert 0.3 < (found.scores == -1).mean() < 0.7  # about half of all have a sample near, so that it could read .25
    assert abs(auc(found.scores, membership) - 0.5) < 0.08


def test_contract() -> None:
    """But for the members of a memorising release, around which samples crowd: it reads them the wrong way round."""
    left_out = {"finds_planted_members"}
    report = check_attack(Hole(), leave_out=left_out)
    assert {rule for rule, reason in report.items() if reason} == left_out
    planted = Planted()
    found = Hole().score(planted.candidates, planted.view("samples"), planted.knowledge(Hole()), RNG)
    assert auc(found.scores, planted.membership) < 0.1


@pytest.mark.parametrize("reference", [None, records(points(0, 0))], ids=["none", "empty"])
def test_without_reference_records_there_is_no_radius(reference: Records | None) -> None:
    with pytest.raises(PluginError, match="expected reference records to choose its radius on, got none"):
        Hole().score(records(points(5, 0)), view(points(5, 1)), Knowledge(reference=reference), RNG)


def test_a_sample_at_the_radius_is_not_within_it() -> None:
    """Where the samples are the reference records, the radius is 0, and nothing is nearer than that."""
    reference = points(20, 1)
    candidates = records(np.concatenate([reference[:5], points(5, 0)]))
    found = Hole().score(candidates, view(reference), Knowledge(reference=records(reference)), RNG)
    assert found.diagnostics == {"radius": 0.0}
    assert set(found.scores) == {0.0}


def test_it_judges_only_where_a_defense_names_it() -> None:
    """On samples that nothing filtered it would read the wrong way round."""
    trial = TrialSpec(SCHEMA, 10, {}, {"name": "dcgan"}, (), 0, 100)
    assert Hole().not_applicable(trial, frozenset({"generator"})) == (
        "hole is made against a filter of the output, and no defense of this stack names it as made against itself"
    )
    assert Hole().not_applicable(replace(trial, adaptive=frozenset({"hole"})), frozenset({"generator"})) is None
