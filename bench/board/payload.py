"""The content of ``leaderboard.json``: every table, and all that the tables are computed from but the scores.

Scores, set ids and the splits lie in files of their own, which the JSON names. Together they are enough to compute
every figure again, which ``bench verify`` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bench.board.flags import EXPLANATIONS
from bench.board.names import slug
from bench.board.rows import Board
from bench.board.trial_rows import lines_by_place, trial_columns
from bench.results import Cell, Results, Trial

FORMAT = 2
"""Version of ``leaderboard.json``; raised when a reader would have to change."""


def payload(board: Board) -> dict[str, Any]:
    """The content of ``leaderboard.json``."""
    results = board.results
    content = {
        "format": FORMAT,
        "name": results.name,
        "settings": results.settings,
        "leaderboard": [
            {**row.columns(), "reason": row.reason, "seen": {f.name: f.seen for f in row.flags}} for row in board.rows
        ],
        "attacks": [
            {
                **row.columns(),
                "seen": {f.name: f.seen for f in row.flags},
                "cells": [
                    cell_entry(cell, score_file(cell) if cell.status == "completed" else None) for cell in row.cells
                ],
            }
            for row in board.attacks
        ],
        "sets": [reading for row in board.attacks for reading in row.set_columns()],
        "exposures": [exposure.entry() for exposure in board.exposures],
        "trials": [
            {**row, **_trial_entry(trial)} for row, trial in zip(trial_table(results), results.trials, strict=True)
        ],
        "snapshots": _snapshot_entries(board),
        "lines": [
            {
                "dataset": line.dataset,
                "target": line.target,
                **{name: _dump(getattr(line, name)) for name in ("real", "untrained", "pca_gaussian")},
            }
            for line in results.lines
        ],
        "datasets": {dataset: _dataset_entry(dataset, results) for dataset in _datasets(results)},
        "plugins": results.plugins,
        "flags": EXPLANATIONS,
        "faults": list(board.faults),
        "stamp": results.stamp,
        "matrix": results.matrix_text,
    }
    made: dict[str, Any] = plain(content)
    return made


def trial_table(results: Results) -> list[dict[str, Any]]:
    """The rows of ``trials.csv``."""
    lines = lines_by_place(results.lines)
    return [trial_columns(trial, lines.get((trial.dataset, trial.target))) for trial in results.trials]


def shown_snapshots(board: Board) -> tuple[Cell, ...]:
    """The attacks on snapshots that some row is read beside: the only ones whose scores are published."""
    used = {(row.dataset, row.target, row.equal_kid.step) for row in board.rows if row.equal_kid is not None}
    return tuple(
        cell
        for cell in board.results.snapshots
        if (cell.dataset, cell.target, cell.at_step) in used and cell.status == "completed"
    )


def _snapshot_entries(board: Board) -> list[dict[str, Any]]:
    """All attacks on snapshots, since which attacks judge them decides what a row is read beside."""
    shown = {id(cell) for cell in shown_snapshots(board)}
    return [
        {
            "dataset": cell.dataset,
            "target": cell.target,
            "defense": cell.defense,
            "attack": cell.attack,
            "access": cell.access,
            "knowledge": cell.knowledge,
            "adaptive": cell.adaptive,
            "at_step": cell.at_step,
            **cell_entry(cell, score_file(cell) if id(cell) in shown else None),
        }
        for cell in board.results.snapshots
    ]


def _trial_entry(trial: Trial) -> dict[str, Any]:
    """What a trial's columns leave out."""
    return {
        "control": trial.control,
        "quality": _dump(trial.quality),
        "stability": _dump(trial.stability),
        "claim": _dump(trial.claim),
        "caveats": list(trial.caveats),
        "filtered": trial.filtered,
        "adaptive": list(trial.adaptive),
        "artifacts": dict(trial.artifacts),
        "costs": {kind: _dump(cost) for kind, cost in trial.costs.items()},
    }


def _dataset_entry(dataset: str, results: Results) -> dict[str, Any]:
    return {
        "fingerprint": results.fingerprints.get(dataset),
        "duplicates": results.duplicates.get(dataset),
        "membership": results.membership.get(dataset),
        "splits": {
            split: {"records": len(ids), "file": split_file(dataset, split)}
            for split, ids in results.splits.get(dataset, {}).items()
        },
    }


def _datasets(results: Results) -> Iterable[str]:
    return dict.fromkeys([*results.splits, *results.fingerprints, *(t.dataset for t in results.trials)])


def cell_entry(cell: Cell, scores: str | None) -> dict[str, Any]:
    """Where a cell's number comes from, what it cost, and the file of its scores."""
    return {
        "seed": cell.seed,
        "status": cell.status,
        "reason": cell.reason,
        "key": cell.key,
        "artifact": cell.artifact,
        "tuned_on_labels": cell.tuned_on_labels,
        "capped": cell.capped,
        "known": cell.known,
        "models_trained": cell.models_trained,
        "models_s": cell.models_s,
        "diagnostics": dict(cell.diagnostics),
        "costs": _dump(cell.cost),
        "scores": scores,
    }


def _dump(record: Any) -> Any:
    return None if record is None else record.model_dump(mode="json")


def plain(value: Any) -> Any:
    """``value`` as JSON values; a float that is not finite becomes None, like all that was not measured."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def score_file(cell: Cell) -> str:
    """Where a cell's scores lie, relative to the results folder."""
    at = () if cell.at_step is None else (f"step {cell.at_step}",)
    return f"scores/{slug(cell.dataset, cell.target, cell.defense, cell.attack, cell.seed, *at)}.npz"


def split_file(dataset: str, split: str) -> str:
    """Where a split's record ids lie, relative to the results folder: int64 ``indices``."""
    return f"splits/{slug(dataset)}/{slug(split)}.npz"
