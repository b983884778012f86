"""Models that attacks ask for: planned, shared, trained on the records that were asked for, and handed over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench.candidates import candidates_of
from bench.cli.app import app
from bench.errors import InputError, PluginError
from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.plan.graph import Plan, Step
from bench.registry import get
from bench.steps.data import load_split, store_data
from bench.steps.execute import execute
from bench.steps.task import Task
from bench.store import Store

ATTACKS = '''
import numpy as np

from bench.attacks._shadows import offline_bank, online_bank
from bench.attacks.base import Attack, JointAttack, ModelRequest, Shares


class Offline(JointAttack):
    """How many samples of how many shadows there are."""

    name = "offline"
    access = "samples"
    knowledge = "shadow"

    def needs(self, trial):
        return offline_bank(trial, 4, samples=True)

    def score_all(self, candidates, view, knowledge, rng):
        models = list(knowledge.models.values())
        assert [len(m.samples) for m in models] == [len(view.samples)] * 4
        assert all(np.isin(m.trained_on, knowledge.reference.ids).all() for m in models)
        assert len(np.unique(np.concatenate([m.trained_on for m in models[:3]]))) == 3 * knowledge.members
        assert knowledge.membership is None and knowledge.known is None
        return np.full(len(candidates), float(len(models)))


class Online(Offline):
    """Shadows on the candidates, shared with the other attack where they are the same."""

    name = "online"
    knowledge = "shadow + candidates"

    def needs(self, trial):
        return (*offline_bank(trial, 2), *online_bank(trial, 3, defended=False))

    def score_all(self, candidates, view, knowledge, rng):
        inside = [np.isin(candidates.ids, knowledge.models[f"online-{k}"].trained_on) for k in range(3)]
        assert np.sum(inside, axis=0).tolist() == [1] * len(candidates)
        return np.sum([k * row for k, row in enumerate(inside)], axis=0)


class Told(Attack):
    """Is told some of the truth, and trains a model to tell records apart."""

    name = "told"
    access = "samples"
    knowledge = "labelled"
    known = Shares(0.25, 0.5)
    scores_sets = True

    def needs(self, trial):
        target = {"name": "dcgan", "width": 4, "steps": 2}
        return (ModelRequest("apart", target, "samples", known=self.known, against="reference"),)

    def prepare(self, candidates, view, knowledge, rng):
        assert not set(knowledge.known.ids) & set(candidates.ids)
        assert knowledge.models["apart"].trained_on is None
        return dict(knowledge.membership)

    def score_chunk(self, chunk, state, view, rng):
        return np.full(len(chunk), float(len(state)))

    def score_sets(self, sets, view, knowledge, rng):
        return np.array([float(len(s)) for s in sets])


class Thief(Attack):
    """Would train on the members themselves."""

    name = "thief"
    access = "samples"
    knowledge = "shadow"

    def needs(self, trial):
        return (ModelRequest("stolen", {"name": "dcgan", "width": 4, "steps": 2}, "members"),)

    def score_chunk(self, chunk, state, view, rng):
        return chunk.ids


class Capped(Attack):
    """Judges few."""

    name = "capped"
    access = "samples"
    cap = 12

    def score_chunk(self, chunk, state, view, rng):
        return chunk.ids
'''

BASE: dict[str, Any] = {
    "name": "models",
    "dataset": {"name": "digits", "members": 40, "nonmembers": 80, "reference": 120, "validation": 40, "holdout": 120},
    "targets": [{"name": "dcgan", "width": 4, "steps": 2}],
    "defenses": ["none", "dropout"],
    "attacks": [f"./mine.py:{name}" for name in ("Offline", "Online", "Told", "Capped")],
    "seeds": [0, 1],
    "samples": 150,
    "sets": [5, 10],
    "quality": {"records": 100},
    "controls": False,
}


def write(folder: Path, **changed: Any) -> Path:
    (folder / "mine.py").write_text(ATTACKS, "utf-8")
    path = folder / "matrix.yaml"
    path.write_text(yaml.safe_dump({**BASE, **changed}), "utf-8")
    return path


def planned(folder: Path, **changed: Any) -> Plan:
    return build_plan(load_matrix(write(folder, **changed)))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("models"))


def models(plan: Plan, attack: str, defense: str = "none", seed: int = 0) -> dict[str, Step]:
    (cell,) = [c for c in plan.cells if (c.attack.name, c.trial.defense, c.trial.seed) == (attack, defense, seed)]
    assert cell.step is not None
    return {role: step for role, step in cell.step.upstream.items() if role.startswith("model")}


def test_attacks_and_seeds_share_a_bank_and_defenses_do_not(plan: Plan) -> None:
    offline, online = models(plan, "offline"), models(plan, "online")
    assert {name for name in offline if "samples" not in name} == {f"model/offline-{k}" for k in range(4)}
    assert {name for name in offline if "samples" in name} == {f"model samples/offline-{k}" for k in range(4)}
    assert offline["model/offline-1"] is online["model/offline-1"]
    assert offline["model/offline-1"] is models(plan, "offline", seed=1)["model/offline-1"]
    assert offline["model/offline-1"] is not models(plan, "offline", "dropout")["model/offline-1"]
    # Undefended shadows of a defended trial are the shadows of the undefended one.
    assert online["model/online-2"] is models(plan, "online", "dropout")["model/online-2"]


def test_no_attacker_trains_on_the_members(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"thief: expected models .* 'stolen' would train on the members themselves"):
        planned(tmp_path, attacks=["./mine.py:Thief"])


def test_a_shadow_has_a_training_and_a_subset_of_its_own(plan: Plan) -> None:
    configs = [models(plan, "offline")[f"model/offline-{k}"].config for k in range(4)]
    assert len({c["seed"] for c in configs}) == 4
    assert not {c["seed"] for c in configs} & {t.steps["train"].config["seed"] for t in plan.trials}
    assert [c["records"]["part"] for c in configs] == [0, 1, 2, 0]
    assert len({c["records"]["seed"] for c in configs[:3]}) == 1
    assert configs[3]["records"]["seed"] != configs[0]["records"]["seed"]


def test_the_target_is_never_among_its_own_shadows(plan: Plan) -> None:
    """Not even where shadows train on candidates: a known mistake of published code."""
    trained = {t.steps["train"].key for t in plan.trials}
    for cell in plan.cells:
        assert not {step.key for step in cell.models} & trained
    assert all(step.config["records"]["source"] != "members" for cell in plan.cells for step in cell.models)


def test_plan_counts_the_trainings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(["plan", str(write(tmp_path)), "--results", str(tmp_path / "results")], standalone_mode=False)
    # 2 stacks x 4 offline, 3 undefended online for both, one model of `told` for each of 4 trials.
    assert "15 of the trainings are models of the attacks" in capsys.readouterr().out


def test_a_bank_that_is_too_small_fails_with_the_reason(tmp_path: Path) -> None:
    small = {**BASE["dataset"], "reference": 60}
    made = planned(tmp_path, dataset=small, seeds=[0], defenses=["none"])
    step = models(made, "offline")["model/offline-0"]
    store = Store(tmp_path / "store")
    outcome = _compute(made, step, store)
    assert outcome == ""  # one shadow's 40 records fit
    small["reference"] = 50
    made = planned(tmp_path, dataset={**small, "members": 60}, seeds=[0], defenses=["none"])
    assert "expected at least 60 records of reference" in _compute(
        made, models(made, "offline")["model/offline-0"], store
    )


def _compute(plan: Plan, step: Step, store: Store) -> str:
    """Compute a step and all before it; the reason of the first failure, or ""."""
    for before in step.before():
        if before.kind == "data":
            for data in plan.data.values():
                store_data(data, store)
        elif reason := _compute(plan, before, store):
            return reason
    if step.kind == "data":
        return ""
    outcome = execute(Task.of(step), store.root)
    return "" if outcome.ok else outcome.reason + outcome.traceback


@pytest.fixture(scope="module")
def computed(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    for cell in plan.cells:
        if cell.trial.seed == 0 and cell.trial.defense == "none":
            assert cell.step is not None
            assert _compute(plan, cell.step, store) == ""
    return store


def arrays(plan: Plan, store: Store, attack: str) -> tuple[dict[str, Any], dict[str, Any]]:
    (cell,) = [c for c in plan.cells if (c.attack.name, c.trial.defense, c.trial.seed) == (attack, "none", 0)]
    assert cell.step is not None
    found = store.find("attack", cell.step.key)
    assert found is not None
    return found.arrays("scores.npz"), found.json("result.json")


def test_an_attack_is_given_what_it_asked_for(plan: Plan, computed: Store) -> None:
    """The asserts stand in the attacks themselves."""
    scores, result = arrays(plan, computed, "offline")
    assert scores["score"].tolist() == [4.0] * 120
    assert result["capped"] is False
    parts = np.bincount(arrays(plan, computed, "online")[0]["score"].astype(int))
    assert parts.tolist() == [40, 40, 40]


def test_known_records_leave_the_evaluation(plan: Plan, computed: Store) -> None:
    scores, result = arrays(plan, computed, "told")
    assert scores["membership"].sum() == 30
    assert (~scores["membership"]).sum() == 40
    assert set(scores["score"].tolist()) == {50.0}  # so many truths were told
    assert result["capped"] is False


def test_sets_of_an_attack_of_its_own_are_those_of_the_instrument(plan: Plan, computed: Store) -> None:
    scores, _ = arrays(plan, computed, "told")
    assert scores["set_score_5"].tolist() == [5.0] * (30 // 5 + 40 // 5)
    assert scores["set_score_10"].tolist() == [10.0] * (30 // 10 + 40 // 10)
    assert not any(name.startswith("set_score") for name in arrays(plan, computed, "offline")[0])


def test_a_cap_takes_as_many_members_as_others(plan: Plan, computed: Store) -> None:
    scores, result = arrays(plan, computed, "capped")
    assert result["capped"] is True
    assert (scores["membership"].sum(), len(scores["membership"])) == (6, 12)


def test_the_records_that_told_apart_are_labelled(plan: Plan, computed: Store) -> None:
    """Known members and samples against known non-members and the reference."""
    from bench.steps.train import asked_records

    step = models(plan, "told")["model/apart"]
    found = computed.find("train", step.key)
    assert found is not None
    (data,) = plan.data.values()
    stored = computed.find("data", data.step.key)
    sample = computed.find("sample", step.upstream["sample"].key)
    assert stored is not None
    split = load_split(stored)
    records = asked_records(found.json("config.json")["records"], split, sample)
    assert records.labels is not None
    assert np.bincount(records.labels).tolist() == [40 + 120, 150 + 10]
    assert records.schema.classes == 2
    told = next(c.attack for c in plan.cells if c.attack.name == "told")
    known = candidates_of(split, told)
    assert _rows(known.known.x[known.known_membership]) <= _rows(records.x[records.labels == 1])
    assert _rows(known.known.x[~known.known_membership]) <= _rows(records.x[records.labels == 0])
    judged_members = _rows(known.records.x[known.membership]) - _rows(split.role("reference").x)
    assert not judged_members & _rows(records.x[150:])


FILTER = """
from defenses.base import Defense


