"""The ``features`` step: features of a data set's real records, shared by all quality steps."""

from __future__ import annotations

from bench.metrics.features import find_extractor
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.store import write_arrays

ROLES = ("members", "reference", "holdout")


def compute(job: Job) -> None:
    """Embed reference, holdout, and what generated records may imitate of the training set."""
    split = load_split(job.input("data"))
    extractor = find_extractor(job.task.config["extractor"])
    arrays = {}
    for done, role in enumerate(ROLES):
        records = split.records.by_id(split.imitated()) if role == "members" else split.role(role)
        arrays[role] = extractor.embed(records.x, device=job.device.name)
        job.progress(done + 1, len(ROLES))
    write_arrays(job.folder / "features.npz", arrays)
