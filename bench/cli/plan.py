"""``bench plan``: what a run would do, without doing it."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import DeviceOption, MatrixArgument, ResultsOption, duration, make_plan


def plan(
    matrix: MatrixArgument,
    results: ResultsOption = Path("results"),
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Workers to estimate for.", show_default=False)
    ] = None,
    device: DeviceOption = None,
) -> None:
    """List the cells of a matrix: cached, new, not applicable or blocked, with reasons; and estimate the run.

    Examples:

      bench plan matrix.yaml

      bench plan matrix.yaml --workers 8
    """
    from bench.plan.estimate import estimate
    from bench.plan.status import cell_state, new_steps, step_states

    gc.disable()  # a large plan is many small objects, and the process ends with it
    planned = make_plan(matrix, results, device)
    states = step_states(planned.plan, planned.store)
    counts: Counter[str] = Counter()
    lines = []
    for cell in planned.plan.cells:
        state, reason = cell_state(cell, states)
        counts[state] += 1
        lines.append(f"{state:14} {cell.id}{f'  ({reason})' if reason else ''}")
    steps = new_steps(planned.plan, states)
    count = workers or (os.cpu_count() or 1)
    expected = estimate(steps, planned.store, count)
    print("\n".join(lines))
    print(f"\n{len(lines)} cells: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    kinds = Counter(step.kind for step in steps)
    print(f"{len(steps)} steps to do: " + (", ".join(f"{n} {kind}" for kind, n in kinds.items()) or "none"))
    models = sum(step.config["records"]["source"] != "members" for step in steps if step.kind == "train")
    if models:
        print(f"{models} of the trainings are models of the attacks")
    if not steps:
        return
    if expected.wall_s is None:
        print("time and memory: unchecked (no step of these kinds has run yet; `bench run` starts with preflights)")
        return
    memory = f"{expected.peak_mem_mib / 1024:.1f} GiB" if expected.peak_mem_mib else "unchecked"
    unknown = f", beside {expected.unchecked} steps unchecked" if expected.unchecked else ""
    print(f"time: about {duration(expected.wall_s)} on {count} workers{unknown}; memory: about {memory}")
