"""Arguments and look-ups that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.devices import KINDS
from bench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.matrix import ResolvedMatrix
    from bench.plan.graph import Plan
    from bench.store import Store

MatrixArgument = Annotated[Path, typer.Argument(help="The matrix file.", show_default=False)]
ResultsOption = Annotated[Path, typer.Option("--results", help="Folder of results; the store lies in it.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="cpu, cuda or mps, in place of the matrix's own.", show_default=False),
]

OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="DATASET/TARGET/DEFENSE",
        help="This row alone, as tables call it, with the undefended row that it is read beside; * stands for any "
        "text; may be given often.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Planned:
    """A matrix, its graph, and where its results go.

    Attributes:
        rows: what ``--only`` chose, by data set, target and defense; None: every row.
    """

    resolved: ResolvedMatrix
    plan: Plan
    store: Store
    folder: Path
    rows: tuple[tuple[str, str, str], ...] | None = None

    def asked(self) -> Plan:
        """The part of the plan to do: all of it, or that of the chosen rows and the undefended ones beside them."""
        from bench.plan.only import narrowed

        return self.plan if self.rows is None else narrowed(self.plan, self.rows)


def make_plan(matrix: Path, results: Path, device: str | None = None, only: Sequence[str] = ()) -> Planned:
    """Read a matrix and plan it; nothing is computed or written."""
    from bench.matrix import load_matrix
    from bench.plan.build import build_plan
    from bench.plan.only import chosen_rows
    from bench.store import Store

    resolved = load_matrix(matrix)
    folder = results / resolved.matrix.name
    if device is not None and device != resolved.matrix.device:
        if device not in KINDS:
            raise InputError(f"--device: expected one of {', '.join(KINDS)}, got {device!r}")
        resolved = replace(resolved, matrix=resolved.matrix.model_copy(update={"device": device}))
        folder = results / f"{resolved.matrix.name}-{device}"  # other arithmetic, other results
    plan = build_plan(resolved)
    rows = chosen_rows(plan, only) if only else None
    return Planned(resolved, plan, Store(results.resolve() / ".store"), folder, rows)


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(75)
    '1:15'
    """
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
