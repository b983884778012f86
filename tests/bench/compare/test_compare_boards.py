"""Whole comparisons: of boards as they are written, and of simulated ones, unchanged and broken."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_comparison import QUICKSTART, board

from bench.compare.findings import Comparison
from bench.compare.measures import FIGURES
from bench.compare.run import compare_boards
from bench.identity import ROOT


def compared(seeds: int, draw: int, auc: float = 0.51) -> Comparison:
    """Other trainings on the same records, with dropout at this AUC in NEW."""
    other = {**QUICKSTART, "dropout": replace(QUICKSTART["dropout"], auc=auc)}
    sides = [
        board(rows, range(seeds), 2 * draw + place, 100, 200, ("logan_white_box", "nearest_sample"), root=draw)
        for place, rows in enumerate((QUICKSTART, other))
    ]
    return compare_boards(*sides)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_unchanged_defenses_pass_under_other_seeds(seeds: int) -> None:
    assert [compared(seeds, draw).exit_code for draw in range(6)].count(0) >= 5


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_broken_defense_is_caught(seeds: int) -> None:
    for draw in range(3):
        worse = [(f.row.defense, f.figure) for f in compared(seeds, draw, auc=0.94).findings if f.status == "worse"]
        assert worse == [("dropout", "auc")]


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("defenses-quick", ("auc", "kid", "fid", "precision", "recall", "density", "coverage", "loss_oscillation")),
        ("tables", ("marginal_distance", "correlation_distance", "utility")),
    ],
)
def test_expected_spreads_are_those_of_the_published_boards(folder: str, names: tuple[str, ...]) -> None:
    """Root mean square over rows of the standard deviation between runs, a share where the figure is relative."""
    path = ROOT / "results" / folder
    payload = json.loads((path / "leaderboard.json").read_text("utf-8"))
    for name in names:
        runs = _worst_aucs(path, payload) if name == "auc" else _trials(payload, name)
        figure = FIGURES[name]
        spreads = [np.std(row, ddof=1) / (np.mean(row) if figure.relative else 1) for row in runs]
        measured = float(np.sqrt(np.mean(np.square(spreads))))
        assert figure.spread is not None
        assert 0.7 * measured <= figure.spread <= 1.5 * measured, (name, measured)


def _trials(payload: dict, name: str) -> list[list[float]]:  # type: ignore[type-arg]
    rows: dict[tuple[str, ...], list[float]] = {}
    for trial in payload["trials"]:
        if trial["status"] == "completed" and trial[name] is not None:
            rows.setdefault((trial["dataset"], trial["target"], trial["defense"]), []).append(trial[name])
    return [row for row in rows.values() if len(row) > 1]


def _worst_aucs(path: Path, payload: dict) -> list[list[float]]:  # type: ignore[type-arg]
    from sklearn.metrics import roc_auc_score

    worst: dict[tuple[str, ...], list[float]] = {}
    for attack in payload["attacks"]:
        place = (attack["dataset"], attack["target"], attack["defense"])
        shown = next(r for r in payload["leaderboard"] if (r["dataset"], r["target"], r["defense"]) == place)
        if attack["attack"] == shown["worst_attack"] and not attack["control"]:
            arrays = [np.load(path / c["scores"]) for c in attack["cells"] if c["status"] == "completed"]
            worst[place] = [float(roc_auc_score(a["membership"], a["score"])) for a in arrays]
    return [row for row in worst.values() if len(row) > 1]
