"""The ``attack`` step: one attack judges every candidate of one trial, through the view it declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Knowledge
from bench.candidates import Candidates, candidates_of, granted
from bench.errors import PluginError
from bench.metrics.sets import compose_sets, sets_of
from bench.release import Model, View
from bench.rng import RecordRng
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.steps.train import PARTS, asked_records, load_release
from bench.store import Artifact, write_arrays, write_json

if TYPE_CHECKING:
    from bench.data.split import Split

MODEL, MODEL_SAMPLES = "model/", "model samples/"  # roles of the inputs that are an attack's own models
SET_SCORE = "set_score_"  # and the size: the array of an attack's own scores of sets
PART, NAMED_PART = "part", "named_part"  # of divided records: the true part of each candidate, and the attack's word


def compute(job: Job) -> None:
    """Score the candidates and write record id, membership and score; and of sets, where the attack judges those."""
    attack = cast("Attack", job.plugin("attacks", job.task.config["attack"]))
    split = load_split(job.input("data"))
    candidates = candidates_of(split, attack)
    view = View(
        attack.access,
        split.records.schema,
        job.device,
        samples=(lambda: job.input("sample").arrays("samples.npz")["samples"]) if job.has("sample") else None,
        release=(
            lambda: load_release(
                job.input("train"),
                job.task.references,
                job.device,
                updates=attack.access == "updates",
                snapshot=job.task.config.get("snapshot"),
            )
        )
        if job.has("train")
        else None,
    )
    knowledge = _knowledge(job, attack, split, candidates)
    rng = RecordRng(job.task.config["seed"], "attack", attack.name)
    scored = attack.score(candidates.records, view, knowledge, rng)
    arrays = {"record_id": candidates.records.ids, "membership": candidates.membership, "score": scored.scores}
    for size in job.task.config.get("sets", ()):
        arrays[f"{SET_SCORE}{size}"] = _set_scores(attack, candidates, size, view, knowledge, rng)
    if attack.names_parts and job.has("train") and PARTS in job.input("train").files:
        arrays |= _parts(attack, candidates, view, job.input("train"))
    write_arrays(job.folder / "scores.npz", arrays)
    write_json(
        job.folder / "result.json",
        {
            "attack": attack.spec(),
            "diagnostics": dict(scored.diagnostics),
            "capped": candidates.capped,
            "known": len(candidates.known),
        },
    )


def _set_scores(
    attack: Attack, candidates: Candidates, size: int, view: View, knowledge: Knowledge, rng: RecordRng
) -> NDArray[np.float64]:
    """The attack's own score of every set of one size, by ascending set id; the instrument composes the sets."""
    set_id = compose_sets(candidates.records.ids, candidates.membership, size)
    sets = [candidates.records.take(place) for place in sets_of(set_id)]
    scores = np.asarray(attack.score_sets(sets, view, knowledge, rng), dtype=np.float64)
    if scores.shape != (len(sets),) or not np.isfinite(scores).all():
        raise PluginError(
            f"{attack!r}: expected one finite score for each of {len(sets)} sets, got shape {scores.shape} with "
            f"{int((~np.isfinite(scores)).sum())} that are not finite"
        )
    return scores


def _parts(attack: Attack, candidates: Candidates, view: View, train: Artifact) -> dict[str, NDArray[np.int64]]:
    """Which part each candidate was in, -1 for non-members, and which one the attack names."""
    stored = train.arrays(PARTS)
    part_of = dict(zip(stored["record_id"].tolist(), stored["part"].tolist(), strict=True))
    ids = candidates.records.ids
    truth = np.array([part_of.get(record, -1) for record in ids.tolist()], dtype=np.int64)
    named = np.asarray(attack.name_parts(candidates.records, view), dtype=np.int64)
    if named.shape != ids.shape:
        raise PluginError(f"{attack!r}: expected one part per candidate, {ids.shape}, got shape {named.shape}")
    return {PART: truth, NAMED_PART: named}


def _knowledge(job: Job, attack: Attack, split: Split, candidates: Candidates) -> Knowledge:
    """Only what the attack's declared level grants."""
    models = {
        role.removeprefix(MODEL): _model(job, split, role.removeprefix(MODEL))
        for role in job.task.inputs
        if role.startswith(MODEL)
    }
    nonmembers = len(split.ids["members"]) + len(split.ids["nonmembers"]) - split.expected_members
    return granted(attack, candidates, lambda: split.role("reference"), models, split.expected_members, nonmembers)


def _model(job: Job, split: Split, name: str) -> Model:
    train = job.input(f"{MODEL}{name}")
    drawn = job.input(f"{MODEL_SAMPLES}{name}") if job.has(f"{MODEL_SAMPLES}{name}") else None

    def samples(artifact: Artifact) -> NDArray[Any]:
        return artifact.arrays("samples.npz")["samples"]

    return Model(
        split.records.schema,
        job.device,
        lambda: load_release(train, job.task.references, job.device),
        None if drawn is None else (lambda: samples(drawn)),
        _trained_on(train.json("config.json")["records"], split),
    )


def _trained_on(asked: dict[str, Any], split: Split) -> NDArray[np.int64] | None:
    """Ids of the records behind a model, where they are records of the split and nothing else."""
    if asked["source"] == "samples" or asked["against"] is not None or any(asked["known"]):
        return None
    return asked_records(asked, split, None).ids
