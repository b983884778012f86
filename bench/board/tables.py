"""The files that hold numbers: four CSV files, JSON, Markdown, scores and split indices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.board.columns import ATTACKS, LEADERBOARD, SETS, TRIALS
from bench.board.markdown import leaderboard_markdown
from bench.board.payload import payload, plain, score_file, shown_snapshots, split_file, trial_table
from bench.board.rows import Board
from bench.board.set_readings import SetReading
from bench.results import Cell

FORMULA = ("=", "+", "-", "@")
"""What a text begins with that spreadsheets compute when they open a CSV file."""


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
            write_scores(folder / score_file(cell), cell, row.sets)
    for cell in shown_snapshots(board):
        write_scores(folder / score_file(cell), cell)
    for exposure in board.exposures:
        exposure.write(folder)
    for dataset, parts in board.results.splits.items():
        for split, ids in parts.items():
            path = folder / split_file(dataset, split)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, allow_pickle=False, indices=np.asarray(ids, dtype=np.int64))


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows under exactly these columns: numbers in full precision, what is None empty, booleans true / false.

    Raises:
        KeyError: a row lacks a column or has one that is not declared.
    """
    for row in rows:
        if set(row) != set(columns):
            raise KeyError(f"{path.name}: undeclared or missing columns {sorted(set(row) ^ set(columns))}")
    cells = [{name: csv_cell(row[name]) for name in columns} for row in rows]
    # object: else pandas would turn a column of whole numbers with a gap into fractions.
    frame = pd.DataFrame(cells, columns=list(columns), dtype=object)
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def csv_cell(value: Any) -> Any:
    """A value as it stands in a CSV file, None where it is empty.

    A text that a spreadsheet would take for a formula, such as a stranger's label ``=HYPERLINK(...)``, stands behind an
    apostrophe: then it is shown and not computed. Numbers stand as they are; JSON has every text without apostrophes.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # An error's line breaks would break rows for simple readers; nor may a cell begin with a tab.
        text = " ".join(value.split())
        return (f"'{text}" if text.startswith(FORMULA) else text) or None
    return plain(value)


def write_scores(path: Path, cell: Cell, sets: Sequence[SetReading] = ()) -> None:
    """record_id int64, membership bool, score float64, set_id int64 (-1: in no set), ``(n,)`` each.

    ``set_id`` is of the first size of sets, ``set_id_<size>`` of each further one; ``set_score_<size>`` float64
    ``(sets,)`` by ascending set id, where the attack has a score of its own for a set. ``part`` and ``named_part``
    int64 ``(n,)`` where a defense divides the members: the true part of each and the attack's word, -1 for none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"record_id": cell.record_ids, "membership": cell.membership, "score": cell.scores}
    for index, reading in enumerate(sets):
        arrays[f"set_id_{reading.size}" if index else "set_id"] = reading.set_id
    arrays |= {f"set_score_{size}": own for size, own in cell.set_scores.items()}
    if cell.part.size:
        arrays |= {"part": cell.part, "named_part": cell.named_part}
    np.savez_compressed(path, allow_pickle=False, **arrays)
