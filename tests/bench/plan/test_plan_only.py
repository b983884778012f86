"""A plan of some rows: the same steps as in the whole plan, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.errors import InputError
from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.plan.graph import Plan
from bench.plan.only import chosen_rows, narrowed, place
from bench.plan.status import new_steps, pairs_apart, step_states
from bench.store import Store

BASE: dict[str, Any] = {
    "name": "planned",
    "datasets": [
        {"name": "digits", "members": 40, "nonmembers": 80, "reference": 120, "validation": 40, "holdout": 120},
        {"name": "wine", "members": 30, "nonmembers": 40, "reference": 50, "holdout": 50, "validation": 8},
    ],
    "targets": [{"name": "dcgan", "width": 4, "steps": 30}, {"name": "tvae", "steps": 20}],
    "defenses": ["none", "dropout", {"name": "dropout", "rate": 0.3}],
    "attacks": ["logan_white_box", {"name": "logan_black_box", "steps": 10}, "nearest_sample"],
    "seeds": [0, 1],
    "samples": 200,
    "quality": {"records": 100},
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("only") / "matrix.yaml"
    path.write_text(yaml.safe_dump({**BASE, "quality": {"records": 50}}), "utf-8")
    return build_plan(load_matrix(path))


def labels(plan: Plan) -> list[str]:
    return list(dict.fromkeys("/".join(place(trial)) for trial in plan.trials))


def test_the_rows_that_patterns_choose(plan: Plan) -> None:
    every = labels(plan)
    assert len(every) == 2 * 2 * 3
    for pattern, count in {"digits/dcgan/none": 1, "*/dcgan/none": 2, "digits/*": 6, "*": 12, "*rate*": 4}.items():
        assert len(chosen_rows(plan, [pattern])) == count, pattern
    assert chosen_rows(plan, ["digits/dcgan/none", "digits/dcgan/no*"]) == (("digits", "dcgan", "none"),)
    assert chosen_rows(plan, ["wine/tvae/none", "digits/dcgan/none"])[0][0] == "digits"  # in the plan's order
    (with_brackets,) = [each for each in every if each.startswith("digits/dcgan/dropout(")]
    assert ["/".join(row) for row in chosen_rows(plan, [with_brackets])] == [with_brackets]


def test_labels_with_slashes_and_stars(plan: Plan) -> None:
    def called(*places: tuple[str, str, str]) -> Plan:
        trial = plan.trials[0]
        trials = [replace(trial, dataset=d, target=t, defense=of, seed=seed) for seed in (0, 1) for d, t, of in places]
        return replace(plan, trials=tuple(trials))

    alike, other = (("a/b", "c", "d"), ("a", "b/c", "d")), ("a", "b", "d")
    assert chosen_rows(called(*alike, other), ["a/b/c/d"]) == alike
    assert chosen_rows(called(*alike, other), ["a/b/*"]) == (*alike, other)
    starred = (("a", "b", "x*"), ("a", "b", "xyz"))
    assert chosen_rows(called(*starred), ["a/b/x*"]) == starred[:1]
    assert chosen_rows(called(*starred), ["a/b/x*z"]) == starred[1:]
    assert chosen_rows(called(*starred), ["a/*/x*"]) == starred


@pytest.mark.parametrize("pattern", ["digits/dcgan/dropuot", "digits/dcgan/non?", "digits/dcgan/[n]one", "dcgan", ""])
def test_a_row_that_is_not_there(plan: Plan, pattern: str) -> None:
    with pytest.raises(InputError) as raised:
        chosen_rows(plan, ["digits/*", pattern])
    said = str(raised.value)
    assert f"--only: expected a row of the matrix, got {pattern!r}" in said
    assert all(f"\n  {label}" in said for label in labels(plan))
    assert ("did you mean 'digits/dcgan/dropout'" in said) == (pattern == "digits/dcgan/dropuot")


def test_a_row_brings_all_that_it_is_made_of(plan: Plan) -> None:
    row = ("digits", "dcgan", "none")
    found = narrowed(plan, [row])
    assert {place(trial) for trial in found.trials} == {row}
    assert [cell.id for cell in found.cells] == [cell.id for cell in plan.cells if place(cell.trial) == row]
    assert len(found.cells) == 2 * (3 + 4)  # with the controls
    assert [(line.dataset, line.target) for line in found.lines] == [row[:2]]
    assert list(found.data) == ["digits"]
    ids = {step.id for step in found.steps}
    needed = [
        *(step for trial in found.trials for step in trial.steps.values()),
        *(step for line in found.lines for step in line.steps.values()),
        *(model for cell in found.cells for model in cell.models),
        *(cell.step for cell in (*found.cells, *found.snapshots) if cell.step is not None),
    ]
    assert {step.id for step in needed} < ids
    assert all({before.id for before in step.before()} <= ids for step in found.steps)
    theirs = {step.id for trial in plan.trials if place(trial) != row for step in trial.steps.values()}
    ours = {step.id for trial in found.trials for step in trial.steps.values()}
    assert not (theirs - ours) & ids
    assert [step for step in plan.steps if step.id in ids] == list(found.steps)  # keys and order of the whole plan


def test_a_defended_row_brings_the_undefended_one_that_it_is_read_beside(plan: Plan) -> None:
    row, plain = ("digits", "dcgan", "dropout"), ("digits", "dcgan", "none")
    found, own = narrowed(plan, [row]), narrowed(plan, [plain])
    assert {place(trial) for trial in found.trials} == {row, plain}
    assert [cell.id for cell in found.cells] == [cell.id for cell in plan.cells if place(cell.trial) in (row, plain)]
    assert found.snapshots == own.snapshots == plan.snapshots  # the other target leaves none
    assert len(found.snapshots) > 0
    ids = {step.id for step in found.steps}
    assert {step.id for step in own.steps} < ids
    assert {cell.step.id for cell in found.snapshots if cell.step} < ids
    without = narrowed(replace(plan, trials=tuple(t for t in plan.trials if place(t) != plain)), [row])
    assert {place(trial) for trial in without.trials} == {row}


def test_all_rows_are_the_whole_plan(plan: Plan, tmp_path: Path) -> None:
    found = narrowed(plan, chosen_rows(plan, ["*"]))
    assert (found.trials, found.cells, found.lines, found.snapshots) == (
        plan.trials, plan.cells, plan.lines, plan.snapshots,
    )  # fmt: skip
    store = Store(tmp_path)
    whole, part = (new_steps(each, step_states(each, store)) for each in (plan, found))
    assert part == whole


def test_a_row_that_does_not_go_together_needs_no_step(plan: Plan, tmp_path: Path) -> None:
    refused = next(place(trial) for trial in plan.trials if trial.refused)
    found = narrowed(plan, [refused])
    states = step_states(found, Store(tmp_path))
    assert list(pairs_apart(found, states)) == ["/".join(refused)]
    assert not [step for step in new_steps(found, states) if "/".join(refused) in step.label]