class Filter(Defense):
    # Lets everything pass, and notes whom it was to protect.
    name = "filter"
    family = "release"
    seen = []

    def filter_samples(self, samples, members, validation):
        self.seen.append(set(members.ids.tolist()))
"""


def test_a_filter_of_a_shadow_protects_what_the_shadow_was_trained_on(tmp_path: Path) -> None:
    """With the trial's members it would carry their holes, which is what an attacker looks for."""
    (tmp_path / "filter.py").write_text(FILTER, "utf-8")
    made = planned(tmp_path, defenses=["./filter.py:Filter"], attacks=["./mine.py:Offline"], seeds=[0])
    (cell,) = made.cells
    assert cell.step is not None
    assert _compute(made, cell.step, Store(tmp_path / "store")) == ""
    seen = get("defenses", "./filter.py:Filter", tmp_path).seen  # type: ignore[attr-defined]
    (data,) = made.data.values()
    members, reference = (set(data.split.ids[role].tolist()) for role in ("members", "reference"))
    assert sum(ids == members for ids in seen) == 1  # the trial's own samples
    assert sum(ids < reference and len(ids) == len(members) for ids in seen) == 4
    assert len(seen) == 5


def _rows(x: Sequence[Any]) -> set[bytes]:
    return {np.ascontiguousarray(row).tobytes() for row in x}


