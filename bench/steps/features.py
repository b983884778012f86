"""The ``features`` step: features of a data set's real records, shared by all quality steps."""

from __future__ import annotations

from bench.metrics.features import find_extractor
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.store import write_arrays

ROLES = ("members", "reference", "holdout")


def compute(job: Job) -> None:
    """Embed members, reference and holdout."""
    split = load_split(job.input("data"))
    extractor = find_extractor(job.task.config["extractor"])
    arrays = {}
    for done, role in enumerate(ROLES):
        arrays[role] = extractor.embed(split.role(role).x, device=job.device.name)
        job.progress(done + 1, len(ROLES))
    write_arrays(job.folder / "features.npz", arrays)
