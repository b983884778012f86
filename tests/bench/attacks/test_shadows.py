"""Banks of shadow models: what each is trained on, that attacks share them, and that the target is in none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shadow_cases import CANDIDATES, MEMBERS, trial

from bench.attacks._shadows import UNDEFENDED, offline_bank, online_bank, too_few_candidates, too_few_reference
from bench.attacks.base import ModelRequest
from bench.attacks.lira import Lira
from bench.candidates import model_records
from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.plan.graph import Plan
from bench.records import Records, Schema

EVERYONE = Records(np.arange(140), np.zeros((140, 1), np.float32), None, Schema("table", (1,)))
SOURCES = {"candidates": EVERYONE.take(np.arange(80)), "reference": EVERYONE.take(np.arange(80, 140))}


def ids(request: ModelRequest) -> list[int]:
    """The records that a requested model is trained on."""
    asked = {
        "source": request.source,
        "size": request.size,
        "seed": request.seed,
        "part": request.part,
        "known": [0, 0],
        "against": None,
    }
    membership = np.arange(80) < MEMBERS
    return model_records(asked, SOURCES.__getitem__, SOURCES["candidates"], membership).ids.tolist()


def test_an_offline_shadow_trains_like_the_target_on_reference_records() -> None:
    bank = offline_bank(trial({"name": "dcgan", "steps": 7}), 8)
    assert [r.name for r in bank] == [f"offline-{k}" for k in range(8)]
    assert {(r.source, r.size, r.samples) for r in bank} == {("reference", MEMBERS, False)}
    assert all(r.target == {"name": "dcgan", "steps": 7} for r in bank)
    for request in bank:
        assert len(set(ids(request))) == MEMBERS
        assert min(ids(request)) >= CANDIDATES


def test_an_online_shadow_trains_on_candidates() -> None:
    bank = online_bank(trial(), 8, samples=True)
    assert [r.name for r in bank] == [f"online-{k}" for k in range(8)]
    assert {(r.source, r.size, r.samples) for r in bank} == {("candidates", MEMBERS, True)}
    for request in bank:
        assert len(set(ids(request))) == MEMBERS
        assert max(ids(request)) < CANDIDATES


def test_no_two_shadows_train_on_the_same_records() -> None:
    for bank in (offline_bank(trial(), 40), online_bank(trial(), 40)):
        assert len({tuple(ids(request)) for request in bank}) == 40


@pytest.mark.parametrize(("models", "least", "most"), [(3, 1, 1), (6, 2, 2), (8, 2, 3), (30, 10, 10)])
def test_each_reference_record_is_in_about_equally_many_offline_shadows(models: int, least: int, most: int) -> None:
    """60 reference records and 20 members: three disjoint training sets of each shuffle."""
    count = np.bincount(np.concatenate([ids(r) for r in offline_bank(trial(), models)]), minlength=140)[80:]
    assert (count.min(), count.max()) == (least, most)


def test_each_candidate_is_in_some_online_shadows_and_out_of_others() -> None:
    count = np.bincount(np.concatenate([ids(r) for r in online_bank(trial(), 8)]), minlength=80)
    assert set(count.tolist()) == {2}


def test_a_reference_that_is_no_multiple_of_the_members_is_used_up_to_the_last_whole_set() -> None:
    bank = offline_bank(replace(trial(), members=25), 5)
    assert [(r.seed, r.part) for r in bank] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert not set(ids(bank[0])) & set(ids(bank[1]))


def test_seeds_of_a_trial_share_a_bank_and_a_larger_bank_holds_the_smaller() -> None:
    assert offline_bank(replace(trial(), seed=5), 4) == offline_bank(trial(), 8)[:4]


def test_shadows_know_the_defenses_unless_told_otherwise() -> None:
    defended = replace(trial(), defenses=({"name": "dropout"},))
    assert {r.defenses for r in offline_bank(defended, 2)} == {None}
    assert all(r.defenses == UNDEFENDED for r in online_bank(defended, 2, defended=False))


def test_too_few_reference_records() -> None:
    assert too_few_reference("lira", trial(), 3) is None
    assert too_few_reference("lira", trial(), 3.05) == (
        "lira trains shadows on 20 reference records each, as many as the target's, and needs 61 in all; there are 60"
    )


def plan_of(folder: Path, attacks: list[Any]) -> Plan:
    matrix = {
        "name": "banks",
        "dataset": {"name": "digits", "members": 25, "nonmembers": 75, "reference": 60},
        "targets": ["memorizer"],
        "defenses": ["none"],
        "attacks": attacks,
        "seeds": [0, 1],
        "samples": 100,
        "quality": {"records": 100, "snapshot_records": 100},
        "controls": False,
    }
    path = folder / "matrix.yaml"
    path.write_text(json.dumps(matrix), "utf-8")
    return build_plan(load_matrix(path))


def test_the_target_is_never_among_its_own_shadow_models(tmp_path: Path) -> None:
    """Published code calibrates a model by a bank that holds it, so that what it knows is taken for what all know."""
    banks = [{"name": name, "models": 8} for name in ("calibrated", "lira", "rmia", "shadow_classifier")]
    online = [{"name": name, "models": 8, "online": True} for name in ("lira", "rmia")]
    plan = plan_of(tmp_path, [*banks, *online])
    targets = {trial.steps["train"].key for trial in plan.trials}
    assert len(targets) == 2
    seen = 0
    for cell in plan.cells:
        assert cell.step is not None, cell.not_applicable
        assert len(cell.models) == 8
        assert not targets & {model.key for model in cell.models}
        seen += len(cell.models)
    assert seen == 12 * 8


def test_attacks_and_seeds_share_trainings(tmp_path: Path) -> None:
    """Offline: eight models, whoever asks and for whichever seed; one more bank online."""
    attacks = [{"name": "calibrated", "models": 3}, {"name": "lira", "models": 8}, {"name": "rmia", "models": 5}]
    plan = plan_of(tmp_path, [*attacks, {"name": "lira", "online": True, "models": 4}])
    assert len({model.key for cell in plan.cells for model in cell.models}) == 8 + 4


def test_a_defense_that_adds_records_has_larger_shadows_where_there_are_so_many() -> None:
    more = replace(trial(), training_size=30)
    assert {r.size for r in (*offline_bank(more, 2), *online_bank(more, 2))} == {30}
    assert {r.size for r in (*offline_bank(more, 2, defended=False), *online_bank(more, 2, defended=False))} == {20}
    assert "needs 90 in all; there are 60" in str(too_few_reference("lira", more, 3))
    assert too_few_reference("lira", more, 3, defended=False) is None


@pytest.mark.parametrize(("size", "refused"), [(79, False), (80, True), (120, True)])
def test_an_online_shadow_must_leave_some_candidate_out(size: int, refused: bool) -> None:
    reason = too_few_candidates("lira", replace(trial(), training_size=size))
    assert (reason is not None) == refused
    if reason is not None:
        assert reason.endswith("must be left out of each; there are 80")
        assert (
            Lira(online=True).not_applicable(
                replace(trial(), training_size=size), frozenset({"generator", "discriminator"})
            )
            == reason
        )
    assert too_few_candidates("lira", replace(trial(), training_size=size), defended=False) is None
