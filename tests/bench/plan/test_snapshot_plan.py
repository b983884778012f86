"""Which snapshots are attacked, by what, and that nothing else is trained anew for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.plan.graph import Plan
from targets.base import SNAPSHOTS, snapshot_steps

BASE: dict[str, Any] = {
    "name": "planned",
    "dataset": {"name": "digits", "members": 40, "nonmembers": 80, "reference": 120, "validation": 40, "holdout": 120},
    "targets": [{"name": "dcgan", "width": 4, "steps": 80}],
    "defenses": ["none", "dropout"],
    "attacks": ["logan_white_box", {"name": "logan_black_box", "steps": 10}, "nearest_sample", "label_only"],
    "seeds": [0, 1],
    "samples": 200,
    "quality": {"records": 100},
}


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    def plan(**changed: Any) -> Plan:
        path = tmp_path / "matrix.yaml"
        path.write_text(yaml.safe_dump({**BASE, **changed}), "utf-8")
        return build_plan(load_matrix(path))

    return plan


def test_every_cheap_attack_judges_every_snapshot_of_the_undefended_training(plan: Any) -> None:
    made = plan()
    steps = snapshot_steps(80)
    assert len(steps) == SNAPSHOTS
    found = {(c.trial.defense, c.trial.seed, c.at_step, c.name) for c in made.snapshots}
    assert found == {
        ("none", seed, step, attack)
        for seed in (0, 1)
        for step in steps[:-1]
        for attack in ("logan_white_box", "nearest_sample")  # one trains a model, one needs the model's threshold
    }
    assert all(cell.at_step is None for cell in made.cells)
    ids = [cell.id for cell in (*made.cells, *made.snapshots)]
    assert len(set(ids)) == len(ids)
    for cell in made.snapshots:
        assert cell.step is not None
        assert cell.step.config["snapshot"] == cell.at_step
        drawn = cell.step.upstream.get("sample")
        assert (drawn is not None) == (cell.name == "nearest_sample")
        assert drawn is None or drawn.config["snapshot"] == cell.at_step
        assert cell.trial.steps["train"].config["snapshot_networks"] is True


def test_only_the_undefended_training_is_another_one_for_it(plan: Any) -> None:
    with_it, without = plan(), plan(equal_kid=False)
    assert without.snapshots == ()
    for one, other in zip(with_it.trials, without.trials, strict=True):
        same = one.steps["train"].key == other.steps["train"].key
        assert same == (one.defense != "none")
    assert {c.id: c.step.key for c in with_it.cells if c.trial.defense != "none" and c.step} == {
        c.id: c.step.key for c in without.cells if c.trial.defense != "none" and c.step
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"defenses": ["none"]},
        {"defenses": ["dropout"]},
        {"exclude": [{"defense": "dropout"}]},
        {"targets": [{"name": "vae", "steps": 1}]},  # its only snapshot is its end
        {"targets": ["memorizer"]},
        {"targets": [{"name": "vae", "steps": 80}], "defenses": ["none", "privgan"]},  # never goes with this target
        {"attacks": ["label_only"], "targets": [{"name": "dcgan", "steps": 80}]},
    ],
    ids=str,
)
def test_no_snapshot_is_attacked_where_nothing_is_read_beside_it(plan: Any, changed: dict[str, Any]) -> None:
    assert plan(**changed).snapshots == ()


def test_an_excluded_defense_and_an_excluded_attack_leave_their_snapshots_out(plan: Any) -> None:
    made = plan(exclude=[{"defense": "dropout", "seed": 1}, {"attack": "nearest_sample", "seed": 0}])
    assert {(c.trial.seed, c.name) for c in made.snapshots} == {(0, "logan_white_box")}


def test_tables_have_no_kid_and_no_snapshots_to_attack(plan: Any) -> None:
    table = {"name": "breast_cancer", "members": 100, "nonmembers": 100, "reference": 100, "validation": 50}
    made = plan(dataset={**table, "holdout": 100}, targets=[{"name": "tvae", "steps": 80}], attacks=["nearest_sample"])
    assert made.snapshots == ()
