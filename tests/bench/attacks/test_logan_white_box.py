"""LOGAN's white-box attack: how the opinions of discriminators become one score."""

from __future__ import annotations

import numpy as np
import pytest
from discriminator_cases import overfitted
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from bench.attacks.base import Knowledge
from bench.attacks.logan_white_box import LoganWhiteBox
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.metrics.roc import auc
from bench.records import Records
from bench.rng import RecordRng
from targets.base import Networks

RNG = RecordRng(0, "attack", "logan_white_box")


class Parts(Planted):
    """Each of several discriminators has memorised a part of the members."""

    def networks(self, records: Records) -> Networks:
        whole = super().networks(records)
        parts = [records.take(part) for part in np.array_split(np.arange(len(records)), 3)]
        judges: tuple[nn.Module, ...] = tuple(super(Parts, self).networks(p)["discriminator"][0] for p in parts)
        return {**whole, "discriminator": judges}


def looped(planted: Parts) -> list[list[float]]:
    """One candidate and one discriminator at a time: the margin minus the distance to the nearest that it knows."""
    found = []
    members = planted.roles["members"].floats().astype(np.float64).reshape(planted.members, -1)
    for x in planted.candidates.floats().astype(np.float64).reshape(len(planted.candidates), -1):
        far = np.sqrt(((members - x) ** 2).sum(axis=1))
        found.append([planted.margin - part.min() for part in np.array_split(far, 3)])
    return found


def scores(planted: Planted, combine: str) -> NDArray[np.float64]:
    attack = LoganWhiteBox(combine=combine)
    return attack.score(planted.candidates, planted.view("white_box"), Knowledge(), RNG).scores


@pytest.mark.parametrize("combine", ["max", "mean", "spread"])
def test_opinions_are_combined_as_in_a_loop(combine: str) -> None:
    planted = Parts()
    wanted = []
    for opinions in looped(planted):
        largest, mean = max(opinions), sum(opinions) / 3
        wanted.append({"max": largest, "mean": mean, "spread": largest - mean}[combine])
    np.testing.assert_allclose(scores(planted, combine), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("combine", ["max", "spread"])
def test_a_member_that_one_of_several_knows_is_found(combine: str) -> None:
    report = check_attack(LoganWhiteBox(combine=combine), planted=Parts())
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_the_spread_of_a_single_one_is_0() -> None:
    planted = Planted()
    found = scores(planted, "spread")
    assert set(found) == {0.0}
    assert auc(found, planted.membership) == 0.5


def test_an_unknown_combination_is_refused() -> None:
    with pytest.raises(ValidationError, match="combine"):
        LoganWhiteBox(combine="median")


def test_an_overfitted_discriminator_gives_its_members_away_and_an_untrained_one_does_not() -> None:
    assert overfitted().auc(LoganWhiteBox()) > 0.9
    assert abs(overfitted(steps=0).auc(LoganWhiteBox()) - 0.5) < 0.29  # four standard deviations of 20 against 80
