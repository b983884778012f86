"""``bench run``: the whole path from a matrix to a leaderboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import DeviceOption, MatrixArgument, Planned, ResultsOption, duration, make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan.graph import Step
    from bench.results import Results


def run(
    matrix: MatrixArgument,
    results: ResultsOption = Path("results"),
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Workers, one thread each; one per core or GPU if not given.",
            show_default=False,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            help="Address of a Dask scheduler to run on; its workers must see the results folder.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Train, attack and measure everything in a matrix, and write the leaderboard.

    What is stored already is not done again, so the same command goes on after an interruption.

    Examples:

      bench run matrix.yaml

      bench run matrix.yaml --workers 1

      bench run matrix.yaml --cluster tcp://scheduler:8786 --results /mnt/results
    """
    from bench.plan.status import new_steps, step_states
    from bench.steps.data import store_data

    planned = make_plan(matrix, results, device)
    for data in planned.plan.data.values():
        store_data(data, planned.store)
    steps = new_steps(planned.plan, step_states(planned.plan, planned.store))
    if steps:
        compute(planned, steps, workers, cluster)
    else:
        print("everything is stored already; nothing to compute", file=sys.stderr)
    sys.exit(finish(planned, keep_current=not steps))


def compute(planned: Planned, steps: Sequence[Step], workers: int | None, cluster: str | None) -> None:
    """Run steps of a plan with live progress; Ctrl-C ends the process with code 130."""
    from bench.cli.progress import Progress
    from bench.devices import default_workers, require
    from bench.plan.estimate import History, estimate
    from bench.runner import run_steps

    kind = planned.resolved.matrix.device
    if cluster is None:
        require(kind)
    count = workers or default_workers(kind)
    history = History(planned.store, steps)
    expected = estimate(steps, planned.store, count, history)
    about = f", about {duration(expected.wall_s)}" if expected.wall_s and not expected.unchecked else ""
    print(f"{len(steps)} steps to do on {cluster or f'{count} workers'}{about}", file=sys.stderr)
    progress = Progress(steps, planned.store, count)
    try:
        run_steps(steps, planned.store.root, progress, workers=count, cluster=cluster, priority=_priority)
    except KeyboardInterrupt:
        progress.close()
        print("bench: interrupted; what was finished is kept, run the same command to go on", file=sys.stderr)
        sys.exit(130)
    finally:
        progress.close()


def _priority(step: Step) -> float:
    """Preflights first, since the estimate rests on them; then long trainings, so that none ends the run alone."""
    if step.kind == "preflight":
        return 1e9
    return float(step.work) if step.kind == "train" else 0.0


def finish(planned: Planned, keep_current: bool = False) -> int:
    """Write the board, print it, and return the exit code.

    1 if a cell or trial failed or an audit refutes a claim of differential privacy, else 3 if one is missing.

    Args:
        keep_current: leave a board that is still what the results give.
    """
    from bench.board.current import TEXT, is_current, noted_violations
    from bench.collect import collect

    found = collect(planned.resolved, planned.plan, planned.store)
    if keep_current and is_current(found, planned.folder):
        print((planned.folder / TEXT).read_text("utf-8"))
        violations = noted_violations(planned.folder)
    else:
        violations = _write(found, planned.folder)
    print(f"\nThe board: {planned.folder / 'index.html'}")
    failed = [f"{t.dataset}/{t.target}/{t.defense}/{t.seed}: {t.reason}" for t in found.trials if t.status == "failed"]
    failed += [
        f"{c.dataset}/{c.target}/{c.defense}/{c.seed}/{c.attack}: {c.reason}"
        for c in (*found.cells, *found.snapshots)
        if c.status == "failed"
    ]
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    for line in violations:
        print(f"dp_violation: {line}", file=sys.stderr)
    for absent in planned.plan.absent:
        print(f"data set {absent.label} is not here: {absent.reason}", file=sys.stderr)
    missing = [t for t in found.trials if t.status == "missing"] + [c for c in found.cells if c.status == "missing"]
    if missing and not failed and not planned.plan.absent:
        print(f"{len(missing)} trials and cells have not been run; `bench run` makes them", file=sys.stderr)
    return 1 if failed or violations else 3 if missing else 0


def _write(found: Results, folder: Path) -> tuple[str, ...]:
    """Write and print the board; the claims that its audit refutes."""
    from bench.board.current import TEXT_WIDTH
    from bench.board.rows import build
    from bench.board.terminal import leaderboard_text
    from bench.board.write import write_board

    board = build(found)
    write_board(board, folder)
    terminal = sys.stdout.isatty()
    print(leaderboard_text(board, width=None if terminal else TEXT_WIDTH, colour=terminal))
    return board.violations
