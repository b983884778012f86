"""Runs a graph of steps on a Dask cluster: a local one with one single-threaded worker per core, or any other."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from bench.plan.graph import Step
from bench.steps.execute import execute
from bench.steps.task import Outcome, Task
from bench.store import Store

TOPIC = "leakboard-progress"
CONNECT_TIMEOUT = "20s"


class Listener(Protocol):
    """Somebody who watches a run."""

    def step_progress(self, step_id: str, done: int, total: int) -> None:
        """A running step got so far."""

    def step_ended(self, outcome: Outcome) -> None:
        """A step ended."""


def run_steps(
    steps: Sequence[Step],
    store_root: Path,
    listener: Listener,
    *,
    workers: int,
    cluster: str | None = None,
    priority: Callable[[Step], float] = lambda step: 0.0,
) -> list[Outcome]:
    """Run these steps, each after the ones before it; outcomes in the order in which they ended.

    Args:
        steps: in an order in which each follows its inputs; inputs that are not among them are in the store.
        store_root: the store; every worker must see it under this path.
        workers: workers of the local cluster; ignored with ``cluster``.
        cluster: address of a Dask scheduler to use instead.
        priority: steps with a larger number start first where there is a choice.

    Raises:
        InputError: the cluster cannot be reached.
    """
    if not steps:
        return []
    from distributed import as_completed

    outcomes: list[Outcome] = []
    with _client(workers, cluster) as client:
        client.subscribe_topic(TOPIC, lambda event: _heard(event, listener))
        futures: dict[str, Any] = {}
        for step in steps:
            before = [futures[b.id] for b in step.before() if b.id in futures]
            futures[step.id] = client.submit(
                work,
                Task.of(step),
                str(store_root),
                *before,
                key=step.id,
                pure=False,
                priority=priority(step),
            )
        labels = {future.key: step for step, future in zip(steps, futures.values(), strict=True)}
        for future in as_completed(list(futures.values())):
            step = labels[future.key]
            if future.status == "finished":
                outcome = future.result()
            else:  # the worker itself died, several times over
                outcome = _died(step, future.exception(), Store(store_root))
            outcomes.append(outcome)
            listener.step_ended(outcome)
    return outcomes


def _died(step: Step, error: Any, store: Store) -> Outcome:
    """The outcome of a step whose worker process was killed, and of those that waited for it."""
    if getattr(error, "task", step.id) != step.id:
        return Outcome(step.kind, step.key, step.label, "skipped", "a step before it killed its worker process")
    reason = f"the worker process died, perhaps for lack of memory: {error}"
    store.note_failure(step.kind, step.key, reason)
    return Outcome(step.kind, step.key, step.label, "failed", reason)


def work(task: Task, store_root: str, *upstream: Outcome) -> Outcome:
    """One step on a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    index = worker.name if isinstance(worker.name, int) else 0

    def progress(done: int, total: int) -> None:
        worker.log_event(TOPIC, {"step": f"{task.kind}-{task.key}", "done": done, "total": total})

    return execute(task, Path(store_root), upstream, index, progress)


def _heard(event: Any, listener: Listener) -> None:
    message = event[1]
    listener.step_progress(message["step"], message["done"], message["total"])


@contextmanager
def _client(workers: int, address: str | None) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    from bench.errors import InputError

    if address is not None:
        try:
            remote = Client(address, timeout=CONNECT_TIMEOUT)
        except (OSError, ValueError) as error:
            raise InputError(f"expected a Dask scheduler at {address}, could not reach one: {error}") from error
        with remote:
            yield remote
        return
    settings = {
        # No queue on the scheduler: with one, steps start in the order in which they were submitted, not by priority.
        "distributed.scheduler.worker-saturation": "inf",
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        # Dask asks the allocator to give memory back at once, which made training a third slower here: per-record
        # gradients take and free the same large blocks at every step.
        "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": str(1 << 32),
        "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": str(1 << 25),
        "distributed.admin.large-graph-warning-threshold": "1GB",
    }
    with (
        dask.config.set(settings),
        # One thread each: trainings on shared threads fight for the cores. Logs are silent because tasks return their
        # failures, and an interrupt would print a traceback per worker.
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0,
            silence_logs="CRITICAL",
        ) as local,
        Client(local) as client,
    ):  # fmt: skip
        client.run(_ignore_interrupt)
        yield client


def _ignore_interrupt() -> None:
    """A terminal sends Ctrl-C to the workers too; the planning process answers it and stops them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
