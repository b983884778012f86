"""LOGAN's generative attack: what its GAN is trained on, and that it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from logan_cases import COPIES, MEMBERS, REFERENCE, read, records_of, request_of, trial

from bench.attacks.base import Shares
from bench.attacks.logan_black_box import LoganBlackBox
from bench.attacks.logan_generative import LoganGenerative
from bench.contracts import check_attack
from bench.errors import InputError
from targets.logan_attacker import LoganAttacker

SMALL: dict[str, Any] = {"steps": 300, "width": 16, "batch_size": 32, "learning_rate": 2e-3}
PRESETS = LoganGenerative.presets
REAL = MEMBERS * COPIES


@pytest.mark.parametrize(
    ("options", "real", "fake"),
    [
        ({}, REAL, REFERENCE),
        (PRESETS["known_members"], REAL + 4, 0),
        (PRESETS["known_nonmembers"], REAL, 16),
        (PRESETS["known_both"], REAL + 4, 16),
        ({"known_members": 0.3, "known_nonmembers": 0.3}, REAL + 6, REFERENCE + 24),
    ],
    ids=["reference", *PRESETS, "all"],
)
def test_its_records_are_what_it_knows(options: Mapping[str, Any], real: int, fake: int) -> None:
    attack = LoganGenerative(**options)
    records = records_of(attack)
    labels = records.labels
    assert labels is not None
    assert ((labels == 1).sum(), (labels == 0).sum()) == (real, fake)
    asked = request_of(attack).target
    assert asked["generates"] is True
    assert asked["balanced"] is True
    target = LoganAttacker.from_spec(asked)
    target.fit({}, records, records)
    assert target._fakes == (pytest.approx(fake / (real + fake)) if fake else None)


def test_the_presets_are_the_papers_three_settings() -> None:
    known = {name: LoganGenerative(**preset).known for name, preset in PRESETS.items()}
    assert known == {
        "known_members": Shares(0.2, 0.0),
        "known_nonmembers": Shares(0.0, 0.2),
        "known_both": Shares(0.2, 0.2),
    }
    assert all(LoganGenerative(**preset).knowledge == "labelled" for preset in PRESETS.values())
    assert all(request_of(LoganGenerative(**preset)).against is None for preset in PRESETS.values())


def test_its_gan_is_trained_as_that_of_the_black_box_attack() -> None:
    own = dict(request_of(LoganGenerative(**SMALL)).target)
    (other,) = LoganBlackBox(**SMALL).needs(trial())
    assert {key: own[key] for key in other.target if key != "name"} == {
        key: value for key, value in other.target.items() if key != "name"
    }
    assert set(own) - set(other.target) == {"balanced", "generates"}
    assert request_of(LoganGenerative()).seed == trial().seed


def test_an_attacker_who_knows_nothing_is_sent_to_the_black_box_attack() -> None:
    with pytest.raises(InputError, match="take logan_black_box, which knows nothing"):
        LoganGenerative(reference=False)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"known_members": 0.02, "reference": False}, "0.02 of the members, which is none of 20"),
        ({"known_members": 0.2, "known_nonmembers": 0.005}, "0.005 of the non-members, which is none of 80"),
    ],
    ids=str,
)
def test_it_is_told_of_somebody_or_not_applicable(options: Mapping[str, Any], what: str) -> None:
    reason = LoganGenerative(**options).not_applicable(trial(), frozenset())
    assert reason == f"logan_generative is told {what}"


def test_without_reference_records_it_applies_only_where_it_takes_none() -> None:
    alone = replace(trial(), sizes={**trial().sizes, "reference": 0})
    reason = "logan_generative takes the reference records for fakes, and there are none; set `reference`"
    assert LoganGenerative().not_applicable(alone, frozenset()) == reason
    assert LoganGenerative(known_members=0.2).not_applicable(alone, frozenset()) == reason
    assert [LoganGenerative(**preset).not_applicable(alone, frozenset()) for preset in PRESETS.values()] == [None] * 3
    assert LoganGenerative().not_applicable(trial(), frozenset()) is None


@pytest.mark.parametrize("options", [{}, *PRESETS.values()], ids=["reference", *PRESETS])
def test_contract(options: Mapping[str, Any]) -> None:
    report = check_attack(LoganGenerative(**options))
    assert {rule for rule, reason in report.items() if reason} == {"stays_within_its_access"}


@pytest.mark.parametrize("options", [{}, PRESETS["known_both"]], ids=["reference", "known_both"])
def test_it_finds_members_that_samples_lie_around_and_nothing_where_none_do(options: Mapping[str, Any]) -> None:
    attack = LoganGenerative(**SMALL, **options)
    assert read(attack) > 0.8
    assert abs(read(attack, leaks=False) - 0.5) < 0.32  # four standard deviations of 16 against 64
