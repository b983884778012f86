"""The ``attack`` step: one attack judges every candidate of one trial, through the view it declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bench.attacks.base import Attack, Knowledge
from bench.release import View
from bench.rng import RecordRng
from bench.steps.data import load_split
from bench.steps.task import Job
from bench.steps.train import load_release
from bench.store import write_arrays, write_json

if TYPE_CHECKING:
    from bench.data.split import Split


def compute(job: Job) -> None:
    """Score the candidates and write record id, membership and score."""
    attack = cast("Attack", job.plugin("attacks", job.task.config["attack"]))
    split = load_split(job.input("data"))
    candidates, membership = split.candidates()
    view = View(
        attack.access,
        split.records.schema,
        job.device,
        samples=(lambda: job.input("sample").arrays("samples.npz")["samples"]) if job.has("sample") else None,
        release=(lambda: load_release(job.input("train"), job.task.references, job.device))
        if job.has("train")
        else None,
    )
    rng = RecordRng(job.task.config["seed"], "attack", attack.name)
    scored = attack.score(candidates, view, _knowledge(job, attack, split), rng)
    write_arrays(
        job.folder / "scores.npz",
        {"record_id": candidates.ids, "membership": membership, "score": scored.scores},
    )
    write_json(job.folder / "result.json", {"attack": attack.spec(), "diagnostics": dict(scored.diagnostics)})


def _knowledge(job: Job, attack: Attack, split: Split) -> Knowledge:
    """Only what the attack's declared level grants."""
    candidates, membership = split.candidates()
    truth = dict(zip(candidates.ids.tolist(), membership.tolist(), strict=True))
    models = {
        role.removeprefix("model/"): load_release(job.input(role), job.task.references, job.device)
        for role in job.task.inputs
        if role.startswith("model/")
    }
    return Knowledge(
        reference=split.role("reference")
        if attack.knowledge in ("reference", "shadow", "shadow + candidates")
        else None,
        membership=truth if attack.knowledge == "labels" else None,
        models=models,
    )
