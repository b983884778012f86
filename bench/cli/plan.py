"""``bench plan``: what a run would do, without doing it."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import DeviceOption, MatrixArgument, OnlyOption, Planned, ResultsOption, duration, make_plan

if TYPE_CHECKING:
    from bench.plan.graph import Plan


def plan(
    matrix: MatrixArgument,
    results: ResultsOption = Path("results"),
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Workers to estimate for.", show_default=False)
    ] = None,
    device: DeviceOption = None,
    preflight: Annotated[
        bool, typer.Option("--preflight", help="Try every training for a few steps first, and estimate from that.")
    ] = False,
    only: OnlyOption = None,
) -> None:
    """List the cells of a matrix: cached, new, not applicable or blocked, with reasons; and estimate the run.

    With --only: those of the chosen rows, and of the undefended row that a defended one is read beside.

    Examples:

      bench plan matrix.yaml

      bench plan matrix.yaml --workers 8

      bench plan matrix.yaml --preflight

      bench plan matrix.yaml --only 'digits/*/none'
    """
    from bench.plan.estimate import estimate
    from bench.plan.status import cell_state, new_steps, pairs_apart, step_states

    gc.disable()  # a large plan is many small objects, and the process ends with it
    planned = make_plan(matrix, results, device, only or ())
    asked = planned.asked()
    if preflight:
        _try_trainings(planned, asked)
    states = step_states(asked, planned.store)
    counts: Counter[str] = Counter()
    lines = []
    for cell in asked.cells:
        state, reason = cell_state(cell, states)
        counts[state] += 1
        shown = f"  ({reason})" if reason and state != "no data" else ""
        lines.append(f"{state:14} {cell.id}{shown}")
    steps = new_steps(asked, states)
    count = workers or (os.cpu_count() or 1)
    expected = estimate(steps, planned.store, count)
    print("\n".join(lines))
    for absent in asked.absent:
        print(f"\ndata set {absent.label} is not here: {absent.reason}")
    if apart := pairs_apart(asked, states):
        print(f"\n{len(apart)} pairs of a target and a defense that do not go together:")
        print("\n".join(f"  {pair}: {reason}" for pair, reason in apart.items()))
    print(f"\n{len(lines)} cells: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    kinds = Counter(step.kind for step in steps)
    print(f"{len(steps)} steps to do: " + (", ".join(f"{n} {kind}" for kind, n in kinds.items()) or "none"))
    models = sum(step.config["records"]["source"] != "members" for step in steps if step.kind == "train")
    if models:
        print(f"{models} of the trainings are models of the attacks")
    if not steps:
        return
    if expected.wall_s is None:
        print("time and memory: unchecked (no step of these kinds has run yet; `bench plan --preflight` tries them)")
        return
    memory = f"{expected.peak_mem_mib / 1024:.1f} GiB" if expected.peak_mem_mib else "unchecked"
    unknown = f", beside {expected.unchecked} steps unchecked" if expected.unchecked else ""
    print(f"time: about {duration(expected.wall_s)} on {count} workers{unknown}; memory: about {memory}")


def _try_trainings(planned: Planned, asked: Plan) -> None:
    """Run the preflights, one at a time, so that what they measure is not shared with others."""
    from bench.cli.run import compute
    from bench.plan.status import step_states
    from bench.steps.data import store_data

    for data in asked.data.values():
        store_data(data, planned.store)
    states = step_states(asked, planned.store)
    steps = [s for s in asked.steps if s.kind == "preflight" and states[s.id].state == "new"]
    if steps:
        compute(planned, steps, workers=1, cluster=None)
