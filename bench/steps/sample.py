"""The ``sample`` step: S, the one array of generated records that quality and every sample attack read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.tables import harden
from bench.errors import IncompatibleError
from bench.metrics.baselines import pca_gaussian
from bench.records import Records, to_stored
from bench.rng import generator
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.steps.train import load_release, pair_of
from bench.store import write_arrays
from targets.training import generate_labelled

if TYPE_CHECKING:
    from bench.devices import Device
    from bench.release import Release

ROUNDS = 20  # draws of n records before a filter that rejects nearly everything is called impossible


def compute(job: Job) -> None:
    """Generate ``n`` records from a trained target, or from the PCA Gaussian of the reference records."""
    n = job.task.config["n"]
    if job.task.config["source"] == "pca_gaussian":
        reference = load_split(job.input("data")).role("reference")
        rng = generator(job.task.config["seed"], "pca gaussian")
        arrays = {"samples": _gaussian(reference, n, rng)}
    else:
        arrays = _released(job, n)
    write_arrays(job.folder / "samples.npz", arrays)


def _gaussian(reference: Records, n: int, rng: np.random.Generator) -> NDArray[Any]:
    schema = reference.schema
    if schema.kind == "image":
        return to_stored(pca_gaussian(reference.floats(), n, rng), schema)
    return harden(pca_gaussian(reference.floats(), n, rng, bounded=False), schema)


def _released(job: Job, n: int) -> dict[str, NDArray[Any]]:
    """``n`` generated records that pass the filters of the defense stack, with labels where they were made for them."""
    from dataclasses import replace

    artifact = job.input("train")
    release = load_release(artifact, job.task.references, job.device)
    config = artifact.json("config.json")
    _, defenses = pair_of(replace(job, task=replace(job.task, config=config)))
    split = load_split(job.input("data"))
    kept: dict[str, list[NDArray[Any]]] = {}
    brought = release.target.stored(release.schema) is not None  # a second round would draw the same records again
    for round_ in range(ROUNDS):
        seed = config["seed"] if round_ == 0 else config["seed"] + (round_ << 32)
        made = _made(release, n, seed, job.device)
        asked = len(made["samples"])  # records that were brought may be fewer
        for defense in defenses:
            mask = defense.filter_samples(made["samples"], split.role("members"), split.role("validation"))
            made = made if mask is None else {name: array[mask] for name, array in made.items()}
        for name, array in made.items():
            kept.setdefault(name, []).append(array)
        if asked < n or brought or sum(map(len, kept["samples"])) >= n:
            return {name: np.concatenate(arrays)[:n] for name, arrays in kept.items()}
    raise IncompatibleError(
        f"expected {n} released records, but the filters of {[d.name for d in defenses]} let only "
        f"{sum(map(len, kept['samples']))} of {ROUNDS * n} pass; loosen the filter"
    )


def _made(release: Release, n: int, seed: int, device: Device) -> dict[str, NDArray[Any]]:
    """Generated records, or a seeded part of those that the target was brought with."""
    stored = release.target.stored(release.schema)
    if stored is not None:
        index = np.sort(generator(seed, "stored samples").permutation(len(stored))[:n])
        chosen = stored.take(index)
        samples, labels = chosen.x, chosen.labels
    else:
        samples, labels = generate_labelled(release.target, release.networks, release.schema, n, seed, device)
    return {"samples": samples} if labels is None else {"samples": samples, "labels": labels}
