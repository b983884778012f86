"""``bench board`` and ``bench digest``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import DeviceOption, MatrixArgument, ResultsOption, make_plan
from bench.errors import MissingError


def board(
    matrix: MatrixArgument,
    results: ResultsOption = Path("results"),
    device: DeviceOption = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Also write the board's data as one zip, to pass on.", show_default=False),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", help="Also write the small part that `bench compare` reads to a folder.", show_default=False
        ),
    ] = None,
) -> None:
    """Write the leaderboard again from what is stored, without computing anything.

    Examples:

      bench board matrix.yaml

      bench board matrix.yaml --bundle quickstart.zip

      bench board matrix.yaml --baseline results/baseline
    """
    from bench.cli.run import finish

    planned = make_plan(matrix, results, device)
    if not any(planned.store.find(step.kind, step.key) for step in planned.plan.steps if step.kind == "train"):
        raise MissingError(f"nothing of {matrix} is stored in {results}: run `bench run {matrix}` first")
    code = finish(planned)
    if bundle is not None or baseline is not None:
        from bench.board.bundle import write_baseline, write_bundle

        if bundle is not None:
            print(f"The bundle: {bundle} ({write_bundle(planned.folder, bundle)} files)")
        if baseline is not None:
            print(f"The baseline: {baseline} ({write_baseline(planned.folder, baseline)} files)")
    sys.exit(code)


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
