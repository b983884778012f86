"""Which pictures a board has, where they lie, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.board.names import slug

TRAINING = "What each training left along its way, a line per seed"
EXPOSED = "The most exposed members, each above the generated sample nearest to it"
"""Captions."""


@dataclass(frozen=True)
class Picture:
    """A PNG.

    Attributes:
        file: relative to the results folder, with ``/``.
        caption: what it shows.
        alt: what a reader who cannot see it has to know.
        svg: the same as SVG, for papers, relative to the results folder; None where there is none.
    """

    file: str
    caption: str
    alt: str
    svg: str | None = None


@dataclass(frozen=True)
class RowPictures:
    """The pictures of one row; None, or nothing, where there is nothing to draw.

    Attributes:
        samples: the first generated records, a sheet per seed; ``real`` as many records that no model saw.
        training: losses and the KID of snapshots, a line per seed.
        roc: the curve of each attack.
        exposed: the most exposed members, each above the sample nearest to it.
    """

    samples: tuple[Picture, ...] = ()
    real: Picture | None = None
    training: Picture | None = None
    roc: Picture | None = None
    exposed: Picture | None = None


@dataclass(frozen=True)
class Drawn:
    """The pictures of a board: of data set and target, and of each row by its data set, target and defense."""

    scatters: Mapping[tuple[str, str], Picture] = field(default_factory=dict)
    rows: Mapping[tuple[str, str, str], RowPictures] = field(default_factory=dict)


def samples_file(place: tuple[str, str, str], seed: int) -> str:
    """Where the sheet of generated records of a trial lies, relative to the results folder; of a row's ``place``."""
    return f"plots/samples-{slug(*place, seed)}.png"


def real_file(dataset: str) -> str:
    """Where the sheet of real records lies."""
    return f"plots/real-{slug(dataset)}.png"


def training_file(place: tuple[str, str, str]) -> str:
    """Where the course of a row's trainings lies."""
    return f"plots/training-{slug(*place)}.png"


def exposed_file(place: tuple[str, str, str]) -> str:
    """Where a row's most exposed members lie."""
    return f"plots/exposed-{slug(*place)}.png"


def real_caption(dataset: str) -> str:
    """What the sheet of real records shows; nobody shall take them for members."""
    return f"Real records of {dataset} that no target here was trained on: non-members, evenly spaced by record id"
