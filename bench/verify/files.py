"""Whether a board's files are those that its list of hashes names, and no others."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.board.current import NOTE
from bench.board.digest import CSV_FILES
from bench.board.write import OWN
from bench.canonical import sha256_file
from bench.errors import InputError
from bench.published.strict_json import read_json
from bench.verify.report import Report

NEEDED = ("leaderboard.json", *CSV_FILES)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    bytes: int
    sha256: str


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inputs: str
    files: dict[str, _File]
    violations: tuple[str, ...]


def check_files(folder: Path, report: Report) -> tuple[str, ...]:
    """Every listed file is there with its hash, and nothing else lies where the board keeps its own.

    Returns:
        The refuted claims that the list notes, a line each.
    """
    note = _read_note(folder, report)
    if note is None:
        return ()
    listed = note.files
    for name in NEEDED:
        if name not in listed:
            report.problem(f"{NOTE}: expected every table in the list of files, {name} is not in it")
    for name, facts in sorted(listed.items()):
        _check_file(folder, name, facts, report)
    foreign = []
    for path in sorted(folder.iterdir()):
        if path.name not in OWN:
            foreign.append(path.name)
            continue
        inside = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else [path]
        for each in inside:
            name = each.relative_to(folder).as_posix()
            if name != NOTE and name not in listed and (each.is_symlink() or not each.is_dir()):
                report.problem(f"{name}: expected only files that {NOTE} lists among the board's own, this one is not")
    if foreign:
        report.note(f"not covered, since no part of the board: {', '.join(foreign)}")
    return note.violations


def _read_note(folder: Path, report: Report) -> _Note | None:
    path = folder / NOTE
    if not path.is_file():
        report.problem(f"{NOTE}: expected the list of the board's files and their hashes, found none")
        return None
    try:
        return _Note.model_validate_json(json.dumps(read_json(path)), strict=True)
    except (InputError, ValidationError) as error:
        report.problem(f"{NOTE}: expected a list of files with bytes and sha256, which this is not: {error}")
        return None


def _check_file(folder: Path, name: str, facts: _File, report: Report) -> None:
    path = folder / name
    if name.split("/")[0] not in OWN or not path.resolve().is_relative_to(folder.resolve()):
        report.problem(f"{NOTE}: expected files of the board only, it lists {name!r}")
    elif path.is_symlink():
        report.problem(f"{name}: expected a plain file, got a symbolic link")
    elif not path.is_file():
        report.problem(f"{name}: expected this file, which {NOTE} lists; it is missing")
    elif (size := path.stat().st_size) != facts.bytes:
        report.problem(f"{name}: expected {facts.bytes} bytes as {NOTE} lists them, got {size}: changed afterwards")
    elif (found := sha256_file(path)) != facts.sha256:
        report.problem(f"{name}: expected sha256 {facts.sha256}, got {found}: changed after the board was written")
    report.checked["files"] += 1
