"""Computes every table again from the published scores, with the code that boards are written with, and compares."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.board.columns import ATTACKS, LEADERBOARD, SETS, TRIALS
from bench.board.current import NOTE, TEXT, TEXT_WIDTH
from bench.board.markdown import leaderboard_markdown
from bench.board.payload import payload, trial_table
from bench.board.rows import Board, build
from bench.board.terminal import leaderboard_text
from bench.errors import BenchError
from bench.published.read import Published
from bench.results import Results
from bench.verify.report import Report
from bench.verify.same import ABSOLUTE, RELATIVE, Worded, differences, numbers_in, table_differences
from bench.verify.words import read_text, settle, text_differences
from bench.version import __version__

WORDS = ("verdict",)
"""Columns of sentences that are derived from figures, which all have columns of their own."""

FAILURES = (BenchError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError)
"""What the code of boards raises where somebody tampered with what it reads."""

NEAREST = ("samples_seed", "nearest_sample", "distance")
"""Keys of the exposures that come from generated samples, which a board does not hold."""


def recompute(results: Results, published: Published, violations: Sequence[str], report: Report) -> Board | None:
    """Build the board of ``results`` and compare every number of every table with what is published.

    Args:
        results: as rebuilt from ``published``.
        violations: the refuted claims that the list of files notes.
        report: gets what differs.

    Returns:
        The board as computed; None where it, or one of its tables or texts, cannot be.
    """
    try:
        board = build(results)
        made = payload(board)
    except FAILURES as error:
        # Whoever tampered may have left what no run would give; then there is nothing to compare with.
        report.problem(f"leaderboard.json: the tables cannot be recomputed from what is published: {said(error)}")
        return None
    if (version := published.payload["stamp"].get("leakboard")) != __version__:
        report.note(f"written by version {version} and recomputed by {__version__}: differences may come from that")
    if tuple(violations) != board.violations:
        report.problem(f"{NOTE}: stored the refuted claims {list(violations)}, recomputed {list(board.violations)}")
    for line in board.violations:
        report.note(f"the board itself reports a refuted claim: {line}")
    lines: list[str] = []
    parts: dict[str, Callable[[], Iterable[str]]] = {
        "leaderboard.json": lambda: _compare_json(published.payload, made, report),
        "tables": lambda: _compare_tables(published.folder, board, report),
        "texts": lambda: _compare_texts(published.folder, board, report),
        "exposures": lambda: _compare_exposures(published, board, report),
    }
    whole = True
    for name, compare in parts.items():
        try:
            lines += compare()
        except FAILURES as error:
            report.problem(f"{name}: cannot be recomputed from what is published: {said(error)}")
            whole = False
    settle(lines, published.payload["stamp"], report)
    return board if whole else None


def said(error: BaseException) -> str:
    """What went wrong, and where in our code, so that a bug of ours is found too."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:300]} (in {Path(at.filename).name}, {at.name})"


def _compare_json(stored: Mapping[str, Any], made: Mapping[str, Any], report: Report) -> Iterator[str]:
    for key in made:
        # Snapshots whose scores no row uses are published without scores; the facts of all of them were read already.
        if key not in ("snapshots", "stamp", "matrix", "plugins"):
            one, other = (_without_nearest(side[key]) if key == "exposures" else side[key] for side in (stored, made))
            words = tuple(made[key]) if key == "flags" else WORDS
            for line in differences(one, other, key, words):
                said = f"leaderboard.json: {line}"
                yield Worded(said) if isinstance(line, Worded) else said
            report.checked["numbers"] += numbers_in(other)


def _without_nearest(entries: Any) -> Any:
    if isinstance(entries, list):
        return [_without_nearest(entry) for entry in entries]
    if isinstance(entries, Mapping):
        return {key: _without_nearest(value) for key, value in entries.items() if key not in NEAREST}
    return entries


def _compare_tables(folder: Path, board: Board, report: Report) -> Iterator[str]:
    tables = {
        "leaderboard.csv": ([row.columns() for row in board.rows], LEADERBOARD),
        "attacks.csv": ([row.columns() for row in board.attacks], ATTACKS),
        "sets.csv": ([reading for row in board.attacks for reading in row.set_columns()], SETS),
        "trials.csv": (trial_table(board.results), TRIALS),
    }
    for name, (rows, columns) in tables.items():
        text = read_text(folder / name, report)
        if text is not None:
            yield from table_differences(text, rows, columns, name, WORDS)
            report.checked["numbers"] += numbers_in(rows)


def _compare_texts(folder: Path, board: Board, report: Report) -> Iterator[str]:
    made = {"leaderboard.md": leaderboard_markdown(board), TEXT: leaderboard_text(board, width=TEXT_WIDTH)}
    for name, text in made.items():
        stored = read_text(folder / name, report)  # a bundle has none
        if stored is not None:
            yield from text_differences(stored, text, name)


def _compare_exposures(published: Published, board: Board, report: Report) -> Iterator[str]:
    for exposure in board.exposures:
        if not (published.folder / exposure.file).is_file():
            report.note("exposure/ is not here (a baseline has none); its summary in leaderboard.json was recomputed")
            continue
        try:
            stored = published.arrays(exposure.file)
        except BenchError as error:
            yield str(error).replace(f"{published.folder}/", "")
            continue
        made = exposure.arrays()
        if set(stored) != set(made):
            yield f"{exposure.file}: expected the arrays {sorted(made)}, got {sorted(stored)}"
            continue
        for name, array in made.items():
            if stored[name].shape != array.shape or not np.allclose(stored[name], array, RELATIVE, ABSOLUTE):
                yield f"{exposure.file}: {name}: the stored array differs from the recomputed one"
            report.checked["numbers"] += array.size
