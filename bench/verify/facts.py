"""What ``leaderboard.json`` must hold for its tables to be computed again: strict records, nothing missing or extra."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import InputError
from bench.metrics.quality import QualityRecord
from bench.metrics.stability import StabilityRecord
from bench.metrics.table_quality import TableQualityRecord
from bench.results import CellStatus, Cost, PrivacyClaim, TrialStatus

SHOWN = 20
"""Problems of the JSON that are listed; a file of another kind has thousands."""

Quality = Annotated[QualityRecord | TableQualityRecord, Field(discriminator="kind")]


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Part(BaseModel):
    """Its other keys are columns, which are computed again and compared, so an extra one is found there."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class CellFacts(_Exact):
    """Where a cell's number comes from; fields as in ``bench.results.Cell``."""

    seed: int
    status: CellStatus
    reason: str
    key: str
    artifact: str
    tuned_on_labels: bool
    capped: bool
    known: int = Field(ge=0)
    models_trained: int = Field(ge=0)
    models_s: float | None
    diagnostics: dict[str, float]
    costs: Cost | None
    scores: str | None


class AttackFacts(_Part):
    """An attack on a row, and its cells."""

    dataset: str
    target: str
    defense: str
    attack: str
    access: str
    knowledge: str
    adaptive: bool
    control: bool
    cells: tuple[CellFacts, ...] = Field(min_length=1)


class SnapshotFacts(CellFacts):
    """An attack on a snapshot of an undefended training."""

    dataset: str
    target: str
    defense: str
    attack: str
    access: str
    knowledge: str
    adaptive: bool
    at_step: int


class TrialFacts(_Part):
    """A training run; fields as in ``bench.results.Trial``."""

    dataset: str
    target: str
    defense: str
    seed: int
    status: TrialStatus
    reason: str
    key: str
    control: bool
    quality: Quality | None
    stability: StabilityRecord | None
    claim: PrivacyClaim | None
    caveats: tuple[str, ...]
    filtered: bool
    adaptive: tuple[str, ...]
    artifacts: dict[str, str]
    costs: dict[str, Cost]


class LinesFacts(_Exact):
    """Reference lines of a data set and target."""

    dataset: str
    target: str
    real: Quality | None
    untrained: Quality | None
    pca_gaussian: Quality | None


class SplitFacts(_Exact):
    """One role's file of record ids."""

    records: int
    file: str


class DatasetFacts(_Exact):
    """A data set and its split."""

    fingerprint: str | None
    duplicates: int | None
    membership: Literal["fixed", "coin"] | None
    splits: dict[str, SplitFacts]


class SettingsFacts(BaseModel):
    """The settings that figures are computed with; others are configuration of the steps behind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    sets: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    resamples: int = Field(ge=2, le=100_000)
    seeds: tuple[int, ...]


class BoardFacts(_Exact):
    """All of ``leaderboard.json``; the tables themselves are computed again and compared."""

    format: int
    name: str
    settings: SettingsFacts
    leaderboard: tuple[dict[str, Any], ...]
    attacks: tuple[AttackFacts, ...]
    sets: tuple[dict[str, Any], ...]
    exposures: tuple[dict[str, Any], ...]
    trials: tuple[TrialFacts, ...]
    snapshots: tuple[SnapshotFacts, ...]
    lines: tuple[LinesFacts, ...]
    datasets: dict[str, DatasetFacts]
    flags: dict[str, str]
    faults: tuple[str, ...]
    stamp: dict[str, Any]
    matrix: str
    plugins: dict[str, dict[str, tuple[dict[str, str], ...]]] = {}
    """Boards of before had none."""


def read_facts(payload: Mapping[str, Any]) -> BoardFacts:
    """The content of ``leaderboard.json`` as records.

    Raises:
        InputError: every place where something is missing, extra or of another kind.
    """
    try:
        return BoardFacts.model_validate_json(json.dumps(payload), strict=True)
    except ValidationError as error:
        found = [f"leaderboard.json: {_place(each['loc'])}: {each['msg']}" for each in error.errors()]
        more = [f"leaderboard.json: and {len(found) - SHOWN} more of this kind"] if len(found) > SHOWN else []
        raise InputError(found[:SHOWN] + more) from error


def _place(location: tuple[int | str, ...]) -> str:
    """``trials[3].quality.kid`` for a location."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "the whole file"
