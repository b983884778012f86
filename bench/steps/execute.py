"""Runs one step where the runner put it: checks what is there, computes, stores, and never raises."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from bench.devices import DEFAULT, of_worker, single_thread
from bench.errors import BenchError
from bench.plan.findings import finding
from bench.steps.measure import Meter
from bench.steps.task import Job, Outcome, Progress, Task
from bench.store import COST, Store, write_json

# Kind -> module with ``compute(job)``; imported in the worker, so planning stays free of torch.
_COMPUTE = {kind: f"bench.steps.{kind}" for kind in ("preflight", "train", "sample", "features", "quality", "attack")}


def execute(
    task: Task,
    store_root: Path,
    upstream: tuple[Outcome, ...] = (),
    worker: int = 0,
    progress: Progress | None = None,
) -> Outcome:
    """Run a step unless it is stored already or something before it did not come about.

    Args:
        upstream: outcomes of all steps that this one waits for.
        worker: number of the worker; where there are several GPUs it chooses one.
    """
    store = Store(store_root)

    def outcome(status: str, reason: str = "", trace: str = "", wall_s: float = 0.0) -> Outcome:
        return Outcome(task.kind, task.key, task.label, status, reason, trace, wall_s)  # type: ignore[arg-type]

    try:
        with store.lock(task.kind, task.key):
            found = store.find(task.kind, task.key)
            if found is not None and not store.damaged(found):
                return outcome("cached")
            if found is not None:
                store.remove(task.kind, task.key)
            if (reason := _obstacle(task, store, upstream)) is not None:
                return outcome("skipped", reason)
            single_thread()
            return outcome("done", wall_s=_compute(task, store, worker, progress or _silent))
    except Exception as error:  # a task returns its failure; the rest of the graph goes on
        reason = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        store.note_failure(task.kind, task.key, reason)
        return outcome("failed", reason, "" if isinstance(error, BenchError) else traceback.format_exc())


def _silent(done: int, total: int) -> None:
    return None


def _compute(task: Task, store: Store, worker: int, progress: Progress) -> float:
    precision = task.config.get("precision", "float32")
    device = of_worker(task.config.get("device", DEFAULT), worker)
    compute: Callable[[Job], None] = import_module(_COMPUTE[task.kind]).compute
    with store.write(task.kind, task.key) as folder:
        with Meter(device) as meter:
            compute(Job(task, store, folder, device, progress))
            extra = json.loads((folder / COST).read_text("utf-8")) if (folder / COST).is_file() else {}
        write_json(folder / COST, {**meter.cost(task.work, precision), **extra, "profile": task.profile})
    store.clear_failure(task.kind, task.key)
    return meter.wall_s


def _obstacle(task: Task, store: Store, upstream: tuple[Outcome, ...]) -> str | None:
    """Why the step cannot run: something before it failed, was found incompatible, or diverged."""
    for before in upstream:
        if not before.ok:
            return before.reason if before.status == "skipped" else f"{before.label} failed: {before.reason}"
    if task.gate is not None and (reason := finding(store, *task.gate)) is not None:
        return reason
    for role, (kind, key) in task.inputs.items():
        if (reason := finding(store, kind, key)) is not None:
            return f"the attack's own model {role.removeprefix('model/')}: {reason}" if "/" in role else reason
    return None
