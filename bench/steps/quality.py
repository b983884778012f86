"""The ``quality`` step: how good the samples are, and how steadily the target got there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.features import find_extractor
from bench.metrics.modes import fit_classifier
from bench.metrics.quality import QualityRecord, measure_quality
from bench.metrics.stability import StabilityRecord, snapshot_quality, stability_of_history
from bench.rng import generator
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.store import write_json

SUBSET_SEED = 0  # the same subsets for every row, so that rows are paired


def compute(job: Job) -> None:
    """Compare generated (or, for the real line, reference) records with the holdout."""
    quality = _quality(job)
    write_json(job.folder / "quality.json", quality.model_dump(mode="json"))
    if job.has("train"):
        write_json(job.folder / "stability.json", _stability(job).model_dump(mode="json"))


def _quality(job: Job) -> QualityRecord:
    config = job.task.config
    real = job.input("features").arrays("features.npz")
    split = load_split(job.input("data"))
    n = config["records"]
    if job.has("sample"):
        x = job.input("sample").arrays("samples.npz")["samples"]
        chosen = generator(SUBSET_SEED, "quality samples").permutation(len(x))[: min(n, len(real["holdout"]))]
        samples: NDArray[Any] = find_extractor(config["extractor"]).embed(x[np.sort(chosen)], device=job.device.name)
    else:
        samples = real["reference"]
    job.progress(1, 3)
    classifier = fit_classifier(real["reference"], split.role("reference").labels) if len(real["reference"]) else None
    job.progress(2, 3)
    return measure_quality(
        samples,
        real["holdout"],
        real["members"] if len(real["members"]) >= 50 else None,
        classifier,
        n,
        SUBSET_SEED,
        extractor=config["extractor"],
    )


def _stability(job: Job) -> StabilityRecord:
    artifact = job.input("train")
    facts, history = artifact.json("result.json"), artifact.arrays("history.npz")
    snapshots = artifact.arrays("snapshots.npz")
    along = None
    if len(snapshots["steps"]):
        extractor = find_extractor(job.task.config["snapshot_extractor"])
        shape = snapshots["records"].shape
        flat = snapshots["records"].reshape(-1, *shape[2:])
        features = extractor.embed(flat, device=job.device.name).reshape(shape[0], shape[1], -1)
        holdout = job.input("snapshot_features").arrays("features.npz")["holdout"]
        along = snapshot_quality(features, snapshots["steps"].tolist(), holdout, SUBSET_SEED)
    return stability_of_history(history, facts["status"], facts["steps_done"], along)
