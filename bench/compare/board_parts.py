"""The parts of ``leaderboard.json`` that a comparison reads, as strict records; other keys may hold anything."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from bench.compare.measures import FIGURES
from bench.compare.printable import is_printable
from bench.results import CellStatus, TrialStatus

LARGEST = 1e100
"""No figure is larger; squares and sums of larger ones would leave the range of floats."""


def _name(text: str) -> str:
    if not is_printable(text):
        raise ValueError(f"expected text without control characters, got {text!a}")
    return text


def _figure(value: float) -> float:
    if not abs(value) <= LARGEST:
        raise ValueError(f"expected a finite figure of at most {LARGEST:g}")
    return value


Name = Annotated[str, AfterValidator(_name)]
File = Annotated[Name, Field(max_length=255)]
Number = Annotated[float, AfterValidator(_figure)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**64)]


class _Part(BaseModel):
    """Keys that no comparison reads may hold anything."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Placed(_Part):
    dataset: Name
    target: Name
    defense: Name


class _Row(_Placed):
    status: TrialStatus
    reason: str | None = None
    flags: str | None
    membership: Literal["fixed", "coin"] | None = None
    diverged_runs: Count | None
    collapsed_runs: Count | None
    epsilon_claimed: Number | None
    epsilon_lower_bound: Number | None
    delta: Number | None = None
    claim_unit: str | None = None
    claim_adjacency: str | None = None
    claim_accountant: str | None = None
    claim_void_reason: str | None = None


class TrialPart(_Placed):
    """A training run; its figures come from ``FIGURES``."""

    seed: Seed
    status: TrialStatus
    reason: str | None = None
    artifacts: dict[str, str] = {}


_OF_RUNS = [figure for figure in FIGURES.values() if figure.source == "trials"]
_COLUMNS: dict[str, Any] = {
    **{f"{figure.name}{end}": (Number | None, None) for figure in _OF_RUNS for end in ("", "_low", "_high")},
    **{needed: (Annotated[str | int | None, Field()], None) for figure in _OF_RUNS for needed in figure.needs},
}
_TrialFigures = cast(type[TrialPart], create_model("_TrialFigures", __base__=TrialPart, **_COLUMNS))


class _Cell(_Part):
    seed: Seed
    status: CellStatus
    reason: str | None = None
    scores: File | None = None

    @model_validator(mode="after")
    def _has_scores(self) -> _Cell:
        if self.status == "completed" and self.scores is None:
            raise ValueError("expected the file of the scores of a completed attack, got none")
        return self


class _Attack(_Placed):
    attack: Name
    access: Name
    knowledge: Name
    control: bool
    status: CellStatus
    reason: str | None = None
    cells: list[_Cell]


class _Split(_Part):
    records: Count
    file: File


class _Dataset(_Part):
    fingerprint: Name | None = None
    splits: dict[Name, _Split] = {}


_Specs = dict[Name, list[dict[str, Any]]]


class _Configurations(_Part):
    targets: _Specs
    defenses: _Specs
    attacks: _Specs


class _Settings(_Part):
    samples: Count
    resamples: Count
    device: Name
    precision: Name
    configurations: _Configurations


class _Sources(_Part):
    targets: dict[Name, Name]
    attacks: dict[Name, Name]
    defenses: dict[Name, list[Name]]


class _Stamp(_Part):
    leakboard: Name | None = None
    packages: dict[Name, Name | None] | None = None
    sources: _Sources | None = None


class BoardParts(_Part):
    """The whole of it."""

    settings: _Settings
    leaderboard: list[_Row]
    attacks: list[_Attack]
    trials: list[_TrialFigures]  # type: ignore[valid-type]
    datasets: dict[Name, _Dataset]
    faults: list[str]
    stamp: _Stamp
