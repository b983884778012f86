"""One hash over everything in a results folder that two equal runs must agree on."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.board.columns import VOLATILE, VOLATILE_KEYS
from bench.errors import MissingError, StoreError

CSV_FILES = ("leaderboard.csv", "attacks.csv", "sets.csv", "trials.csv")
NEWER = frozenset({"sets.csv"})  # a board of an older version has none


def digest(folder: Path) -> str:
    """The sha256, in hex, of a results folder's content without its volatile columns and keys.

    Covers ``leaderboard.json``, the four CSV files and the arrays in ``exposure/``, ``scores/`` and ``splits/``;
    pictures, pages and Markdown are drawn from these and left out.

    Raises:
        MissingError: the folder holds no results.
        StoreError: one of the files cannot be read.
    """
    if not (folder / "leaderboard.json").is_file():
        raise MissingError(f"expected results in {folder}, but it holds no leaderboard.json: run the matrix first")
    total = hashlib.sha256()
    for name, part in _parts(folder):
        # Length-prefixed, so that no content can pass for the end of one part and the start of another.
        for piece in (name.encode(), part):
            total.update(len(piece).to_bytes(8, "big"))
            total.update(piece)
    return total.hexdigest()


def _parts(folder: Path) -> Iterator[tuple[str, bytes]]:
    yield "leaderboard.json", _json(folder / "leaderboard.json")
    for name in CSV_FILES:
        if name in NEWER and not (folder / name).is_file():
            continue
        if not (folder / name).is_file():
            raise MissingError(f"expected {name} in {folder}, but it is not there: write the board again")
        yield name, _csv(folder / name)
    for pattern in ("exposure/*.npz", "scores/*.npz", "splits/**/*.npz"):
        for path in _sorted(folder, pattern):
            yield path.relative_to(folder).as_posix(), _npz(path)
    for path in _sorted(folder, "splits/**/*.txt"):  # as older versions wrote them
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def _sorted(folder: Path, pattern: str) -> list[Path]:
    return sorted((p for p in folder.glob(pattern) if p.is_file()), key=lambda p: p.relative_to(folder).as_posix())


def _json(path: Path) -> bytes:
    try:
        payload: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is not JSON ({error}): write the board again") from error
    kept = {
        key: [_without_volatile(row) for row in value] if isinstance(value, list) else value
        for key, value in payload.items()
        if key not in VOLATILE_KEYS
    }
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _without_volatile(row: Any) -> Any:
    """Cost is left out at every depth: the cells of an attack's row have costs of their own."""
    if isinstance(row, list):
        return [_without_volatile(each) for each in row]
    return {k: _without_volatile(v) for k, v in row.items() if k not in VOLATILE} if isinstance(row, dict) else row


def _csv(path: Path) -> bytes:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    kept = [i for i, column in enumerate(rows[0] if rows else []) if column not in VOLATILE]
    ragged = [number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])]
    if ragged:
        raise StoreError(f"{path}: expected {len(rows[0])} cells in row {ragged[0]}: write the board again")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([row[i] for i in kept] for row in rows)
    return text.getvalue().encode()


def _npz(path: Path) -> bytes:
    """dtype, shape and bytes of each array: the zip around them differs between versions of its library."""
    inner = hashlib.sha256()
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in sorted(arrays.files):
                array = np.ascontiguousarray(arrays[name])
                inner.update(repr((name, array.dtype.str, array.shape)).encode())
                inner.update(array.tobytes())
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path} cannot be read ({error}): write the board again") from error
    return inner.digest()
