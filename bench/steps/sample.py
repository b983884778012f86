"""The ``sample`` step: S, the one array of generated records that quality and every sample attack read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import IncompatibleError
from bench.metrics.baselines import pca_gaussian
from bench.records import to_stored
from bench.rng import generator
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.steps.train import load_release, pair_of
from bench.store import write_arrays
from targets.training import generate

ROUNDS = 20  # draws of n records before a filter that rejects nearly everything is called impossible


def compute(job: Job) -> None:
    """Generate ``n`` records from a trained target, or from the PCA Gaussian of the reference records."""
    n = job.task.config["n"]
    if job.task.config["source"] == "pca_gaussian":
        reference = load_split(job.input("data")).role("reference")
        rng = generator(job.task.config["seed"], "pca gaussian")
        samples: NDArray[Any] = to_stored(pca_gaussian(reference.floats(), n, rng), reference.schema)
    else:
        samples = _released(job, n)
    write_arrays(job.folder / "samples.npz", {"samples": samples})


def _released(job: Job, n: int) -> NDArray[Any]:
    """``n`` generated records that pass the filters of the defense stack."""
    from dataclasses import replace

    artifact = job.input("train")
    release = load_release(artifact, job.task.references, job.device)
    config = artifact.json("config.json")
    _, defenses = pair_of(replace(job, task=replace(job.task, config=config)))
    split = load_split(job.input("data"))
    kept: list[NDArray[Any]] = []
    for round_ in range(ROUNDS):
        seed = config["seed"] if round_ == 0 else config["seed"] + (round_ << 32)
        samples = generate(release.target, release.networks, release.schema, n, seed, job.device)
        for defense in defenses:
            mask = defense.filter_samples(samples, split.role("members"), split.role("validation"))
            samples = samples if mask is None else samples[mask]
        kept.append(samples)
        if sum(map(len, kept)) >= n:
            return np.concatenate(kept)[:n]
    raise IncompatibleError(
        f"expected {n} released records, but the filters of {[d.name for d in defenses]} let only "
        f"{sum(map(len, kept))} of {ROUNDS * n} pass; loosen the filter"
    )
