"""The temporary folder beside what is being written, and what killed processes leave."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.board.scratch import MARKER, scratch_beside
from bench.board.write import replaced


@pytest.fixture(scope="module")
def gone() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def left_by(process: object, folder: Path, machine: str = platform.node(), name: str = "a") -> Path:
    """What a killed process leaves, in which a score lies."""
    (folder / "new").mkdir(parents=True)
    (folder / "new" / "scores.npz").write_text("a score")
    (folder / MARKER).write_text(json.dumps([name, machine, process]))
    return folder


def write(folder: Path) -> None:
    with replaced(folder) as fresh:
        (fresh / "leaderboard.json").write_text("new")


def test_what_a_killed_process_left_is_removed(tmp_path: Path, gone: int) -> None:
    left_by(gone, tmp_path / ".a.1234")
    write(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


Making = Callable[[Path, int], object]
KEPT: dict[str, Making] = {
    "of a live process": lambda at, _: left_by(os.getpid(), at / ".a.1"),
    "of another machine": lambda at, gone: left_by(gone, at / ".a.1", "elsewhere"),
    "of another target": lambda at, gone: left_by(gone, at / ".a.b.1", name="a.b"),
    "of another name": lambda at, gone: left_by(gone, at / "a.1"),
    "without a marker": lambda at, gone: (left_by(gone, at / ".a.1") / MARKER).unlink(),
    "with a marker of others": lambda at, gone: (left_by(gone, at / ".a.1") / MARKER).write_text("{}"),
    "with no process": lambda at, _: left_by("x", at / ".a.1"),
    "behind a link": lambda at, gone: (at / ".a.1").symlink_to(left_by(gone, at / "theirs")),
    "a file": lambda at, _: (at / ".a.1").write_text("years of work"),
}


@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT.keys())
def test_nothing_else_is_removed(tmp_path: Path, gone: int, make: Making) -> None:
    make(tmp_path, gone)
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert before
    write(tmp_path / "a")
    assert {path: path.read_text() for path in before} == before


def test_what_was_moved_away_comes_back(tmp_path: Path, gone: int) -> None:
    """Killed between the two renames: the old folder lies in the temporary one, with what others keep in it."""
    scratch = left_by(gone, tmp_path / ".a.1")
    (scratch / "old").mkdir()
    (scratch / "old" / "leaderboard.json").write_text("old")
    (scratch / "old" / "notes.txt").write_text("years of work")
    write(tmp_path / "a")
    assert (tmp_path / "a" / "notes.txt").read_text() == "years of work"
    assert (tmp_path / "a" / "leaderboard.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_it_is_marked_from_the_start_and_removed_at_the_end(tmp_path: Path) -> None:
    with scratch_beside(tmp_path / "a") as scratch:
        assert json.loads((scratch / MARKER).read_text()) == ["a", platform.node(), os.getpid()]
        write(tmp_path / "a")  # another one of this process leaves it alone
        assert scratch.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
