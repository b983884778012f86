"""``bench run``: the whole path from a matrix to a leaderboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import DeviceOption, MatrixArgument, OnlyOption, Planned, ResultsOption, duration, make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.board.write import Marking
    from bench.plan.graph import Step
    from bench.results import Cell, Results, Trial


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
    only: OnlyOption = None,
) -> None:
    """Train, attack and measure everything in a matrix, and write the leaderboard.

    What is stored already is not done again, so the same command goes on after an interruption. With --only, the
    undefended row of the same data set and target is computed too, since a defended one is read beside it; the board
    has the other rows as far as they are stored, and the exit code speaks of the chosen rows alone.

    Examples:

      bench run matrix.yaml

      bench run matrix.yaml --workers 1

      bench run matrix.yaml --only 'digits/dcgan/dropout'

      bench run matrix.yaml --cluster tcp://scheduler:8786 --results /mnt/results
    """
    from bench.plan.status import new_steps, step_states
    from bench.steps.data import store_data

    planned = make_plan(matrix, results, device, only or ())
    asked = planned.asked()
    for data in asked.data.values():
        store_data(data, planned.store)
    steps = new_steps(asked, step_states(asked, planned.store))
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


def finish(planned: Planned, keep_current: bool = False, compared: Marking | None = None) -> int:
    """Write the board, print it, and return the exit code, which speaks of the rows that were asked for.

    1 if a cell or trial failed or an audit refutes a claim of differential privacy, else 3 if one is missing.

    Args:
        keep_current: leave a board that is still what the results give.
        compared: for marks on the page, see ``write_board``.
    """
    from bench.board.current import TEXT, is_current, noted_violations
    from bench.collect import collect

    found = collect(planned.resolved, planned.plan, planned.store)
    if keep_current and is_current(found, planned.folder):
        print((planned.folder / TEXT).read_text("utf-8"))
        violations = noted_violations(planned.folder)
    else:
        violations = _write(found, planned.folder, compared)
    print(f"\nThe board: {planned.folder / 'index.html'}")
    trials = [trial for trial in found.trials if _asked(planned, trial)]
    cells = [cell for cell in found.cells if _asked(planned, cell)]
    snapshots = [cell for cell in found.snapshots if _asked(planned, cell)]
    if planned.rows is not None:
        labels = tuple(f"{' / '.join(row)}: " for row in planned.rows)
        violations = tuple(line for line in violations if line.startswith(labels))
    failed = [f"{t.dataset}/{t.target}/{t.defense}/{t.seed}: {t.reason}" for t in trials if t.status == "failed"]
    failed += [
        f"{c.dataset}/{c.target}/{c.defense}/{c.seed}/{c.attack}: {c.reason}"
        for c in (*cells, *snapshots)
        if c.status == "failed"
    ]
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    for line in violations:
        print(f"dp_violation: {line}", file=sys.stderr)
    absent = planned.asked().absent
    for each in absent:
        print(f"data set {each.label} is not here: {each.reason}", file=sys.stderr)
    missing = sum(trial.status == "missing" for trial in trials) + sum(cell.status == "missing" for cell in cells)
    if missing and not failed and not absent:
        print(f"{missing} trials and cells have not been run; `bench run` makes them", file=sys.stderr)
    return 1 if failed or violations else 3 if missing else 0


def _asked(planned: Planned, each: Trial | Cell) -> bool:
    return planned.rows is None or (each.dataset, each.target, each.defense) in planned.rows


def _write(found: Results, folder: Path, compared: Marking | None) -> tuple[str, ...]:
    """Write and print the board; the claims that its audit refutes."""
    from bench.board.current import TEXT_WIDTH
    from bench.board.rows import build
    from bench.board.terminal import leaderboard_text
    from bench.board.write import write_board

    board = build(found)
    write_board(board, folder, compared)
    terminal = sys.stdout.isatty()
    print(leaderboard_text(board, width=None if terminal else TEXT_WIDTH, colour=terminal))
    return board.violations
