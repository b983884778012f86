"""The files that hold numbers: four CSV files, JSON, Markdown, scores and split indices."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.board.attack_rows import AttackRow
from bench.board.columns import ATTACKS, LEADERBOARD, SETS, TRIALS
from bench.board.flags import EXPLANATIONS
from bench.board.markdown import leaderboard_markdown
from bench.board.names import slug
from bench.board.rows import Board
from bench.board.trial_rows import lines_by_place, trial_columns
from bench.results import Cell, Results

FORMAT = 2
"""Version of ``leaderboard.json``; raised when a reader would have to change."""


def write_tables(board: Board, folder: Path) -> None:
    """All files of numbers in an existing folder."""
    leaderboard = [row.columns() for row in board.rows]
    attacks = [row.columns() for row in board.attacks]
    sets = [reading for row in board.attacks for reading in row.set_columns()]
    trials = trial_table(board.results)
    write_csv(folder / "leaderboard.csv", leaderboard, LEADERBOARD)
    write_csv(folder / "attacks.csv", attacks, ATTACKS)
    write_csv(folder / "sets.csv", sets, SETS)
    write_csv(folder / "trials.csv", trials, TRIALS)
    text = json.dumps(payload(board), indent=1, allow_nan=False, ensure_ascii=False)
    (folder / "leaderboard.json").write_text(text + "\n", encoding="utf-8")
    (folder / "leaderboard.md").write_text(leaderboard_markdown(board), encoding="utf-8")
    for row in board.attacks:
        for cell in row.completed:
            write_scores(folder / score_file(cell), cell, row)
    for exposure in board.exposures:
        exposure.write(folder)
    for dataset, parts in board.results.splits.items():
        for split, ids in parts.items():
            path = folder / split_file(dataset, split)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{i}\n" for i in np.asarray(ids).tolist()), encoding="ascii")


def trial_table(results: Results) -> list[dict[str, Any]]:
    """The rows of ``trials.csv``."""
    lines = lines_by_place(results.lines)
    return [trial_columns(trial, lines.get((trial.dataset, trial.target))) for trial in results.trials]


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows under exactly these columns: numbers in full precision, what is None empty, booleans true / false.

    Raises:
        KeyError: a row lacks a column or has one that is not declared.
    """
    for row in rows:
        if set(row) != set(columns):
            raise KeyError(f"{path.name}: undeclared or missing columns {sorted(set(row) ^ set(columns))}")
    cells = [{name: _cell(row[name]) for name in columns} for row in rows]
    # object: else pandas would turn a column of whole numbers with a gap into fractions.
    frame = pd.DataFrame(cells, columns=list(columns), dtype=object)
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return " ".join(value.split()) or None  # an error's line breaks would break rows for simple readers
    return plain(value)


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


def payload(board: Board) -> dict[str, Any]:
    """The content of ``leaderboard.json``: all that the CSV files hold, and what it was made from."""
    results = board.results
    trials = [
        {
            **row,
            "quality": _dump(trial.quality),
            "stability": _dump(trial.stability),
            "claim": _dump(trial.claim),
            "artifacts": dict(trial.artifacts),
            "costs": {kind: _dump(cost) for kind, cost in trial.costs.items()},
        }
        for row, trial in zip(trial_table(results), results.trials, strict=True)
    ]
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
                "cells": [_cell_entry(cell) for cell in row.cells],
            }
            for row in board.attacks
        ],
        "sets": [reading for row in board.attacks for reading in row.set_columns()],
        "exposures": [exposure.entry() for exposure in board.exposures],
        "trials": trials,
        "lines": [
            {
                "dataset": line.dataset,
                "target": line.target,
                **{name: _dump(getattr(line, name)) for name in ("real", "untrained", "pca_gaussian")},
            }
            for line in results.lines
        ],
        "datasets": {
            dataset: {
                "fingerprint": results.fingerprints.get(dataset),
                "duplicates": results.duplicates.get(dataset),
                "splits": {
                    split: {"records": len(ids), "file": split_file(dataset, split)}
                    for split, ids in results.splits.get(dataset, {}).items()
                },
            }
            for dataset in _datasets(results)
        },
        "flags": EXPLANATIONS,
        "faults": list(board.faults),
        "stamp": results.stamp,
        "matrix": results.matrix_text,
    }
    made: dict[str, Any] = plain(content)
    return made


def _datasets(results: Results) -> Iterable[str]:
    return dict.fromkeys([*results.splits, *results.fingerprints, *(t.dataset for t in results.trials)])


def _cell_entry(cell: Cell) -> dict[str, Any]:
    """Where a cell's number comes from; its cost stands in the row, which a comparison leaves out."""
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
        "scores": score_file(cell) if cell.status == "completed" else None,
    }


def _dump(record: Any) -> Any:
    return None if record is None else record.model_dump(mode="json")


def score_file(cell: Cell) -> str:
    """Where a cell's scores lie, relative to the results folder."""
    return f"scores/{slug(cell.dataset, cell.target, cell.defense, cell.attack, cell.seed)}.npz"


def split_file(dataset: str, split: str) -> str:
    """Where a split's record ids lie, relative to the results folder: one id a line."""
    return f"splits/{slug(dataset)}/{slug(split)}.txt"


def write_scores(path: Path, cell: Cell, row: AttackRow) -> None:
    """record_id int64, membership bool, score float64, set_id int64 (-1: in no set), ``(n,)`` each.

    ``set_id`` is of the first size of sets, ``set_id_<size>`` of each further one; ``set_score_<size>`` float64
    ``(sets,)`` by ascending set id, where the attack has a score of its own for a set. ``part`` and ``named_part``
    int64 ``(n,)`` where a defense divides the members: the true part of each and the attack's word, -1 for none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"record_id": cell.record_ids, "membership": cell.membership, "score": cell.scores}
    for index, reading in enumerate(row.sets):
        arrays[f"set_id_{reading.size}" if index else "set_id"] = reading.set_id
        if reading.size in cell.set_scores:
            arrays[f"set_score_{reading.size}"] = cell.set_scores[reading.size]
    if cell.part.size:
        arrays |= {"part": cell.part, "named_part": cell.named_part}
    np.savez_compressed(path, allow_pickle=False, **arrays)
