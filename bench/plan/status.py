"""What of a plan is stored already, what is new, and what cannot be, with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.plan.findings import DIVERGED, finding
from bench.plan.graph import Plan, PlannedCell, Step
from bench.store import Store

StepState = Literal["cached", "new", "blocked"]
CellState = Literal["cached", "new", "not applicable", "no data", "blocked", "diverged", "failed"]


@dataclass(frozen=True)
class State:
    """One step's state; ``reason`` says why it is blocked, or why it failed when it was last tried."""

    state: StepState
    reason: str = ""


def step_states(plan: Plan, store: Store) -> dict[str, State]:
    """State by step id; a step is blocked when anything before it found a reason."""
    states: dict[str, State] = {}
    failures = store.failures()
    ends: dict[str, str | None] = {}
    for step in plan.steps:
        reason = next(
            (found for role, up in _before(step) if (found := _obstacle(role, states[up.id], ends[up.id]))), None
        )
        if store.find(step.kind, step.key) is not None:
            states[step.id] = State("cached")
        elif reason is not None:
            states[step.id] = State("blocked", reason)
        else:
            states[step.id] = State("new", failures.get(step.id) or _inherited(step, states, failures))
        ends[step.id] = finding(store, step.kind, step.key) if states[step.id].state == "cached" else None
    return states


def _before(step: Step) -> list[tuple[str, Step]]:
    """Role and step of everything that must have run before."""
    return [*step.upstream.items(), *([("gate", step.gate)] if step.gate else [])]


def _obstacle(role: str, state: State, end: str | None) -> str | None:
    """What an earlier step found that stops this one; an attack's own model is not the trial."""
    reason = state.reason if state.state == "blocked" else end
    return f"the attack's own model {role.removeprefix('model/')}: {reason}" if reason and "/" in role else reason


def _inherited(step: Step, states: Mapping[str, State], failures: Mapping[str, str]) -> str:
    """The failure of an earlier step, which this one waits for."""
    for _, before in _before(step):
        state = states[before.id]
        if state.state == "new" and state.reason:
            return f"{before.label} failed: {state.reason}" if before.id in failures else state.reason
    return ""


def cell_state(cell: PlannedCell, states: Mapping[str, State]) -> tuple[CellState, str]:
    """State and reason of one cell.

    A control needs nothing of the trial, but its cell follows the trial, so that a row's cells end alike.
    """
    if cell.trial.absent:
        return "no data", cell.trial.absent
    if cell.trial.refused:
        return "not applicable", cell.trial.refused
    if cell.not_applicable or cell.step is None:
        return "not applicable", cell.not_applicable
    for step in (cell.trial.steps["sample"], cell.step):
        state = states[step.id]
        if state.state == "blocked":
            return ("diverged" if state.reason.startswith(DIVERGED) else "blocked"), state.reason
    for step in (*cell.models, cell.trial.steps["train"], cell.trial.steps["sample"], cell.step):
        state = states[step.id]
        if state.state == "new" and state.reason:
            return "failed", f"failed when last tried, will be tried again: {state.reason}"
    if states[cell.step.id].state == "cached" and states[cell.trial.steps["sample"].id].state == "cached":
        return "cached", ""
    return "new", ""


def pairs_apart(plan: Plan, states: Mapping[str, State]) -> dict[str, str]:
    """``data set/target/defense`` -> why the two do not go together: known beforehand, or found by a preflight."""
    found: dict[str, str] = {}
    for trial in plan.trials:
        blocked = states[trial.steps["train"].id] if "train" in trial.steps else State("new")
        if reason := trial.refused or (blocked.reason if blocked.state == "blocked" else ""):
            found[f"{trial.dataset}/{trial.target}/{trial.defense}"] = reason
    return found


def new_steps(plan: Plan, states: Mapping[str, State]) -> list[Step]:
    """The steps that a run would do, in an order in which each follows its inputs.

    A stored step's missing inputs are not made again: what it says is already known.
    """
    needed: set[str] = set()
    for step in reversed(plan.steps):
        wanted = step.id in needed or _is_end(step)
        if wanted and states[step.id].state == "new":
            needed.add(step.id)
            needed.update(before.id for before in step.before())
    return [step for step in plan.steps if step.id in needed and states[step.id].state == "new" and step.kind != "data"]


def _is_end(step: Step) -> bool:
    """Steps whose results the board reads itself; others are made only for those."""
    return step.kind in ("attack", "quality", "train", "sample")
