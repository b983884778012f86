"""The ``preflight`` step: does a target train under a defense at all, and what does one step cost?"""

from __future__ import annotations

import time
from dataclasses import replace

from bench.errors import IncompatibleError
from bench.steps.task import Job
from bench.steps.train import request_of
from bench.store import COST, write_json
from targets.training import TrainingRequest, train

TIMED_STEPS = 4


def compute(job: Job) -> None:
    """Run a few real training steps; an incompatible pair is a finding, not a failure.

    The seconds per step go into the cost file, which the plan's estimate reads.
    """
    request = replace(_request(job), snapshot_records=0, progress=None)
    try:
        for steps in (1, 1 + TIMED_STEPS):  # what is found once per process (a noise multiplier) is no cost of a step
            _timed(request, steps)
        once = _timed(request, 1)
        more = _timed(request, 1 + TIMED_STEPS)
    except IncompatibleError as error:
        write_json(job.folder / "result.json", {"compatible": False, "reason": str(error)})
        return
    write_json(job.folder / "result.json", {"compatible": True, "reason": ""})
    write_json(job.folder / COST, {"step_s": max(1e-6, (more - once) / TIMED_STEPS), "start_s": once})


def _request(job: Job) -> TrainingRequest:
    config = {**job.task.config, "seed": 0, "records": {"source": "members"}, "snapshot_records": 0}
    return request_of(replace(job, task=replace(job.task, config=config)))


def _timed(request: TrainingRequest, steps: int) -> float:
    target = type(request.target).from_spec({**request.target.spec(), "steps": steps})
    start = time.perf_counter()
    train(replace(request, target=target))
    request.device.synchronize()
    return time.perf_counter() - start
