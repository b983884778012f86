"""The ``quality`` step: how good the samples are, and how steadily the target got there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.features import find_extractor
from bench.metrics.modes import fit_classifier
from bench.metrics.quality import MIN_RECORDS, QualityRecord, measure_quality
from bench.metrics.stability import StabilityRecord, snapshot_quality, stability_of_history
from bench.metrics.table_quality import TableQualityRecord, measure_table_quality
from bench.metrics.utility import Utility, measure_utility
from bench.rng import generator
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.store import write_json

if TYPE_CHECKING:
    from bench.data.split import Split

SUBSET_SEED = 0  # the same subsets for every row, so that rows are paired


def compute(job: Job) -> None:
    """Compare generated (or, for the real line, reference) records with the holdout."""
    split = load_split(job.input("data"))
    quality = _table_quality(job, split) if split.records.schema.kind == "table" else _quality(job, split)
    write_json(job.folder / "quality.json", quality.model_dump(mode="json"))
    if job.has("train"):
        write_json(job.folder / "stability.json", _stability(job).model_dump(mode="json"))


def _quality(job: Job, split: Split) -> QualityRecord:
    config = job.task.config
    real = job.input("features").arrays("features.npz")
    n = config["records"]
    if job.has("sample"):
        made = job.input("sample").arrays("samples.npz")
        x, labels = made["samples"], made.get("labels")
        order = generator(SUBSET_SEED, "quality samples").permutation(len(x))
        chosen = np.sort(order[: min(n, len(real["holdout"]))])
        samples: NDArray[Any] = find_extractor(config["extractor"]).embed(x[chosen], device=job.device.name)
        labels = None if labels is None else labels[chosen]
    else:
        samples, labels = real["reference"], None  # their utility is what every row has as the real one
    job.progress(1, 3)
    classifier = fit_classifier(real["reference"], split.role("reference").labels) if len(real["reference"]) else None
    job.progress(2, 3)
    return measure_quality(
        samples,
        real["holdout"],
        real["members"] if len(real["members"]) >= MIN_RECORDS else None,
        classifier,
        n,
        SUBSET_SEED,
        extractor=config["extractor"],
        utility=_utility(split, samples, labels, real["reference"], real["holdout"], n),
    )


def _table_quality(job: Job, split: Split) -> TableQualityRecord:
    """Rows are compared as they are: a table needs no features."""
    n = job.task.config["records"]
    reference, holdout, members = split.role("reference"), split.role("holdout"), split.records.by_id(split.imitated())
    if len(reference) >= MIN_RECORDS:  # these distances grow as n shrinks: the real line's n is that of every row
        n = min(n, len(reference))
    if job.has("sample"):
        made = job.input("sample").arrays("samples.npz")
        samples, labels = made["samples"], made.get("labels")
    else:
        samples, labels = reference.x, None
    return measure_table_quality(
        samples,
        holdout.x,
        split.records.schema,
        members.x if len(members) >= MIN_RECORDS else None,
        _utility(split, samples, labels, reference.x, holdout.x, n),
        n,
        SUBSET_SEED,
    )


def _utility(
    split: Split,
    samples: NDArray[Any],
    labels: NDArray[np.int64] | None,
    reference: NDArray[Any],
    holdout: NDArray[Any],
    n: int,
) -> Utility | None:
    """Of features or rows; None where the records have no classes or were not made for one."""
    truth, known = split.role("holdout").labels, split.role("reference").labels
    if split.records.schema.classes is None or labels is None or truth is None or known is None or not len(reference):
        return None
    return measure_utility((samples, labels), (reference, known), (holdout, truth), n, SUBSET_SEED)


def _stability(job: Job) -> StabilityRecord:
    artifact = job.input("train")
    facts, history = artifact.json("result.json"), artifact.arrays("history.npz")
    along = None
    # A table's snapshots have no features to be compared by.
    if job.has("snapshot_features") and len((snapshots := artifact.arrays("snapshots.npz"))["steps"]):
        extractor = find_extractor(job.task.config["snapshot_extractor"])
        shape = snapshots["records"].shape
        flat = snapshots["records"].reshape(-1, *shape[2:])
        features = extractor.embed(flat, device=job.device.name).reshape(shape[0], shape[1], -1)
        holdout = job.input("snapshot_features").arrays("features.npz")["holdout"]
        along = snapshot_quality(features, snapshots["steps"].tolist(), holdout, SUBSET_SEED)
    return stability_of_history(history, facts["status"], facts["steps_done"], along)
