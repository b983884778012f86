"""The exposures of a published board: computed again, with the nearest samples, which no score tells, as published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.board.payload import plain
from bench.board.rows import Board
from bench.published.read import Published


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class _Near(_Part):
    record_id: int
    nearest_sample: int = Field(ge=0)
    distance: float = Field(ge=0)


class _Told(_Part):
    """What a board tells of the samples nearest to the most exposed members of a row."""

    samples_seed: int
    most_exposed: tuple[_Near, ...]


def exposure_entries(board: Board, published: Published) -> tuple[Mapping[str, Any], ...]:
    """``exposures`` as in ``leaderboard.json``, a row of the leaderboard each.

    Args:
        board: computed again from ``published``. Where that tells nothing of the nearest samples, or of other records
            than the most exposed ones, or what is no number or text, there are none.
    """
    told = {_place(entry): entry for entry in published.payload["exposures"]}
    made: list[Mapping[str, Any]] = []
    for exposure in board.exposures:
        entry: dict[str, Any] = plain(exposure.entry())
        near = _told(told.get(exposure.row.place))
        if near is not None and _records(entry) == [each.record_id for each in near.most_exposed]:
            entry["samples_seed"] = near.samples_seed
            for ours, theirs in zip(entry["most_exposed"], near.most_exposed, strict=True):
                ours |= {"nearest_sample": theirs.nearest_sample, "distance": theirs.distance}
        made.append(entry)
    return tuple(made)


def _told(entry: Mapping[str, Any] | None) -> _Told | None:
    try:
        return None if entry is None else _Told.model_validate_json(json.dumps(entry), strict=True)
    except ValidationError:
        return None  # a board without samples tells none; one that was tampered with is treated alike


def _records(entry: Mapping[str, Any]) -> list[int]:
    return [each["record_id"] for each in entry["most_exposed"]]


def _place(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(str(entry.get(name)) for name in ("dataset", "target", "defense"))
