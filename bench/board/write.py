"""Writes a whole board at once: complete, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.board import current, draw, tables
from bench.board.rows import Board
from bench.board.scratch import NEW, OLD, clear_stale, scratch_beside
from bench.board.site.downloads import MATRIX, REFERENCES, write_downloads
from bench.board.site.entry import Compared, Entry
from bench.board.site.links import ASSETS, ATTACKS, GROUPS, INDEX, METHOD
from bench.board.site.write import write_site
from bench.board.terminal import leaderboard_text
from bench.errors import InputError

BOARD = "leaderboard.json"
"""The file that every board has."""

OWN = frozenset(
    {
        "leaderboard.csv",
        "attacks.csv",
        "sets.csv",
        "trials.csv",
        BOARD,
        "leaderboard.md",
        INDEX,
        ATTACKS,
        METHOD,
        ASSETS,
        GROUPS,
        MATRIX,
        REFERENCES,
        current.NOTE,
        current.TEXT,
        "plots",
        "exposure",
        "scores",
        "splits",
    }
)
"""What a board consists of. All else in its folder is someone else's and stays."""

Marking = Callable[[Board, Path], Compared]
"""Compares a board, of which a folder has the numbers already, with a baseline."""


@dataclass(frozen=True)
class BoardFiles:
    """Where a board was written.

    Attributes:
        folder: the results folder.
        files: every file of the board, relative to the folder, sorted.
    """

    folder: Path
    files: tuple[str, ...]


def write_board(board: Board, folder: Path, compared: Marking | None = None) -> BoardFiles:
    """Tables, JSON, Markdown, scores, exposures, split indices, plots and the pages of a board in ``folder``.

    Args:
        board: from ``bench.board.rows.build``.
        folder: the results folder; see ``replaced``.
        compared: what the pages shall mark.

    Raises:
        InputError: the folder is a file, or holds something and no board.
    """
    with replaced(folder) as fresh:
        tables.write_tables(board, fresh)
        write_downloads(board.results, fresh)
        drawn = draw.write_plots(board, fresh)
        marks = None if compared is None else compared(board, fresh)
        exposures = tuple(exposure.shown() for exposure in board.exposures)
        entry = Entry(board, board.results.name, drawn, exposures, compared=marks)
        write_site([entry], fresh, board.results.name)
        (fresh / current.TEXT).write_text(leaderboard_text(board, width=current.TEXT_WIDTH), "utf-8")
        current.write_note(board.results, fresh, board.violations, marks=repr(marks) if marks else "")
        files = tuple(sorted(p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file()))
    return BoardFiles(folder.resolve(), files)


@contextmanager
def replaced(folder: Path, own: Collection[str] = OWN, sign: str = BOARD, what: str = "a board") -> Iterator[Path]:
    """An empty folder to write a board into, which then takes the place of ``folder``.

    It lies in a temporary folder beside, so an interrupted write leaves the old board or none, never a mixture, and no
    file of an older board survives. Files in ``folder`` that are no part of a board are kept. What a killed process
    left beside is removed first.

    Args:
        own: what a board consists of.
        sign: the file that every board has.
        what: what to call it, where it is something else that is written so.

    Raises:
        InputError: the folder is a file, or holds something and no board.
        OSError: nothing can be written there.
    """
    folder = folder.resolve()
    clear_stale(folder)
    kept = foreign(folder, own, sign, what)
    with scratch_beside(folder) as scratch:
        fresh = scratch / NEW
        fresh.mkdir()
        yield fresh
        for path in kept:
            _copy(path, fresh / path.name)
        _swap(fresh, folder, scratch / OLD)


def foreign(folder: Path, own: Collection[str], sign: str, what: str) -> list[Path]:
    """What in the folder is no part of a board; see ``replaced``.

    Raises:
        InputError: the folder is a file, or holds something and no board.
    """
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise InputError(f"expected a folder for {what}, but {folder} is a file: name another place")
    entries = sorted(folder.iterdir())
    if entries and not (folder / sign).is_file():
        raise InputError(
            f"expected an empty folder or one with {what}, but {folder} holds "
            f"{', '.join(p.name for p in entries[:3])}{'...' if len(entries) > 3 else ''} and no "
            f"{sign}: name another folder, or empty this one"
        )
    return [path for path in entries if path.name not in own]


def _copy(source: Path, to: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, to, symlinks=True)
    else:
        shutil.copy2(source, to, follow_symlinks=False)


def _swap(fresh: Path, folder: Path, old: Path) -> None:
    if not folder.exists():
        os.rename(fresh, folder)
        return
    os.rename(folder, old)
    try:
        os.rename(fresh, folder)
    except BaseException:
        os.rename(old, folder)
        raise
