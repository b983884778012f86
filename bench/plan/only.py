"""A plan cut down to some rows of the leaderboard, and what must be computed for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.errors import InputError
from bench.plan.build import UNDEFENDED
from bench.plan.graph import Plan, PlannedTrial, Step
from bench.registry import did_you_mean

Place = tuple[str, str, str]
"""Data set, target and defense of a row."""


def place(trial: PlannedTrial) -> Place:
    """The row of the leaderboard that a trial belongs to."""
    return trial.dataset, trial.target, trial.defense


def chosen_rows(plan: Plan, patterns: Sequence[str]) -> tuple[Place, ...]:
    """The rows that patterns name, in the plan's order.

    Args:
        patterns: ``dataset/target/defense`` as tables show them, where ``*`` stands for any text; no other character is
            special, since labels hold brackets and slashes themselves. What is the text of a row, letter by letter,
            names that row alone, also where a label holds a ``*``; rows of one text are chosen together.

    Raises:
        InputError: a pattern names no row; all such patterns at once, with the rows that there are.
    """
    rows: dict[str, list[Place]] = {}
    for found in dict.fromkeys(place(trial) for trial in plan.trials):
        rows.setdefault("/".join(found), []).append(found)
    chosen: set[Place] = set()
    problems = []
    for pattern in patterns:
        wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
        matched = [pattern] if pattern in rows else [label for label in rows if wanted.fullmatch(label)]
        if not matched:
            problems.append(f"--only: expected a row of the matrix, got {pattern!r}{did_you_mean(pattern, rows)}")
        chosen.update(found for label in matched for found in rows[label])
    if problems:
        listed = "".join(f"\n  {label}" for label in rows)
        raise InputError([*problems, f"the rows are (use * for any text):{listed}"])
    return tuple(dict.fromkeys(place(trial) for trial in plan.trials if place(trial) in chosen))


def narrowed(plan: Plan, rows: Iterable[Place]) -> Plan:
    """The plan of these rows and of what they are read beside, with the keys that the whole one gives their steps.

    It has their trials, attacks, controls, attacks on snapshots and reference lines, the models that their attacks ask
    for, and no step that none of these needs. With a defended row comes all of this of the undefended one of the same
    data set and target, if the plan has one: the figure at equal KID and the check whether the defense changes anything
    are read from it.
    """
    chosen = set(rows)
    kept = chosen | {(dataset, target, UNDEFENDED) for dataset, target, _ in chosen}
    trials = tuple(trial for trial in plan.trials if place(trial) in kept)
    cells = tuple(cell for cell in plan.cells if place(cell.trial) in kept)
    snapshots = tuple(cell for cell in plan.snapshots if place(cell.trial) in kept)
    lines = tuple(line for line in plan.lines if any((line.dataset, line.target) == row[:2] for row in kept))
    datasets = {row[0] for row in kept}
    ends = [
        *(step for trial in trials for step in trial.steps.values()),
        *(step for line in lines for step in line.steps.values()),
        *(cell.step for cell in (*cells, *snapshots) if cell.step is not None),
    ]
    return replace(
        plan,
        data={label: data for label, data in plan.data.items() if label in datasets},
        absent=tuple(absent for absent in plan.absent if absent.label in datasets),
        trials=trials,
        cells=cells,
        snapshots=snapshots,
        lines=lines,
        steps=steps_behind(plan, ends),
    )


def steps_behind(plan: Plan, ends: Iterable[Step]) -> tuple[Step, ...]:
    """These steps and all that must have run before them, in the plan's order."""
    wanted: set[str] = set()
    ahead = list(ends)
    while ahead:
        step = ahead.pop()
        if step.id not in wanted:
            wanted.add(step.id)
            ahead += step.before()
    return tuple(step for step in plan.steps if step.id in wanted)
