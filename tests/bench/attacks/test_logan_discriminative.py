"""LOGAN's discriminative attack: what its model is trained on, and that it works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from logan_cases import CANDIDATES, COPIES, MEMBERS, MEMBERSHIP, REFERENCE, everyone, read, records_of, request_of
from pydantic import ValidationError

from bench.attacks.base import Knowledge, Shares
from bench.attacks.logan_discriminative import LoganDiscriminative
from bench.candidates import known_mask
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.errors import InputError, PluginError
from bench.rng import RecordRng

SMALL: dict[str, Any] = {"steps": 300, "width": 16, "batch_size": 32, "learning_rate": 2e-3}
SETTINGS: list[Mapping[str, Any]] = [{}, *LoganDiscriminative.presets.values(), {"known_members": 0.3}]


def test_real_are_samples_and_known_members_and_fake_are_reference_and_known_others() -> None:
    attack = LoganDiscriminative(known_members=0.3, known_nonmembers=0.1)
    records = records_of(attack)
    assert records.labels is not None
    known = known_mask(CANDIDATES, MEMBERSHIP, Shares(0.3, 0.1))
    told = {True: everyone().x[CANDIDATES[known & MEMBERSHIP]], False: everyone().x[CANDIDATES[known & ~MEMBERSHIP]]}
    assert (len(told[True]), len(told[False])) == (6, 8)
    real = {row.tobytes() for row in records.x[records.labels == 1]}
    fake = {row.tobytes() for row in records.x[records.labels == 0]}
    assert {row.tobytes() for row in told[True]} <= real
    assert {row.tobytes() for row in told[False]} <= fake
    assert {row.tobytes() for row in everyone().x[-REFERENCE:]} <= fake
    assert (len(real), len(fake)) == (MEMBERS * COPIES + 6, REFERENCE + 8)


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_the_share_of_fakes_is_that_of_the_records_and_both_classes_are_there(options: Mapping[str, Any]) -> None:
    attack = LoganDiscriminative(**options)
    labels = records_of(attack).labels
    assert labels is not None
    assert set(labels.tolist()) == {0, 1}
    assert request_of(attack).target["fakes"] == pytest.approx(float(np.mean(labels == 0)))
    assert request_of(attack).target["generates"] is False


@pytest.mark.parametrize(
    ("options", "knowledge"),
    [
        ({}, "reference"),
        ({"known_members": 0.2}, "labelled"),
        ({"known_nonmembers": 0.2, "reference": False}, "labelled"),
    ],
)
def test_knowledge_follows_the_options(options: dict[str, Any], knowledge: str) -> None:
    attack = LoganDiscriminative(**options)
    assert attack.knowledge == knowledge
    assert attack.known == Shares(options.get("known_members", 0.0), options.get("known_nonmembers", 0.0))
    assert request_of(attack).against == ("reference" if options.get("reference", True) else None)


@pytest.mark.parametrize("options", [{"reference": False}, {"reference": False, "known_members": 0.2}], ids=str)
def test_without_any_fakes_it_is_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(InputError, match="expected reference records or known non-members"):
        LoganDiscriminative(**options)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_shares_are_below_1(share: float) -> None:
    with pytest.raises(ValidationError, match="known_members"):
        LoganDiscriminative(known_members=share)


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_contract(options: Mapping[str, Any]) -> None:
    report = check_attack(LoganDiscriminative(**options))
    assert {rule for rule, reason in report.items() if reason} == {"stays_within_its_access"}


def test_without_its_model_it_cannot_judge() -> None:
    planted = Planted()
    with pytest.raises(PluginError, match="expected the requested model 'attacker'"):
        LoganDiscriminative().score(planted.candidates, planted.view("samples"), Knowledge(), RecordRng(0))


@pytest.mark.parametrize("options", SETTINGS[:3], ids=str)
def test_it_finds_members_that_samples_lie_around_and_nothing_where_none_do(options: Mapping[str, Any]) -> None:
    attack = LoganDiscriminative(**SMALL, **options)
    assert read(attack) > 0.85
    assert abs(read(attack, leaks=False) - 0.5) < 0.32  # four standard deviations of 16 against 64
