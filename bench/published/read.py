"""A results folder as it was published: its JSON and the scores of its cells.

Neither torch nor pandas is imported, so that comparing is quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bench.errors import InputError, MissingError
from bench.published.npz import read_npz
from bench.published.strict_json import CONTROL, read_json

FORMATS = (2,)
"""Versions of ``leaderboard.json`` that can be read."""


@dataclass(frozen=True, eq=False)
class Published:
    """A board on the disk.

    Attributes:
        folder: where it lies.
        payload: the content of ``leaderboard.json``; see ``bench.board.payload``.
    """

    folder: Path
    payload: Mapping[str, Any]

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of an npz file of the folder, never unpickling.

        Raises:
            InputError: the name leaves the folder or has control characters, or the file is no npz of plain arrays of
                finite numbers.
            MissingError: there is no such file.
        """
        if CONTROL.search(name):
            raise InputError(f"{self.folder}: expected a printable file name, got {name!a}")
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise InputError(f"{self.folder}: expected files inside the folder, got the name {name!r}")
        if not path.is_file():
            raise MissingError(f"{path}: expected the file that leaderboard.json names, found none")
        return read_npz(path)


def read_published(folder: Path) -> Published:
    """The board in a folder.

    Raises:
        MissingError: there is none.
        InputError: its JSON cannot be read, holds NaN or infinity, or is of a version that this code does not know.
    """
    path = folder / "leaderboard.json"
    if not path.is_file():
        raise MissingError(f"{folder}: expected a board there, found no leaderboard.json; write one with `bench run`")
    payload = read_json(path)
    if not isinstance(payload, dict) or payload.get("format") not in FORMATS:
        got = payload.get("format") if isinstance(payload, dict) else type(payload).__name__
        raise InputError(
            f"{path}: expected a board of format {' or '.join(map(str, FORMATS))}, got {got!r}; write it again with "
            "`bench board`"
        )
    return Published(folder, payload)
