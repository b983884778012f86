"""A statistic's mean over mixtures: against one mixture at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from discriminator_cases import overfitted
from pydantic import ValidationError

from bench.attacks.base import Knowledge
from bench.attacks.mixed_pairs import MixedPairs
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.contracts.tiny import GREY, MIXED, tiny_records
from bench.devices import Device
from bench.errors import PluginError
from bench.records import Schema
from bench.release import View
from bench.rng import RecordRng

RNG = RecordRng(2, "attack", "mixed_pairs")


def partners(attack: MixedPairs, reference: int) -> list[int]:
    """The reference records that it mixes with, found by their effect alone."""
    records = tiny_records(GREY, reference, seed=3)
    view = View("samples", GREY, Device(), lambda: tiny_records(GREY, 30, seed=1).x)
    candidates = tiny_records(GREY, 4)
    base = attack.score(candidates, view, Knowledge(reference=records), RNG).scores
    moved = []
    for place in range(reference):
        x = records.x.copy()
        x[place] = 255 - x[place]
        changed = attack.score(
            candidates, view, Knowledge(reference=type(records)(records.ids, x, records.labels, GREY)), RNG
        ).scores
        moved.append(not np.array_equal(changed, base))
    return np.flatnonzero(moved).tolist()


@pytest.mark.parametrize("schema", [GREY, MIXED], ids=str)
def test_scores_are_the_mean_over_single_mixtures(schema: Schema) -> None:
    attack = MixedPairs(statistic="nearest_sample", weights=[0.6, 0.9, 1.0], partners=3)
    chosen = partners(attack, 12)
    assert len(chosen) == 3
    candidates, reference, samples = (tiny_records(schema, n, seed=s) for n, s in ((7, 0), (12, 3), (30, 1)))
    view = View("samples", schema, Device(), lambda: samples.x)
    wanted = []
    for x in candidates.floats().astype(np.float64):
        scores = []
        for weight in (0.6, 0.9, 1.0):
            for b in reference.floats()[chosen]:
                mixed = weight * x + (1 - weight) * b
                if schema.kind == "image":  # rounded to a stored image's levels
                    mixed = np.rint((mixed + 1) * 127.5) / 127.5 - 1
                scores.append(-min(np.sqrt(((mixed - s) ** 2).sum()) for s in samples.floats()))
        wanted.append(np.mean(scores))
    found = attack.score(candidates, view, Knowledge(reference=reference), RNG).scores
    np.testing.assert_allclose(found, wanted, rtol=1e-3 if schema.kind == "image" else 1e-5)


def test_with_all_weight_on_the_candidate_it_is_the_statistic_itself() -> None:
    case = overfitted()
    found = case.scores(MixedPairs(weights=[1.0], partners=2))
    np.testing.assert_allclose(found, case.scores(MixedPairs().statistic), rtol=1e-6)


@pytest.mark.parametrize("kind", ["image", "table"])
def test_contract(kind: Any) -> None:
    report = check_attack(MixedPairs(partners=2), planted=Planted(kind))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_too_few_reference_records_are_an_error() -> None:
    view = View("samples", GREY, Device(), lambda: tiny_records(GREY, 30).x)
    for reference, got in ((tiny_records(GREY, 3), 3), (None, 0)):
        with pytest.raises(PluginError, match=f"at least 4 reference records to mix with, got {got}"):
            MixedPairs(statistic="nearest_sample", partners=4).score(
                tiny_records(GREY, 5), view, Knowledge(reference=reference), RNG
            )


@pytest.mark.parametrize("weights", [[], [0.0], [1.5]])
def test_weights_are_shares_above_0(weights: list[float]) -> None:
    with pytest.raises(ValidationError, match="weights"):
        MixedPairs(weights=weights)


def test_it_knows_the_reference_records_whatever_its_statistic() -> None:
    for statistic in ("nearest_sample", "logan_white_box"):
        attack = MixedPairs(statistic=statistic)
        assert attack.knowledge == "reference"
        assert attack.access == attack.statistic.access


def test_an_overfitted_discriminator_gives_its_members_away_and_an_untrained_one_does_not() -> None:
    assert overfitted().auc(MixedPairs()) > 0.85
    assert abs(overfitted(steps=0).auc(MixedPairs()) - 0.5) < 0.29  # four standard deviations of 20 against 80