def test_an_attacks_own_model_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a model under test, got logan_attacker, which only attacks train"):
        planned(tmp_path, targets=["logan_attacker"])


def test_shares_that_leave_nobody_are_not_applicable(tmp_path: Path) -> None:
    told = {"name": "logan_discriminative", "known_members": 0.99, "steps": 2, "width": 4}
    made = planned(tmp_path, attacks=[told], seeds=[0], defenses=["none"])
    assert [cell.not_applicable for cell in made.cells] == [
        "logan_discriminative would judge 0 members and 80 non-members, after those that it is told of or is capped "
        "by; at least 2 of each can be compared"
    ]


def test_attacks_around_different_statistics_have_different_names(tmp_path: Path) -> None:
    statistics: list[Any] = ["nearest_sample", "monte_carlo", {"name": "monte_carlo", "features": "hog"}]
    attacks: list[Any] = [
        *({"name": "calibrated", "statistic": statistic} for statistic in statistics),
        {"name": "rmia", "models": 3, "statistic": {"name": "augmented", "statistic": "density", "copies": 1}},
    ]
    made = planned(tmp_path, attacks=attacks, seeds=[0], defenses=["none"])
    assert [cell.name for cell in made.cells] == [
        "calibrated",
        "calibrated(statistic=monte_carlo)",
        "calibrated(statistic=monte_carlo(features=hog))",
        "rmia",
    ]


def test_one_statistic_written_twice_is_one_attack_given_twice(tmp_path: Path) -> None:
    attacks = ["lira", {"name": "lira", "statistic": {"name": "nearest_sample"}}]
    with pytest.raises(InputError, match="lira"):
        planned(tmp_path, attacks=attacks, seeds=[0], defenses=["none"])
