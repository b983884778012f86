"""One of the two boards that are compared, indexed by its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.compare.content import check_content
from bench.errors import InputError
from bench.published.read import Published

Entry = Mapping[str, Any]


class Place(NamedTuple):
    """Data set, target and defense: what names a row."""

    dataset: str
    target: str
    defense: str

    def __str__(self) -> str:
        return " / ".join(self)


class Scores(NamedTuple):
    """What one attack said of one training run's candidates, ``(n,)`` each, sorted by record id."""

    ids: NDArray[np.int64]
    membership: NDArray[np.bool_]
    scores: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Side:
    """A board.

    Attributes:
        name: ``BASE`` or ``NEW``, for messages.
        published: where figures are read from.
        rows: the rows of the leaderboard.
        attacks: row -> attack -> its entry, controls left out.
        trials: row -> an entry per training run.
    """

    name: Literal["BASE", "NEW"]
    published: Published
    rows: Mapping[Place, Entry]
    attacks: Mapping[Place, Mapping[str, Entry]]
    trials: Mapping[Place, tuple[Entry, ...]]

    @property
    def payload(self) -> Entry:
        """The content of ``leaderboard.json``."""
        return self.published.payload

    def setting(self, *path: str) -> Any:
        """A value below ``settings``, or None where there is none."""
        value: Any = self.payload["settings"]
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def completed(self, at: Place) -> list[int]:
        """The seeds of a row's completed training runs, ascending."""
        return sorted(trial["seed"] for trial in self.trials[at] if trial["status"] == "completed")

    def scores(self, name: str) -> Scores:
        """The scores of one cell.

        Raises:
            InputError: the file lacks an array, or their shapes or kinds are not those of scores.
            MissingError: there is no such file.
        """
        arrays = self.published.arrays(name)
        try:
            ids, membership, scores = arrays["record_id"], arrays["membership"], arrays["score"]
        except KeyError as error:
            raise InputError(f"{self.name}, {name}: expected the array {error}, got {sorted(arrays)}") from error
        shapes = {array.shape for array in (ids, membership, scores)}
        kinds = ids.dtype.kind + membership.dtype.kind + scores.dtype.kind
        if len(shapes) != 1 or scores.ndim != 1 or kinds not in ("ibf", "ubf"):
            raise InputError(
                f"{self.name}, {name}: expected record_id (integers), membership (booleans) and score (floats) of one "
                f"shape (n,), got {ids.dtype} {ids.shape}, {membership.dtype} {membership.shape} and {scores.dtype} "
                f"{scores.shape}"
            )
        order = np.argsort(ids, kind="stable")
        return Scores(ids[order].astype(np.int64), membership[order], scores[order].astype(np.float64))


def read_side(name: Literal["BASE", "NEW"], published: Published) -> Side:
    """A board's rows, attacks and trials by place.

    Raises:
        InputError: ``leaderboard.json`` lacks a part of a board, or one is of another kind or named twice.
    """
    payload = published.payload
    check_content(name, published.folder, payload)
    rows: dict[Place, Entry] = {_place(row): row for row in payload["leaderboard"]}
    attacks: dict[Place, dict[str, Entry]] = {place: {} for place in rows}
    for attack in payload["attacks"]:
        if not attack["control"]:
            attacks.setdefault(_place(attack), {})[attack["attack"]] = attack
    trials: dict[Place, list[Entry]] = {place: [] for place in rows}
    for trial in payload["trials"]:
        trials.setdefault(_place(trial), []).append(trial)
    return Side(name, published, rows, attacks, {place: tuple(found) for place, found in trials.items()})


def _place(entry: Entry) -> Place:
    return Place(entry["dataset"], entry["target"], entry["defense"])
