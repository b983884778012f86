"""``bench verify``: whether a published board says what its scores say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import InputError

if TYPE_CHECKING:
    from bench.published.read import Published
    from bench.results import Results
    from bench.verify.report import Report

SHOWN = 50  # problems that are printed; one wrong setting makes thousands
LONGEST = 2000  # characters of a line, which may quote a long text


def verify(
    results: Annotated[
        Path, typer.Argument(help="A board's folder, a baseline's folder, or a bundle (.zip).", show_default=False)
    ],
    rerun: Annotated[
        int, typer.Option("--rerun", min=0, help="Train so many cells again, drawn at random, and compare.")
    ] = 0,
    matrix: Annotated[
        Path | None,
        typer.Option("--matrix", help="Your own copy of the matrix, for --rerun.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, help="Of the draw of cells for --rerun; a fresh one if not given.", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Workers for --rerun; one per core if not given.", show_default=False),
    ] = None,
) -> None:
    """Compute every number of a board again from its stored scores, and check hashes, records and stamps.

    Nothing that comes with a board is executed or unpickled. Exit code 1 if anything is wrong.

    Examples:

      bench verify results/quickstart

      bench verify quickstart.zip

      bench verify results/quickstart --rerun 3 --matrix matrix.yaml
    """
    from bench.published.open import open_results

    if rerun and matrix is None:
        raise InputError("--rerun: expected --matrix with your own copy of the matrix: a bundle's is never run")
    with open_results(results) as published:
        from bench.verify.check import verify as check

        report, found = check(published)
        if rerun and matrix is not None:
            if found is None:
                report.note("nothing was trained again, since the scores to compare with cannot be read")
            else:
                _rerun(published, found, report, matrix, rerun, seed, workers)
    for line in report.notes:
        print(f"note: {printable(line)}")
    if report.problems:
        print_problems(results, report)
        sys.exit(1)
    print(f"{results}: verified ({report.counted})")


def print_problems(results: Path, report: Report) -> None:
    """What is wrong with a board, to the error stream."""
    for line in report.problems[:SHOWN]:
        print(f"wrong: {printable(line)}", file=sys.stderr)
    if len(report.problems) > SHOWN:
        print(f"wrong: and {len(report.problems) - SHOWN} more", file=sys.stderr)
    print(f"{results}: {len(report.problems)} problems ({report.counted} checked)", file=sys.stderr)


def printable(line: str) -> str:
    """A line whose text may come from anybody, with what could steer a terminal written out.

    >>> printable("all well\x1b[2J")
    'all well\\\\x1b[2J'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)[:LONGEST]


def _rerun(
    published: Published,
    found: Results,
    report: Report,
    matrix: Path,
    count: int,
    seed: int | None,
    workers: int | None,
) -> None:
    """Train drawn cells again in a store of their own, which is gone afterwards."""
    import secrets
    import tempfile

    from bench.cli.common import Planned
    from bench.cli.run import compute
    from bench.collect import collect
    from bench.plan.build import build_plan
    from bench.steps.data import store_data
    from bench.store import Store
    from bench.verify import rerun

    resolved = rerun.load_same(matrix, found)
    plan = build_plan(resolved)
    if seed is None:
        # Whoever made the board must not know which cells will be drawn.
        seed = secrets.randbelow(1 << 32)
    print(f"The cells to run again are drawn with --seed {seed}", flush=True)
    drawn = rerun.draw(found, count, seed)
    with tempfile.TemporaryDirectory(prefix="rerun-") as scratch:
        planned = Planned(resolved, plan, Store(Path(scratch) / ".store"), Path(scratch))
        rerun.check_same(collect(resolved, plan, planned.store), found)
        steps = rerun.steps_behind(plan, rerun.planned(plan, drawn))
        for data in plan.data.values():
            store_data(data, planned.store)
        compute(planned, steps, workers, None)
        again = collect(resolved, plan, planned.store)
    rerun.compare(found, again, drawn, report)
