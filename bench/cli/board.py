"""``bench board`` and ``bench digest``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import DeviceOption, MatrixArgument, ResultsOption, make_plan
from bench.errors import MissingError


def board(matrix: MatrixArgument, results: ResultsOption = Path("results"), device: DeviceOption = None) -> None:
    """Write the leaderboard again from what is stored, without computing anything.

    Examples:

      bench board matrix.yaml
    """
    from bench.cli.run import finish

    planned = make_plan(matrix, results, device)
    if not any(planned.store.find(step.kind, step.key) for step in planned.plan.steps if step.kind == "train"):
        raise MissingError(f"nothing of {matrix} is stored in {results}: run `bench run {matrix}` first")
    sys.exit(finish(planned))


def digest(
    folder: Annotated[
        Path, typer.Argument(help="A folder with a board, such as results/quickstart.", show_default=False)
    ],
) -> None:
    """Print one hash of everything that a run found, leaving out what may differ between equal runs (time, memory).

    Examples:

      bench digest results/quickstart
    """
    from bench.board.digest import digest as compute

    if not (folder / "leaderboard.json").is_file():
        raise MissingError(f"{folder}: expected a board there, found none; write one with `bench run` or `bench board`")
    print(compute(folder))
