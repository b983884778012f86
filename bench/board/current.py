"""Whether a board on the disk is still what the results would give, so that a run without new steps ends at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.canonical import canonical_json, sha256_file, sha256_json
from bench.identity import source_fingerprint
from bench.results import Results

NOTE = "made-from.json"
TEXT = "leaderboard.txt"
TEXT_WIDTH = 150  # columns of the table where there is no terminal to ask


def made_from(results: Results) -> str:
    """sha256 over everything that a board is computed from: what the store holds, the settings, and the code."""
    templates = sorted((Path(__file__).parent / "templates").iterdir())
    content: dict[str, Any] = {
        "name": results.name,
        "matrix": results.matrix_text,
        "settings": results.settings,
        "trials": [[*_place(t), t.key, t.status, t.reason, dict(t.artifacts)] for t in results.trials],
        "cells": [[*_place(c), c.attack, c.key, c.status, c.reason, c.artifact] for c in results.cells],
        "lines": [
            [
                line.dataset,
                line.target,
                *(q.model_dump() if q else None for q in (line.real, line.untrained, line.pca_gaussian)),
            ]
            for line in results.lines
        ],
        "fingerprints": dict(results.fingerprints),
        "code": [source_fingerprint(Path(__file__).with_name("write.py")), *(sha256_file(path) for path in templates)],
    }
    return sha256_json(content)


def _place(of: Any) -> tuple[str, str, str, int]:
    return of.dataset, of.target, of.defense, of.seed


def write_note(results: Results, folder: Path) -> None:
    """Note beside the files of a finished board what it was made from, and their sizes."""
    sizes = {p.relative_to(folder).as_posix(): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    (folder / NOTE).write_text(canonical_json({"inputs": made_from(results), "files": sizes}), "utf-8")


def is_current(results: Results, folder: Path) -> bool:
    """Whether the folder holds, whole, the board that these results would give."""
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in note["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return whole and bool(note.get("inputs") == made_from(results))
