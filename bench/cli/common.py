"""Arguments and look-ups that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.devices import KINDS
from bench.errors import InputError

if TYPE_CHECKING:
    from bench.matrix import ResolvedMatrix
    from bench.plan.graph import Plan
    from bench.store import Store

MatrixArgument = Annotated[Path, typer.Argument(help="The matrix file.", show_default=False)]
ResultsOption = Annotated[Path, typer.Option("--results", help="Folder of results; the store lies in it.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="cpu, cuda or mps, in place of the matrix's own.", show_default=False),
]


@dataclass(frozen=True)
class Planned:
    """A matrix, its graph, and where its results go."""

    resolved: ResolvedMatrix
    plan: Plan
    store: Store
    folder: Path


def make_plan(matrix: Path, results: Path, device: str | None = None) -> Planned:
    """Read a matrix and plan it; nothing is computed or written."""
    from bench.matrix import load_matrix
    from bench.plan.build import build_plan
    from bench.store import Store

    resolved = load_matrix(matrix)
    folder = results / resolved.matrix.name
    if device is not None and device != resolved.matrix.device:
        if device not in KINDS:
            raise InputError(f"--device: expected one of {', '.join(KINDS)}, got {device!r}")
        resolved = replace(resolved, matrix=resolved.matrix.model_copy(update={"device": device}))
        folder = results / f"{resolved.matrix.name}-{device}"  # other arithmetic, other results
    return Planned(resolved, build_plan(resolved), Store(results.resolve() / ".store"), folder)


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(75)
    '1:15'
    """
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
