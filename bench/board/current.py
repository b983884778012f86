"""Whether a board on the disk is still what the results would give, so that a run without new steps ends at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.canonical import canonical_json, sha256_file, sha256_json
from bench.identity import source_fingerprint
from bench.results import Results

NOTE = "made-from.json"
TEXT = "leaderboard.txt"
TEXT_WIDTH = 150  # columns of the table where there is no terminal to ask


def made_from(results: Results, marks: str = "") -> str:
    """sha256 over everything that a board is computed from: what the store holds, the settings, and the code.

    Args:
        marks: what a comparison adds to the pages; a board with marks is not what a run without would write.
    """
    own = Path(__file__).parent
    folders = (own / "templates", own / "assets", own / "site")
    shown = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    shown += sorted(own.glob("*.bib"))
    content: dict[str, Any] = {
        "name": results.name,
        "matrix": results.matrix_text,
        "settings": results.settings,
        "trials": [[*_place(t), t.key, t.status, t.reason, dict(t.artifacts)] for t in results.trials],
        "cells": [
            [*_place(c), c.attack, c.at_step, c.key, c.status, c.reason, c.artifact]
            for c in (*results.cells, *results.snapshots)
        ],
        "lines": [
            [
                line.dataset,
                line.target,
                *(q.model_dump() if q else None for q in (line.real, line.untrained, line.pca_gaussian)),
            ]
            for line in results.lines
        ],
        "fingerprints": dict(results.fingerprints),
        "membership": dict(results.membership),
        "code": [source_fingerprint(Path(__file__).with_name("write.py")), *(sha256_file(path) for path in shown)],
    }
    return sha256_json({**content, "marks": marks} if marks else content)


def _place(of: Any) -> tuple[str, str, str, int]:
    return of.dataset, of.target, of.defense, of.seed


def write_note(results: Results, folder: Path, violations: Sequence[str] = (), marks: str = "") -> None:
    """Note beside the files of a finished board what it was made from, and size and sha256 of each of them.

    Args:
        results, folder: what the board was made from, and where it lies.
        violations: a line for each claim that its audit refutes, so that a board that is left as it is fails too.
        marks: see ``made_from``.
    """
    _write(folder, made_from(results, marks), violations)


def write_copied_note(folder: Path, inputs: str, violations: Sequence[str]) -> None:
    """The same beside the files of a board that was made elsewhere, from ``inputs``."""
    _write(folder, inputs, violations)


def _write(folder: Path, inputs: str, violations: Sequence[str]) -> None:
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in folder.rglob("*")
        if path.is_file()
    }
    note = {"inputs": inputs, "files": files, "violations": list(violations)}
    (folder / NOTE).write_text(canonical_json(note) + "\n", "utf-8")


def is_current(results: Results, folder: Path) -> bool:
    """Whether the folder holds, whole, the board that these results would give.

    Sizes tell a file that was cut off; `bench verify` compares the hashes too.
    """
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
        whole = all((folder / name).stat().st_size == file["bytes"] for name, file in note["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return whole and "violations" in note and bool(note.get("inputs") == made_from(results))


def noted_violations(folder: Path) -> tuple[str, ...]:
    """The refuted claims of a board that is current, a line each."""
    return tuple(json.loads((folder / NOTE).read_text("utf-8"))["violations"])
