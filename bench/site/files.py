"""The files of one board of a site: computed again from its scores, never a stranger's pages, pictures or scripts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.board.current import NOTE, TEXT, TEXT_WIDTH, write_copied_note
from bench.board.rows import Board
from bench.board.site.downloads import write_downloads
from bench.board.tables import write_tables
from bench.board.terminal import leaderboard_text
from bench.board.write import BOARD
from bench.site.examine import Examined

OF_RECORDS = ("exposure", "scores", "splits", BOARD, NOTE)
"""What names records, or cannot be verified without what does."""


def write_files(examined: Examined, board: Board, folder: Path) -> None:
    """Every file of numbers and texts, in an existing folder.

    All are written anew from the scores, but for the JSON of a board in which nothing is wrong, which is copied byte
    for byte: it tells where the samples lie that are nearest to the most exposed members, which no score does.
    """
    write_tables(board, folder)
    write_downloads(board.results, folder)
    (folder / TEXT).write_text(leaderboard_text(board, width=TEXT_WIDTH), "utf-8")
    if examined.verified is not None:
        shutil.copyfile(examined.published.folder / BOARD, folder / BOARD)


def finish_files(examined: Examined, board: Board, folder: Path, without_records: bool) -> None:
    """What comes after the pictures: the list of hashes, or the removal of what names records.

    A board in which something is wrong gets no list: its files are those that its scores give, which nobody published,
    and `bench verify` shall not pass them.
    """
    if without_records:
        for name in OF_RECORDS:
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    elif examined.verified is not None:
        inputs = json.loads((examined.published.folder / NOTE).read_text("utf-8"))["inputs"]
        write_copied_note(folder, inputs, board.violations)
