"""LOGAN's discriminative attack: what its model is trained on, and that it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from logan_cases import (
    CANDIDATES,
    COPIES,
    MEMBERS,
    MEMBERSHIP,
    REFERENCE,
    everyone,
    read,
    records_of,
    request_of,
    trial,
)
from pydantic import ValidationError

from bench.attacks.base import Knowledge, Shares
from bench.attacks.logan_discriminative import LoganDiscriminative
from bench.candidates import known_mask
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.devices import Device
from bench.errors import InputError, PluginError
from bench.records import Schema
from bench.rng import RecordRng
from targets.logan_attacker import LoganAttacker
from targets.training import TrainingRequest, train

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
    records = records_of(attack)
    assert records.labels is not None
    assert set(records.labels.tolist()) == {0, 1}
    assert request_of(attack).target["balanced"] is True
    assert request_of(attack).target["generates"] is False
    target = LoganAttacker.from_spec(request_of(attack).target)
    target.fit({}, records, records)
    assert target._fakes == pytest.approx(float(np.mean(records.labels == 0)))


def test_what_counts_is_the_records_that_are_there_and_not_what_the_trial_says() -> None:
    """20 real records against 60 fakes, where the trial makes 10,000: each side has half of the weight."""
    attack = LoganDiscriminative(**{**SMALL, "steps": 10})
    (asked,), (other,) = (attack.needs(replace(trial(), samples=samples)) for samples in (10_000, 20))
    assert asked == other
    records = replace(everyone().take(np.arange(80)), labels=np.repeat([1, 0], [20, 60]))
    target = LoganAttacker.from_spec(asked.target)
    assert train(TrainingRequest(target, (), records, 10_000, records, 0, Device())).status == "completed"
    weight = target._weights(torch.from_numpy(records.labels == 0)).numpy()
    np.testing.assert_allclose(weight, np.repeat([2.0, 2 / 3], [20, 60]), rtol=1e-6)


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


@pytest.mark.parametrize("share", [0.005, 0.02, 0.025, 0.03, 0.074, 0.2])
@pytest.mark.parametrize(("option", "what"), [("known_members", "members"), ("known_nonmembers", "non-members")])
def test_it_applies_where_it_is_told_of_somebody(option: str, what: str, share: float) -> None:
    attack = LoganDiscriminative(**{option: share})
    side = MEMBERSHIP if what == "members" else ~MEMBERSHIP
    reason = attack.not_applicable(trial(), frozenset())
    if known_mask(CANDIDATES, MEMBERSHIP, attack.known)[side].any():
        assert reason is None
    else:
        assert reason == f"logan_discriminative is told {share:g} of the {what}, which is none of {side.sum()}"


def test_without_reference_records_it_applies_only_where_it_takes_none() -> None:
    alone = replace(trial(), sizes={**trial().sizes, "reference": 0})
    reason = "logan_discriminative takes the reference records for fakes, and there are none; set `reference`"
    assert LoganDiscriminative().not_applicable(alone, frozenset()) == reason
    assert LoganDiscriminative(known_nonmembers=0.2).not_applicable(alone, frozenset()) == reason
    for preset in LoganDiscriminative.presets.values():
        assert LoganDiscriminative(**preset).not_applicable(alone, frozenset()) is None
    assert LoganDiscriminative().not_applicable(trial(), frozenset()) is None


def test_other_reasons_stay() -> None:
    table = replace(trial(), schema=Schema("table", (3,)))
    assert LoganDiscriminative().not_applicable(table, frozenset()) == (
        "logan_discriminative judges image records, not table records"
    )


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
