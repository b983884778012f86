"""A private training that forgets its noise, from the matrix to the exit code; an honest one beside it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import by_heart
import pytest

from bench.cli.app import app
from bench.cli.common import make_plan
from bench.plan.graph import Plan
from bench.steps.data import store_data
from bench.steps.execute import execute
from bench.steps.task import Task
from bench.store import Store

MATRIX = """\
name: audited
dataset:
  {name: breast_cancer, membership: coin, members: 120, nonmembers: 120, reference: 120, validation: 40, holdout: 120}
targets: [{name: "./by_heart.py:ByHeart", width: 4, latent: 4, batch_size: 120, steps: 8}]
defenses: [DEFENSES]
attacks: [logan_white_box]
seeds: [0]
controls: false
samples: 100
quality: {records: 100, snapshot_records: 100}
resamples: 50
"""
BROKEN = '{name: "./by_heart.py:ForgetsNoise", noise_multiplier: 12, delta: 1.0e-5}'
HONEST = "{name: dp_sgd, noise_multiplier: 12, delta: 1.0e-5}"


def compute(plan: Plan, store: Store) -> None:
    """Every step here and now; a cluster would take longer to start than they take."""
    for data in plan.data.values():
        store_data(data, store)
    for step in plan.steps:
        done = execute(Task.of(step), store.root)
        assert done.ok, done.traceback or done.reason


def run(matrix: Path, command: str = "run") -> int:
    """The exit code of a command whose steps are all stored already."""
    with pytest.raises(SystemExit) as ended:
        app([command, str(matrix), "--results", str(matrix.parent / "results")], standalone_mode=False)
    return int(ended.value.code or 0)


def row_of(folder: Path, defense: str) -> dict[str, str]:
    with (folder / "results" / "audited" / "leaderboard.csv").open(newline="") as file:
        return next(row for row in csv.DictReader(file) if row["defense"] == defense)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(by_heart.__file__, tmp_path / "by_heart.py")
    return tmp_path


def write(folder: Path, *defenses: str) -> Path:
    path = folder / "audited.yaml"
    path.write_text(MATRIX.replace("DEFENSES", ", ".join(defenses)), "utf-8")
    return path


def test_forgotten_noise_is_certified_and_ends_every_command_with_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = write(folder, BROKEN, HONEST)
    planned = make_plan(matrix, folder / "results")
    compute(planned.plan, planned.store)
    line = "dp_violation: breast_cancer / by_heart / forgets_noise: logan_white_box: epsilon is at least "

    assert run(matrix) == 1
    first = capsys.readouterr()
    assert first.err.count(line) == 1
    note = folder / "results" / "audited" / "made-from.json"
    written = note.stat().st_mtime_ns
    assert len(json.loads(note.read_text())["violations"]) == 1
    assert run(matrix) == 1  # the board is current and left as it is, and fails all the same
    again = capsys.readouterr()
    assert again.err.count(line) == 1
    assert note.stat().st_mtime_ns == written
    assert run(matrix, "board") == 1
    assert capsys.readouterr().err.count(line) == 1

    broken, honest = row_of(folder, "forgets_noise"), row_of(folder, "dp_sgd")
    assert float(broken["epsilon_claimed"]) < 1 < 2 < float(broken["epsilon_lower_bound"])
    assert "dp_violation" in broken["flags"].split(";")
    assert "the audit refutes the claim" in broken["verdict"]
    assert broken["membership"] == "coin"
    assert float(honest["epsilon_claimed"]) == float(broken["epsilon_claimed"])
    assert float(honest["epsilon_lower_bound"]) <= float(honest["epsilon_claimed"])
    assert "dp_violation" not in honest["flags"]
    assert "the audit does not refute the claim" in honest["verdict"]

    # Without the row that is broken, the same store gives a board without a violation.
    assert run(write(folder, HONEST)) == 0
    assert "dp_violation" not in capsys.readouterr().err
