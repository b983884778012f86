"""The ``sample`` step: S, the one array of generated records that quality and every sample attack read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.tables import harden
from bench.errors import IncompatibleError
from bench.metrics.baselines import pca_gaussian
from bench.records import Records, to_stored
from bench.rng import generator
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.steps.train import asked_records, load_release, pair_of, trained_on
from bench.store import write_arrays
from defenses.base import checked_filter
from targets.training import generate_labelled

Samples = dict[str, NDArray[Any]]  # as stored: `samples`, and `labels` where they were made for them

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
    images = reference.schema.kind == "image"
    drawn = pca_gaussian(reference.floats(), n, rng, bounded=images)
    return to_stored(drawn, reference.schema) if images else harden(drawn, reference.schema)


def _released(job: Job, n: int) -> Samples:
    """``n`` generated records that pass the filters of the defense stack, with labels where they were made for them."""
    from dataclasses import replace

    artifact = job.input("train")
    release = load_release(artifact, job.task.references, job.device, snapshot=job.task.config.get("snapshot"))
    config = artifact.json("config.json")
    _, defenses = pair_of(replace(job, task=replace(job.task, config=config)))
    split = load_split(job.input("data"))
    # Of a shadow model, a filter protects what the shadow was trained on, and not the trial's members.
    protected = asked_records(config["records"], split, None) if defenses else split.training()
    validation = split.role("validation")
    if config["records"]["source"] == "members":
        protected, validation = trained_on(defenses, protected, validation, split.expected_training)

    def passed(made: Samples) -> Samples:
        for defense in defenses:
            mask = checked_filter(defense, made["samples"], protected, validation)
            made = made if mask is None else {name: array[mask] for name, array in made.items()}
        return made

    if (stored := release.target.stored(release.schema)) is not None:  # a second round would draw the same ones again
        index = np.sort(generator(config["seed"], "stored samples").permutation(len(stored))[:n])
        chosen = stored.take(index)
        return passed(_samples(chosen.x, chosen.labels))
    kept: list[Samples] = []
    for round_ in range(ROUNDS):
        seed = config["seed"] if round_ == 0 else config["seed"] + (round_ << 32)
        x, labels = generate_labelled(release.target, release.networks, release.schema, n, seed, job.device)
        kept.append(passed(_samples(x, labels)))
        if sum(len(made["samples"]) for made in kept) >= n:
            return {name: np.concatenate([made[name] for made in kept])[:n] for name in kept[0]}
    raise IncompatibleError(
        f"expected {n} released records, but the filters of {[d.name for d in defenses]} let only "
        f"{sum(len(made['samples']) for made in kept)} of {ROUNDS * n} pass; loosen the filter"
    )


def _samples(x: NDArray[Any], labels: NDArray[np.int64] | None) -> Samples:
    return {"samples": x} if labels is None else {"samples": x, "labels": labels}
