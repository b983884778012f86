"""The graph of a matrix: what is shared, what a key depends on, what is blocked and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.plan.estimate import estimate
from bench.plan.graph import Plan, Step
from bench.plan.status import cell_state, new_steps, step_states
from bench.store import COST, Store, write_json

BASE: dict[str, Any] = {
    "name": "planned",
    "dataset": {"name": "digits", "members": 40, "nonmembers": 80, "reference": 120, "validation": 40, "holdout": 120},
    "targets": [{"name": "dcgan", "width": 4, "steps": 30}],
    "defenses": ["none", "dropout"],
    "attacks": ["logan_white_box", {"name": "logan_black_box", "steps": 10}, "nearest_sample"],
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


def keys(plan: Plan, kind: str) -> set[str]:
    return {step.key for step in plan.steps if step.kind == kind}


def by_label(plan: Plan, part: str) -> Step:
    (found,) = [step for step in plan.steps if part in step.label]
    return found


def test_every_step_follows_what_it_needs(plan: Any) -> None:
    seen: set[str] = set()
    for step in plan().steps:
        assert {before.id for before in step.before()} <= seen
        assert step.id not in seen
        seen.add(step.id)


def test_the_crossing_has_the_right_size(plan: Any) -> None:
    made = plan()
    assert len(made.trials) == 2 * 2
    assert len(made.cells) == 2 * 2 * (3 + 4)  # with the four controls
    trainings = [s for s in made.steps if s.kind == "train"]
    assert len(trainings) == 4 + 4 + 1  # trials, their attackers' models, the untrained line
    assert len([s for s in made.steps if s.kind == "preflight"]) == 3  # a pair each, whatever the seeds


def test_a_control_is_computed_once_for_all_targets_and_defenses(plan: Any) -> None:
    made = plan()
    for name in ("constant", "random", "blind", "oracle"):
        assert len({c.step.key for c in made.cells if c.attack.name == name}) == 2  # one per seed


def test_attacks_that_ask_for_the_same_model_share_it(plan: Any) -> None:
    twice = [{"name": "logan_black_box", "steps": 10}, {"name": "logan_black_box", "steps": 11}]
    assert len(keys(plan(attacks=twice), "train")) == len(keys(plan(attacks=twice[:1]), "train")) + 4
    without = {s.key for s in plan(attacks=["nearest_sample"]).steps if s.kind == "train"}
    assert without < keys(plan(), "train")  # more attacks re-train nothing


@pytest.mark.parametrize(
    ("changed", "touched", "kept"),
    [
        ({"resamples": 77, "sets": 5, "description": "x"}, (), ("data", "train", "sample", "quality", "attack")),
        ({"samples": 201}, ("sample", "quality"), ("data",)),
        ({"quality": {"records": 110}}, ("quality",), ("data", "train", "sample", "attack")),
        ({"precision": "bf16"}, ("train", "sample", "quality"), ("data", "features")),
        ({"device": "cuda"}, ("train", "sample", "features", "quality", "attack"), ("data",)),
        ({"dataset": {**BASE["dataset"], "split_seed": 1}}, ("data", "train", "features", "attack"), ()),
        ({"dataset": {**BASE["dataset"], "holdout": 121}}, ("data", "train"), ()),
    ],
    ids=str,
)
def test_what_a_key_depends_on(
    plan: Any, changed: dict[str, Any], touched: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    before, after = plan(), plan(**changed)
    for kind in touched:
        assert keys(before, kind).isdisjoint(keys(after, kind)) or kind in ("attack", "sample", "quality"), kind
        assert keys(before, kind) != keys(after, kind), kind
    for kind in kept:
        assert keys(before, kind) == keys(after, kind), kind


def test_an_option_of_one_defense_touches_its_trials_alone(plan: Any) -> None:
    before, after = plan(), plan(defenses=["none", {"name": "dropout", "rate": 0.3}])
    assert by_label(before, "train digits/dcgan/none/0").key in keys(after, "train")
    assert by_label(before, "train digits/dcgan/dropout/0").key not in keys(after, "train")


def test_a_preflight_is_an_order_and_not_part_of_a_trainings_identity(plan: Any) -> None:
    train = by_label(plan(), "train digits/dcgan/none/0")
    assert train.gate is not None
    assert "preflight" not in train.upstream
    assert train.gate in train.before()


def put(store: Store, step: Step, result: dict[str, Any], cost: dict[str, Any] | None = None) -> None:
    with store.write(step.kind, step.key) as folder:
        write_json(folder / "result.json", result)
        if cost is not None:
            write_json(folder / COST, cost)


def test_an_incompatible_pair_blocks_its_cells_with_the_reason(plan: Any, tmp_path: Path) -> None:
    made, store = plan(), Store(tmp_path / "store")
    put(store, by_label(made, "preflight dcgan/dropout"), {"compatible": False, "reason": "planted reason"})
    states = step_states(made, store)
    found = {cell.trial.defense: cell_state(cell, states) for cell in made.cells}
    assert found["dropout"] == ("blocked", "planted reason")
    assert found["none"] == ("new", "")
    assert not any("/dropout/" in step.label for step in new_steps(made, states) if step.kind != "preflight")


def test_a_diverged_training_ends_its_cells(plan: Any, tmp_path: Path) -> None:
    made, store = plan(), Store(tmp_path / "store")
    train = by_label(made, "train digits/dcgan/dropout/1")
    put(store, train, {"status": "diverged", "steps_done": 7})
    states = step_states(made, store)
    ends = {(c.trial.defense, c.trial.seed): cell_state(c, states) for c in made.cells if not c.attack.control}
    assert ends["dropout", 1] == ("diverged", "training diverged at step 7")
    assert ends["dropout", 0][0] == "new"
    assert not any("/dropout/1" in step.label for step in new_steps(made, states))


def test_a_failure_is_remembered_and_tried_again(plan: Any, tmp_path: Path) -> None:
    made, store = plan(), Store(tmp_path / "store")
    step = by_label(made, "attack digits/dcgan/none/0/nearest_sample")
    store.note_failure(step.kind, step.key, "planted failure")
    states = step_states(made, store)
    (cell,) = [c for c in made.cells if c.step is not None and c.step.key == step.key]
    state, reason = cell_state(cell, states)
    assert state == "failed"
    assert "planted failure" in reason
    assert step in new_steps(made, states)


def test_a_failure_reaches_everything_that_waits_for_it(plan: Any, tmp_path: Path) -> None:
    made, store = plan(), Store(tmp_path / "store")
    preflight = by_label(made, "preflight dcgan/dropout")
    store.note_failure(preflight.kind, preflight.key, "planted bug")
    states = step_states(made, store)
    found = {
        cell.trial.defense: cell_state(cell, states) for cell in made.cells if cell.attack.name == "nearest_sample"
    }
    assert found["none"] == ("new", "")
    state, reason = found["dropout"]
    assert state == "failed"
    assert "preflight dcgan/dropout failed: planted bug" in reason


def test_an_attacks_own_model_that_diverged_is_not_the_trial(plan: Any, tmp_path: Path) -> None:
    made, store = plan(), Store(tmp_path / "store")
    (cell,) = [
        c for c in made.cells if c.attack.name == "logan_black_box" and c.trial.steps["train"].label.endswith("none/0")
    ]
    put(store, cell.models[0], {"status": "diverged", "steps_done": 7})
    state, reason = cell_state(cell, step_states(made, store))
    assert state == "blocked"
    assert reason == "the attack's own model attacker: training diverged at step 7"


def test_an_attack_step_finds_the_plugins_of_the_trial_that_it_rebuilds(plan: Any) -> None:
    (cell,) = [c for c in plan(seeds=[0]).cells if c.attack.name == "logan_white_box" and c.trial.defense == "dropout"]
    assert cell.step is not None
    assert {"attacks/logan_white_box", "targets/dcgan", "defenses/dropout"} <= set(cell.step.references)


def test_not_applicable_is_a_row_with_its_reason(plan: Any, tmp_path: Path) -> None:
    made = plan(targets=[{"name": "dcgan", "norm": "batch"}], defenses=[{"name": "dp_sgd", "noise_multiplier": 1.0}])
    states = step_states(made, Store(tmp_path / "store"))
    state, reason = cell_state(made.cells[0], states)
    assert state == "not applicable"
    assert "norm=group" in reason
    assert new_steps(made, states) == []


def test_an_excluded_trial_is_not_planned(plan: Any) -> None:
    made = plan(exclude=[{"defense": "dropout", "seed": 1}])
    assert {(t.defense, t.seed) for t in made.trials} == {("none", 0), ("none", 1), ("dropout", 0)}
    made = plan(exclude=[{"attack": "nearest_sample", "defense": "dropout"}])
    assert len([c for c in made.cells if c.attack.name == "nearest_sample"]) == 2


def test_the_estimate_comes_from_the_preflight_of_the_pair(plan: Any, tmp_path: Path) -> None:
    made, store = plan(attacks=["nearest_sample"], controls=False), Store(tmp_path / "store")
    steps = [s for s in made.steps if s.kind == "train" and s.work]
    assert estimate(steps, store, 2).wall_s is None
    assert estimate(steps, store, 2).unchecked == 4
    passed = {"compatible": True, "reason": ""}
    snapshots = 8 * 500  # generated records on the way, which cost something too
    first = {"step_s": 0.5, "start_s": 1.0, "record_s": 0.001, "peak_mem_mib": 300.0}
    put(store, by_label(made, "preflight dcgan/none"), passed, first)
    half = estimate(steps, store, 2)
    assert half.unchecked == 2
    assert half.wall_s == pytest.approx((1 + 30 * 0.5 + 0.001 * snapshots) * 2 / 2)
    assert half.peak_mem_mib == pytest.approx(2 * 300.0)
    put(store, by_label(made, "preflight dcgan/dropout"), passed, {**first, "step_s": 1.0})
    assert estimate(steps, store, 2).wall_s == pytest.approx((16 + 4 + 31 + 4) * 2 / 2)
    assert estimate(steps, store, 100).wall_s == pytest.approx(35)  # the longest training
    samples = [made_by.steps["sample"] for made_by in made.trials]
    assert estimate(samples, store, 1).wall_s == pytest.approx(4 * 200 * 0.001)


def test_the_estimate_of_other_steps_comes_from_past_ones(plan: Any, tmp_path: Path) -> None:
    made, store = plan(), Store(tmp_path / "store")
    attacks = [c.step for c in made.cells if c.step and c.attack.name == "nearest_sample"]
    cost = {"wall_s": 12.0, "items": 120, "peak_mem_mib": 100.0, "profile": attacks[0].profile}
    put(store, attacks[0], {}, cost)
    found = estimate(attacks[1:], store, 1)
    assert found.wall_s == pytest.approx(3 * 12.0)
    assert found.peak_mem_mib == pytest.approx(100.0)


def test_a_thousand_cells(plan: Any) -> None:
    made = plan(seeds=list(range(72)))
    assert len(made.cells) == 72 * 2 * 7
    assert len({step.id for step in made.steps}) == len(made.steps)
