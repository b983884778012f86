"""Writes a whole board at once: complete, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.board import current, draw, page, tables
from bench.board.rows import Board
from bench.board.terminal import leaderboard_text
from bench.errors import InputError

OWN = frozenset(
    {
        "leaderboard.csv",
        "attacks.csv",
        "sets.csv",
        "trials.csv",
        "leaderboard.json",
        "leaderboard.md",
        "index.html",
        current.NOTE,
        current.TEXT,
        "plots",
        "exposure",
        "scores",
        "splits",
    }
)
"""What a board consists of. All else in its folder is someone else's and stays."""


@dataclass(frozen=True)
class BoardFiles:
    """Where a board was written.

    Attributes:
        folder: the results folder.
        files: every file of the board, relative to the folder, sorted.
    """

    folder: Path
    files: tuple[str, ...]


def write_board(board: Board, folder: Path) -> BoardFiles:
    """Tables, JSON, Markdown, scores, exposures, split indices, plots and the page of a board in ``folder``.

    Args:
        board: from ``bench.board.rows.build``.
        folder: the results folder; see ``replaced``.

    Raises:
        InputError: the folder is a file, or holds something and no board.
    """
    with replaced(folder) as fresh:
        tables.write_tables(board, fresh)
        drawn = draw.write_plots(board, fresh)
        page.write_page(board, drawn, fresh)
        (fresh / current.TEXT).write_text(leaderboard_text(board, width=current.TEXT_WIDTH), "utf-8")
        current.write_note(board.results, fresh, board.violations)
        files = tuple(sorted(p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file()))
    return BoardFiles(folder.resolve(), files)


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder to write a board into, which then takes the place of ``folder``.

    It lies in a temporary folder beside, so an interrupted write leaves the old board or none, never a mixture, and no
    file of an older board survives. Files in ``folder`` that are no part of a board are kept.

    Raises:
        InputError: the folder is a file, or holds something and no board.
    """
    folder = folder.resolve()
    kept = _foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside, not in the system's temporary folder: only a rename within one file system is atomic.
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh = scratch / "new"
        fresh.mkdir()
        yield fresh
        for path in kept:
            _copy(path, fresh / path.name)
        _swap(fresh, folder, scratch / "old")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _foreign(folder: Path) -> list[Path]:
    """What in the folder is no part of a board."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise InputError(f"expected a results folder, but {folder} is a file: name another place")
    entries = sorted(folder.iterdir())
    if entries and not (folder / "leaderboard.json").is_file():
        raise InputError(
            f"expected an empty folder or one with a board, but {folder} holds "
            f"{', '.join(p.name for p in entries[:3])}{'...' if len(entries) > 3 else ''} and no "
            "leaderboard.json: name another folder, or empty this one"
        )
    return [path for path in entries if path.name not in OWN]


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
