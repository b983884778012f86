"""``bench show``: where a cell's number comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import DeviceOption, ResultsOption, make_plan
from bench.errors import InputError, MissingError

if TYPE_CHECKING:
    from bench.plan.graph import Step
    from bench.store import Store


def show(
    cell: Annotated[str, typer.Argument(help="A cell as `bench plan` prints it: dataset/target/defense/seed/attack.")],
    matrix: Annotated[Path, typer.Option("--matrix", help="The matrix file that the cell belongs to.")] = Path(
        "matrix.yaml"
    ),
    results: ResultsOption = Path("results"),
    device: DeviceOption = None,
) -> None:
    """Show where a cell's number comes from: its figure, every step behind it, and where their files lie.

    Examples:

      bench show mnist5k/dcgan/none/0/logan_white_box
    """
    from bench.plan.status import cell_state, step_states
    from bench.registry import did_you_mean

    planned = make_plan(matrix, results, device)
    cells = {c.id: c for c in planned.plan.cells}
    matching = [c for name, c in cells.items() if cell in (name, _short(name))]
    if len(matching) != 1:
        which = f"{len(matching)} cells are called that" if matching else "there is no such cell in " + str(matrix)
        raise InputError(f"{cell}: {which}{did_you_mean(cell, cells)}; `bench plan {matrix}` lists all cells")
    found = matching[0]
    state, reason = cell_state(found, step_states(planned.plan, planned.store))
    print(f"{found.id}: {state}{f' ({reason})' if reason else ''}")
    attack = found.attack
    print(f"{attack.summary()}\n  source: {attack.paper or 'this suite'}")
    print(f"  access: {attack.access}, knowledge: {attack.knowledge}")
    if found.step is None:
        return
    if state == "cached":
        _figure(found.step, planned.store)
    print("\nsteps, last first:")
    _chain(found.step, planned.store)
    if state != "cached":
        raise MissingError(f"{found.id} has no figure yet: {reason or 'it has not been run'}; run `bench run {matrix}`")


def _short(cell: str) -> str:
    """A cell's id with plain names, options left out, so that it can be typed."""
    import re

    return re.sub(r"\([^()]*\)", "", cell)


def _figure(step: Step, store: Store) -> None:
    from bench.metrics.privacy import accuracy
    from bench.metrics.roc import auc

    artifact = store.find(step.kind, step.key)
    if artifact is None:
        return
    arrays = artifact.arrays("scores.npz")
    members = int(arrays["membership"].sum())
    print(
        f"  AUC {auc(arrays['score'], arrays['membership']):.4f}, LOGAN accuracy "
        f"{accuracy(arrays['score'], arrays['membership']):.4f} (chance {members / len(arrays['membership']):.4f}), "
        f"{members} members, {len(arrays['membership']) - members} non-members"
    )
    for name, value in artifact.json("result.json")["diagnostics"].items():
        print(f"  {name} {value:.4g}")


def _chain(step: Step, store: Store) -> None:
    """Every step behind this one, each once, nearest first."""
    queue, seen = [step], set()
    while queue:
        current = queue.pop(0)
        if current.id in seen:
            continue
        seen.add(current.id)
        artifact = store.find(current.kind, current.key)
        place = artifact.folder if artifact else "not stored"
        print(f"  {current.label}\n    key {current.key}\n    {place}")
        print(f"    {json.dumps(dict(current.config), sort_keys=True)}")
        queue += current.before()
