"""How long a run would take and how much memory, from preflights and from what past steps cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.plan.graph import Step
from bench.store import Store
from targets.base import SNAPSHOTS


@dataclass(frozen=True)
class Estimate:
    """What some steps would take.

    Attributes:
        wall_s: seconds on the asked number of workers; None when nothing could be estimated.
        unchecked: steps that nothing is known about yet.
        peak_mem_mib: workers times the most that one such step has needed; None when unknown.
    """

    wall_s: float | None
    unchecked: int
    peak_mem_mib: float | None


class History:
    """What stored steps of each profile cost."""

    def __init__(self, store: Store, steps: Sequence[Step]) -> None:
        self.per_item: dict[str, list[float]] = {}
        self.memory: dict[str, list[float]] = {}
        wanted = {step.profile for step in steps}
        for cost in store.costs():
            if cost.get("profile") not in wanted:
                continue
            self.per_item.setdefault(cost["profile"], []).append(cost["wall_s"] / max(1, cost["items"]))
            if cost.get("peak_mem_mib"):
                self.memory.setdefault(cost["profile"], []).append(cost["peak_mem_mib"])
        self._gates = {
            step.gate.id: found.cost()
            for step in (*steps, *(up for step in steps for up in step.upstream.values()))
            if step.gate and (found := store.find(step.gate.kind, step.gate.key)) is not None
        }
        for step in steps:  # a few steps of training take about the memory of all
            tried = self._gates.get(step.gate.id) if step.gate else None
            if tried and tried.get("peak_mem_mib"):
                self.memory.setdefault(step.profile, []).append(tried["peak_mem_mib"])

    def seconds(self, step: Step) -> float | None:
        """Expected seconds of one step: by its training's preflight, else by steps of its profile; None: unchecked."""
        trained = step.upstream.get("train") if step.kind == "sample" else step
        gate = self._gates.get(trained.gate.id) if trained and trained.gate else None
        if gate and "step_s" in gate:
            if step.kind == "sample":
                return float(gate["record_s"] * step.work)
            snapshots = step.config["snapshot_records"] * SNAPSHOTS
            return float(gate["start_s"] + gate["step_s"] * step.work + gate["record_s"] * snapshots)
        known = self.per_item.get(step.profile)
        return median(known) * max(1, step.work) if known else None


def estimate(steps: Sequence[Step], store: Store, workers: int, history: History | None = None) -> Estimate:
    """Time and memory of these steps on ``workers`` workers.

    The wall time is the larger of the evenly shared work and the longest chain of steps.
    """
    history = history or History(store, steps)
    seconds = {step.id: history.seconds(step) for step in steps}
    known = [s for s in seconds.values() if s is not None]
    peaks = [max(m) for step in steps if (m := history.memory.get(step.profile))]
    wall = max(sum(known) / max(1, workers), _longest_chain(steps, seconds)) if known else None
    return Estimate(wall, len(seconds) - len(known), max(peaks) * workers if peaks else None)


def _longest_chain(steps: Sequence[Step], seconds: Mapping[str, float | None]) -> float:
    ends: dict[str, float] = {}
    for step in steps:
        ends[step.id] = (seconds[step.id] or 0.0) + max((ends.get(b.id, 0.0) for b in step.before()), default=0.0)
    return max(ends.values(), default=0.0)
