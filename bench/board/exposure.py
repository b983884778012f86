"""Which records each row leaks, and the generated sample nearest to each of the most exposed members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.board.names import slug
from bench.board.table_words import Rows, column_names, in_words
from bench.devices import Device
from bench.distances import CHUNK, nearest
from bench.metrics.vulnerability import Exposure, Judged, exposures
from bench.records import Records, to_float

if TYPE_CHECKING:
    from pathlib import Path

    from bench.board.rows import Board, Row
    from bench.results import Results

SHOWN = 8
"""The most exposed members that a board shows of a row."""

VALUES = 10
"""Columns of a table that a board shows of an exposed record."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Records and the generated sample nearest to each, by Euclidean distance as models see them.

    Attributes:
        seed: of the trial that generated the samples.
        records: the records as stored.
        samples: as stored, ``(n, *shape)``.
        position: int64 ``(n,)`` among the trial's samples; the first of equals.
        distance: float64 ``(n,)``.
    """

    seed: int
    records: Records
    samples: NDArray[Any]
    position: NDArray[np.int64]
    distance: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RowExposure:
    """What attacks say of each record of one row.

    Attributes:
        row: the row of the leaderboard.
        found: over its completed attacks that are no controls.
        top: positions of the most exposed members in ``found``.
        nearest: of those; None where samples or records are not at hand.
    """

    row: Row
    found: Exposure
    top: NDArray[np.int64]
    nearest: Nearest | None

    @property
    def file(self) -> str:
        """Where all its records lie, relative to the results folder."""
        return f"exposure/{slug(*self.row.place)}.npz"

    @property
    def members_mean(self) -> float:
        """Mean exposure of the members; .5 where nothing leaks."""
        return float(self.found.exposure[self.found.membership].mean())

    def entry(self) -> dict[str, Any]:
        """Its part of ``leaderboard.json``: no value of any record, since baselines and bundles hold that file too."""
        found = self.found
        return {
            **dict(zip(("dataset", "target", "defense"), self.row.place, strict=True)),
            "file": self.file,
            "attacks": [{"name": n, "seeds": s} for n, s in zip(found.names, found.seeds, strict=True)],
            "members_mean": self.members_mean,
            "standing_out": self.found.standing_out()._asdict(),
            "samples_seed": self.nearest.seed if self.nearest else None,
            "most_exposed": [
                {
                    "record_id": found.record_ids[place],
                    "exposure": found.exposure[place],
                    "attacks": found.attacks[place],
                    "worst_attack": found.names[found.worst[place]],
                    "worst_exposure": found.worst_exposure[place],
                    "nearest_sample": self.nearest.position[index] if self.nearest else None,
                    "distance": self.nearest.distance[index] if self.nearest else None,
                }
                for index, place in enumerate(self.top)
            ],
        }

    def shown(self) -> dict[str, Any]:
        """``entry`` for the board's own page; of tables with ``values``: the first columns of records and samples."""
        near = self.nearest
        if near is None or near.records.schema.kind != "table":
            return self.entry()
        columns, members, samples = as_read(near, VALUES)
        more = len(column_names(near.records.schema)) - len(columns)
        return {**self.entry(), "values": {"columns": columns, "more": more, "members": members, "samples": samples}}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Of all records that an attack judged, ``(n,)`` each.

        record_id int64, membership bool, exposure float64, attacks int64 (how many judged it), worst_attack int64 (its
        place among the names in the JSON), worst_exposure float64.
        """
        found = self.found
        return {
            "record_id": found.record_ids,
            "membership": found.membership,
            "exposure": found.exposure,
            "attacks": found.attacks,
            "worst_attack": found.worst,
            "worst_exposure": found.worst_exposure,
        }

    def write(self, folder: Path) -> None:
        """``arrays`` as a file."""
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, allow_pickle=False, **self.arrays())


def as_read(near: Nearest, columns: int) -> tuple[list[str], Rows, Rows]:
    """The first columns of a table's records and of the samples nearest to them, as a person reads them.

    Returns:
        Names of the columns; values of the records; values of the samples.
    """
    schema = near.records.schema
    names = column_names(schema)[:columns]
    return names, in_words(near.records.x, schema, columns), in_words(near.samples, schema, columns)


def row_exposures(board: Board) -> tuple[RowExposure, ...]:
    """Of every row on which an attack was completed."""
    made = []
    for row in board.rows:
        if (found := _exposure(row)) is not None:
            top = found.most_exposed(SHOWN)
            made.append(RowExposure(row, found, top, _nearest(row, found.record_ids[top], board.results)))
    return tuple(made)


def _exposure(row: Row) -> Exposure | None:
    judged = {
        attack.attack: Judged(attack.record_ids, attack.membership, attack.scores)
        for attack in row.attacks
        if attack.summary is not None and attack.summary.nonmembers > 1
    }
    return exposures(judged) if judged else None


def _nearest(row: Row, ids: NDArray[np.int64], results: Results) -> Nearest | None:
    """From the samples of the row's first completed trial."""
    trial = next((t for t in row.trials if t.status == "completed" and t.samples is not None), None)
    read = results.candidates.get(row.dataset)
    if trial is None or trial.samples is None or read is None:
        return None
    records, samples = read().by_id(ids), trial.samples()
    best, place = np.full(len(ids), np.inf), np.zeros(len(ids), dtype=np.int64)
    x = records.floats()
    for start in range(0, len(samples), CHUNK):  # a part at a time as floats, which take four times the memory
        part = to_float(samples[start : start + CHUNK], records.schema)
        distance, which = (found[:, 0] for found in nearest(x, part, Device()))
        nearer = distance < best
        best[nearer], place[nearer] = distance[nearer], which[nearer] + start
    return Nearest(trial.seed, records, samples[place], place, best)
