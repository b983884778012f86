"""The committed baseline does its work: defenses of the quickstart that were broken on purpose are found worse.

``tests/regression/board`` was made by ``bench run tests/regression/matrix.yaml`` and ``bench board
tests/regression/matrix.yaml --baseline tests/regression/board``; the study trains it again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.common import make_plan
from bench.compare.findings import Comparison
from bench.compare.run import compare_boards
from bench.published.open import open_results
from bench.verify.check import verify

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BASELINE, BROKEN = ROOT / "results" / "baseline", HERE / "board"
MATCH = ("drops_nothing=dropout", "noise_off=dp_sgd")


def compared(new: Path, match: tuple[str, ...] = (), across: bool = False) -> Comparison:
    with open_results(BASELINE) as base, open_results(new) as other:
        return compare_boards(base, other, match=match, across_versions=across)


def verdicts(found: Comparison) -> dict[tuple[str, str], str]:
    return {(f.row.defense, f.figure): f.status for f in found.findings}


def test_a_defense_that_stopped_working_is_worse_than_the_baseline() -> None:
    found = compared(BROKEN, MATCH)
    assert found.exit_code == 1
    said = verdicts(found)
    assert said["drops_nothing", "auc"] == "worse"  # dropout whose rate is lost
    assert said["noise_off", "auc"] == "worse"  # DP-SGD without its noise, which claims its epsilon all the same
    assert said["drops_nothing", "kid"] == said["noise_off", "kid"] == "better"  # which is why nobody else would notice


def test_the_baseline_is_no_worse_than_itself() -> None:
    found = compared(BASELINE)
    assert found.exit_code == 0
    assert set(verdicts(found).values()) == {"same"}


@pytest.mark.parametrize("board", [BASELINE, BROKEN], ids=["baseline", "broken"])
def test_the_committed_boards_are_verified(board: Path) -> None:
    with open_results(board) as published:
        problems = verify(published)[0].problems
    # A verdict may be worded better since; every figure must come out again.
    figures = [line for line in problems if ".verdict: stored" not in line and "column verdict: stored" not in line]
    assert figures == []


def test_the_baseline_is_of_the_quickstart_as_it_is() -> None:
    """Whoever changes the matrix writes the baseline again."""
    with open_results(BASELINE) as published:
        payload = published.payload
    planned = make_plan(ROOT / "matrix.yaml", ROOT / "nowhere")
    assert payload["name"] == planned.resolved.matrix.name
    assert payload["settings"]["configurations"] == planned.plan.configurations
    cells = {(c.trial.target, c.trial.defense, c.trial.seed, c.name) for c in planned.plan.cells}
    assert cells == {
        (row["target"], row["defense"], cell["seed"], row["attack"])
        for row in payload["attacks"]
        for cell in row["cells"]
    }
    assert {name: data["fingerprint"] for name, data in payload["datasets"].items()} == {
        name: data.fingerprint for name, data in planned.plan.data.items()
    }


@pytest.mark.study
def test_defenses_broken_anew_are_found(tmp_path: Path) -> None:
    """Trained here, with the packages that are installed."""
    command = [sys.executable, "-m", "bench", "run", str(HERE / "matrix.yaml"), "--results", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=3000)
    found = compared(tmp_path / "broken", MATCH, across=True)
    print({place: status for place, status in verdicts(found).items() if place[1] == "auc"})
    assert verdicts(found)["drops_nothing", "auc"] == "worse"
    assert verdicts(found)["noise_off", "auc"] == "worse"
