"""Plans of audits by coins: what attacks may know, what shadows train on, and other plans that stay as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.cli.app import app
from bench.errors import InputError
from bench.identity import ROOT
from bench.matrix import load_matrix
from bench.plan.attack_steps import trial_spec
from bench.plan.build import build_plan
from bench.plan.graph import Plan
from bench.plan.steps import StepMaker
from bench.registry import get
from bench.steps.data import store_data
from bench.steps.execute import execute
from bench.steps.task import Task
from bench.store import Store

FILTER = """
from defenses.base import Defense


class Filter(Defense):
    # Lets everything pass, and notes whom it was to protect.
    name = "filter"
    family = "release"
    seen = []

    def filter_samples(self, samples, members, validation):
        self.seen.append(members.ids.tolist())
"""

COIN = {"membership": "coin", "members": 30, "nonmembers": 30, "reference": 150, "validation": 40, "holdout": 120}


def planned(folder: Path, dataset: dict[str, Any], **changed: Any) -> Plan:
    return build_plan(load_matrix(written(folder, dataset, **changed)))


def written(folder: Path, dataset: dict[str, Any], **changed: Any) -> Path:
    (folder / "filter.py").write_text(FILTER, "utf-8")
    matrix = {
        "name": "coins",
        "dataset": {"name": "digits", **dataset},
        "targets": [{"name": "dcgan", "width": 4, "steps": 2}],
        "defenses": ["none"],
        "attacks": [{"name": "lira", "models": 3, "statistic": "logan_white_box"}],
        "samples": 120,
        "quality": {"records": 100},
        **changed,
    }
    (folder / "matrix.yaml").write_text(yaml.safe_dump(matrix), "utf-8")
    return folder / "matrix.yaml"


def test_the_configuration_of_other_data_sets_is_as_it_was(tmp_path: Path) -> None:
    """Its hash is in every key: one field more would train everything again."""
    for dataset in ({"members": 30, "nonmembers": 60}, COIN):
        (data,) = planned(tmp_path, dataset).data.values()
        assert set(data.step.config) == {"fingerprint", "schema", "ids", "membership", "expected_members"}
    (blank,) = planned(tmp_path, {**COIN, "canaries": "blank"}).data.values()
    assert blank.step.config["canaries"] == "blank"
    assert blank.label == "digits[canaries=blank]"
    assert blank.step.key != data.step.key
    (more,) = planned(tmp_path, {**COIN, "always": 5}).data.values()
    assert more.label == "digits"
    assert more.step.key != data.step.key
    assert more.fingerprint == data.fingerprint  # the records are the same, and their roles are not


@pytest.mark.parametrize("always", [0, 25])
def test_attacks_plan_with_public_numbers_and_shadows_train_on_as_many_records(tmp_path: Path, always: int) -> None:
    path = written(tmp_path, {**COIN, "always": always})
    plan, resolved = build_plan(load_matrix(path)), load_matrix(path)
    (data,) = plan.data.values()
    assert len(data.split.ids["members"]) != 30  # the coins' outcome is another one
    spec = trial_spec(StepMaker(resolved), data, get("targets", "dcgan")(), (), 0)  # type: ignore[arg-type]
    assert (spec.members, spec.training_size) == (30 + always, None)
    assert (spec.sizes["members"], spec.sizes["nonmembers"]) == (30, 30)
    shadows = [s for s in plan.steps if s.kind == "train" and s.config["records"]["source"] != "members"]
    assert shadows
    assert {s.config["records"]["size"] for s in shadows} == {30 + always}


def test_a_filter_protects_those_that_are_always_trained_on_too(tmp_path: Path) -> None:
    plan = planned(tmp_path, {**COIN, "always": 25}, defenses=["./filter.py:Filter"], attacks=["nearest_sample"])
    (data,), store = plan.data.values(), Store(tmp_path / "store")
    store_data(data, store)
    for kind in ("preflight", "train", "sample"):
        for step in plan.steps:
            if step.kind == kind and "filter" in step.label:
                done = execute(Task.of(step), store.root)
                assert done.ok, done.traceback or done.reason
    ids = sorted([*data.split.ids["members"].tolist(), *data.split.ids["always"].tolist()])
    assert get("defenses", "./filter.py:Filter", tmp_path).seen == [ids]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("canaries", "conditional", "said"),
    [
        ("none", False, ()),
        ("blank", False, ("are blank canaries",)),
        ("mislabelled", False, ("label of another class", "dcgan is told no labels")),
        ("mislabelled", True, ("label of another class",)),
    ],
)
def test_readers_of_a_row_are_told_of_canaries(
    tmp_path: Path, canaries: str, conditional: bool, said: tuple[str, ...]
) -> None:
    target = {"name": "dcgan", "width": 4, "steps": 2, "conditional": conditional}
    (trial,) = planned(tmp_path, {**COIN, "canaries": canaries}, targets=[target]).trials
    assert len(trial.caveats) == bool(said)
    for part in said:
        assert part in trial.caveats[0]
    assert ("no labels" in "".join(trial.caveats)) == ("dcgan is told no labels" in said)


def test_a_wrong_option_is_told_with_its_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data set digits: always: expected `membership: coin` beside it"):
        planned(tmp_path, {"always": 5})


def test_the_shipped_audit_is_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit = ROOT / "bench" / "matrices" / "audit.yaml"
    app(["plan", str(audit), "--results", str(tmp_path)], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "mnist5k[canaries=blank]/dcgan/dp_sgd(epsilon=1,delta=1e-06)/0/logan_white_box" in printed
    assert "mnist5k[canaries=blank]/dcgan/clip_only" not in printed
