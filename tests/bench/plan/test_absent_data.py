"""Data sets whose files are not here: rows with a reason, and the rest of the matrix goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.app import app
from bench.collect import collect
from bench.errors import InputError
from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.plan.status import cell_state, new_steps, step_states
from bench.registry import ROOT
from bench.store import Store

MATRIX = """
name: two
datasets:
  - {name: digits, members: 40, nonmembers: 80, reference: 120, validation: 40, holdout: 120}
  - {name: cifar10, root: nowhere, members: 40, nonmembers: 80}
targets: [{name: dcgan, width: 4, steps: 30}]
defenses: [none, dropout]
attacks: [logan_white_box]
exclude: [{dataset: cifar10, defense: dropout}]
controls: false
samples: 200
quality: {records: 100}
"""


def test_a_missing_data_set_is_rows_with_a_reason_and_the_rest_is_planned(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(MATRIX, "utf-8")
    resolved = load_matrix(path)
    plan = build_plan(resolved)
    store = Store(tmp_path / "store")
    states = step_states(plan, store)
    found = {cell.id: cell_state(cell, states) for cell in plan.cells}
    assert [state for state, _ in found.values()] == ["new", "new", "no data"]
    _, reason = list(found.values())[-1]
    assert str(tmp_path / "nowhere") in reason
    assert "download: true" in reason
    (label,) = [data.label for data in plan.absent]
    assert label.startswith("cifar10")
    assert list(plan.data) == ["digits"]
    assert {step.kind for step in new_steps(plan, states)} >= {"train", "attack", "quality"}
    results = collect(resolved, plan, store)
    rows = {(t.dataset, t.status): t.reason for t in results.trials}
    assert rows[label, "missing"] == reason
    assert [(c.dataset, c.status) for c in results.cells if c.reason == reason] == [(label, "missing")]


def test_damaged_files_still_stop_everything(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(MATRIX, "utf-8")
    (tmp_path / "mine.npz").write_bytes(b"not an archive")
    path.write_text(MATRIX.replace("{name: cifar10, root: nowhere,", "{name: npz, path: mine.npz,"), "utf-8")
    text = path.read_text("utf-8").replace("dataset: cifar10,", "dataset: npz,")
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"data set npz.*mine\.npz: expected an npz archive"):
        build_plan(load_matrix(path))


def test_the_study_of_logan_is_planned_without_its_data(tmp_path: Path) -> None:
    """What needs a download says so, for each data set, with the way to get it."""
    matrix = tmp_path / "study" / "matrices" / "logan.yaml"
    matrix.parent.mkdir(parents=True)
    shutil.copy(ROOT / "bench" / "matrices" / "logan.yaml", matrix)
    shown = CliRunner().invoke(app, ["plan", str(matrix), "--results", str(tmp_path / "results")])
    assert shown.exit_code == 0, shown.output
    plan = build_plan(load_matrix(matrix))
    assert len(plan.absent) == 4
    assert not plan.data
    for absent in plan.absent:
        assert f"data set {absent.label} is not here: {absent.reason}" in shown.output
    assert "0 steps to do" in shown.output
    targets, defenses = {c.trial.target for c in plan.cells}, {c.trial.defense for c in plan.cells}
    assert targets == {"dcgan", "dcgan_vae", "began"}
    assert defenses == {"none", "weight_norm", "dropout", "dp_sgd"}
