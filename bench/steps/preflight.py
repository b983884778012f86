"""The ``preflight`` step: does a target train under a defense at all, and what does one step cost?"""

from __future__ import annotations

import time
from dataclasses import replace

from bench.errors import IncompatibleError
from bench.steps.task import Job
from bench.steps.train import request_of
from bench.store import COST, write_json
from targets.base import Networks, Target
from targets.training import TrainingRequest, generate, train

TIMED_STEPS = 4
TIMED_RECORDS = 50


def compute(job: Job) -> None:
    """Run a few real training steps; an incompatible pair is a finding, not a failure.

    The seconds per step go into the cost file, which the plan's estimate reads.
    """
    try:
        request = replace(_request(job), snapshot_records=0, progress=None)
        for steps in (1, 1 + TIMED_STEPS):  # what is found once per process (a noise multiplier) is no cost of a step
            _timed(request, steps)
        once, _ = _timed(request, 1)
        more, networks = _timed(request, 1 + TIMED_STEPS)
    except IncompatibleError as error:
        write_json(job.folder / "result.json", {"compatible": False, "reason": str(error)})
        return
    write_json(job.folder / "result.json", {"compatible": True, "reason": ""})
    step_s, record_s = max(1e-6, (more - once) / TIMED_STEPS), _timed_sampling(request, networks)
    write_json(job.folder / COST, {"step_s": step_s, "start_s": once, "record_s": record_s})


def _request(job: Job) -> TrainingRequest:
    config = {**job.task.config, "seed": 0, "records": {"source": "members"}, "snapshot_records": 0}
    return request_of(replace(job, task=replace(job.task, config=config)))


def _timed(request: TrainingRequest, steps: int) -> tuple[float, Networks]:
    start = time.perf_counter()
    result = train(replace(request, target=_shortened(request.target, steps)))
    request.device.synchronize()
    return time.perf_counter() - start, result.networks


def _timed_sampling(request: TrainingRequest, networks: Networks) -> float:
    """Seconds per generated record: next to nothing for a GAN, most of the cost of a diffusion model."""
    start = time.perf_counter()
    generate(request.target, networks, request.records.schema, TIMED_RECORDS, 0, request.device)
    request.device.synchronize()
    return (time.perf_counter() - start) / TIMED_RECORDS


def _shortened(target: Target, steps: int) -> Target:
    return type(target).from_spec({**target.spec(), "steps": steps}).at(target.base_dir)
