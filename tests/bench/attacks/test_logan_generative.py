"""LOGAN's generative attack: what its GAN is trained on, and that it works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from logan_cases import COPIES, MEMBERS, REFERENCE, read, records_of, request_of, trial

from bench.attacks.base import Shares
from bench.attacks.logan_black_box import LoganBlackBox
from bench.attacks.logan_generative import LoganGenerative
from bench.contracts import check_attack
from bench.errors import InputError

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
    labels = records_of(attack).labels
    assert labels is not None
    assert ((labels == 1).sum(), (labels == 0).sum()) == (real, fake)
    asked = request_of(attack).target
    assert asked["generates"] is True
    assert asked["fakes"] == (pytest.approx(fake / (real + fake)) if fake else None)


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
    assert set(own) - set(other.target) == {"fakes", "generates"}
    assert request_of(LoganGenerative()).seed == trial().seed


def test_an_attacker_who_knows_nothing_is_sent_to_the_black_box_attack() -> None:
    with pytest.raises(InputError, match="take logan_black_box, which knows nothing"):
        LoganGenerative(reference=False)


@pytest.mark.parametrize("options", [{}, *PRESETS.values()], ids=["reference", *PRESETS])
def test_contract(options: Mapping[str, Any]) -> None:
    report = check_attack(LoganGenerative(**options))
    assert {rule for rule, reason in report.items() if reason} == {"stays_within_its_access"}


@pytest.mark.parametrize("options", [{}, PRESETS["known_both"]], ids=["reference", "known_both"])
def test_it_finds_members_that_samples_lie_around_and_nothing_where_none_do(options: Mapping[str, Any]) -> None:
    attack = LoganGenerative(**SMALL, **options)
    assert read(attack) > 0.8
    assert abs(read(attack, leaks=False) - 0.5) < 0.32  # four standard deviations of 16 against 64
