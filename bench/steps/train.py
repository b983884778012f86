"""The ``train`` step: one training run, of a trial or of an attack's own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bench.attacks.base import Source
from bench.candidates import model_records
from bench.devices import Device
from bench.errors import PluginError, StoreError
from bench.records import Records, Schema
from bench.steps.data import load_split
from bench.steps.task import Job, load_plugin
from bench.steps.updates import load_rounds, save_rounds
from bench.store import Artifact, write_arrays, write_json
from defenses.base import training_size

if TYPE_CHECKING:
    import torch

    from bench.data.split import Split
    from bench.release import Release
    from defenses.base import Defense, TrainingContext
    from targets.base import Target
    from targets.training import TrainingRequest

WEIGHTS = "weights.safetensors"
PARTS = "parts.npz"  # which part of the records each was in, where a defense divides them


def compute(job: Job) -> None:
    """Train, and write weights, history, snapshots and the run's facts."""
    from targets.base import to_tensors
    from targets.decision import deciding_records, decision_thresholds
    from targets.training import train

    config, request = job.task.config, request_of(job)
    deciding_records(request)  # refuses what could not be finished before hours of training
    result = train(request)
    completed = result.status == "completed"
    write_json(
        job.folder / "result.json",
        {
            "status": result.status,
            "steps_done": result.steps_done,
            "schema": request.records.schema.to_json(),
            "expected_records": request.expected_records,
            "claim": result.claim.model_dump(mode="json") if result.claim else None,
            "thresholds": decision_thresholds(request, result.networks) if completed else (),
        },
    )
    write_json(job.folder / "config.json", dict(config))
    write_arrays(job.folder / "history.npz", result.history)
    write_arrays(
        job.folder / "snapshots.npz",
        {"steps": np.asarray(result.snapshot_steps, np.int64), "records": result.snapshots},
    )
    if completed:
        save_tensors(job, WEIGHTS, to_tensors(result.networks))
        for step, weights in result.snapshot_weights.items():
            save_tensors(job, weights_file(step), weights)
        if config["records"]["source"] == "members":  # nothing reads the rounds of an attack's own model
            save_rounds(job.folder, result.updates)
        if result.parts is not None:
            write_arrays(job.folder / PARTS, {"record_id": request.records.ids, "part": result.parts})


def pair_of(job: Job) -> tuple[Target, tuple[Defense, ...]]:
    """Target and defense stack of a training."""
    config = job.task.config
    target = cast("Target", job.plugin("targets", config["target"]))
    return target, tuple(cast("Defense", job.plugin("defenses", spec)) for spec in config["defenses"])


def request_of(job: Job) -> TrainingRequest:
    """The training run that a configuration describes."""
    from targets.training import TrainingRequest

    config = job.task.config
    target, defenses = pair_of(job)
    split = load_split(job.input("data"))
    records, expected = _records(job, split, config["records"])
    validation = split.role("validation")
    if config["records"]["source"] == "members":  # an attack's own model asks for as many as it needs
        records, validation = trained_on(defenses, records, validation, expected)
        expected = training_size(defenses, expected)
    return TrainingRequest(
        target=target,
        defenses=defenses,
        records=records,
        expected_records=expected,
        validation=validation,
        seed=config["seed"],
        device=Device(job.device.kind, job.device.index, config["precision"]),
        snapshot_records=config["snapshot_records"],
        progress=job.progress,
        reference=split.role("reference"),
        snapshot_networks=config.get("snapshot_networks", False),
    )


def _records(job: Job, split: Split, asked: Mapping[str, Any]) -> tuple[Records, int]:
    """The records to train on, and how many of them are public knowledge."""
    if asked["source"] == "members":
        return split.training(), split.expected_training
    records = asked_records(asked, split, job.input("sample") if job.has("sample") else None)
    return records, len(records)


def trained_on(
    defenses: Sequence[Defense], members: Records, validation: Records, expected: int
) -> tuple[Records, Records]:
    """The records that a stack trains on, and the validation records that it leaves to its defenses.

    Args:
        defenses: the stack.
        members, validation: those of the split.
        expected: the public number of members.

    Raises:
        PluginError: a defense adds another number of records than it says.
    """
    for defense in defenses:
        joined, public = len(members), defense.training_size(expected)
        members, validation = defense.training_records(members, validation, expected)
        if len(members) - joined != public - expected:
            raise PluginError(
                f"{defense.name}: expected training_records to change the number of records as training_size says, "
                f"from {joined} to {joined + public - expected}, got {len(members)}"
            )
        expected = public
    return members, validation


def asked_records(asked: Mapping[str, Any], split: Split, sample: Artifact | None) -> Records:
    """The records that a model of an attack trains on, out of a split or of a trial's generated records.

    Raises:
        InputError: there are fewer than asked for.
        StoreError: it asks for generated records, and there are none.
    """
    candidates, membership = split.candidates()

    def of(source: Source) -> Records:
        if source == "samples":
            if sample is None:
                raise StoreError("expected generated records for a model that trains on some, got none")
            return samples_as_records(sample, split.records.schema)
        if source == "members":
            return split.training()
        return candidates if source == "candidates" else split.role(source)

    return model_records(asked, of, candidates, membership)


def samples_as_records(artifact: Artifact, schema: Schema) -> Records:
    """The generated records of a ``sample`` artifact; labelled where the target was given labels."""
    arrays = artifact.arrays("samples.npz")
    x, labels = arrays["samples"], arrays.get("labels")
    if labels is None:
        schema = replace(schema, classes=None, class_shares=())
    return Records(np.arange(len(x), dtype=np.int64), x, labels, schema)


def weights_file(snapshot: int | None) -> str:
    """Where an artifact holds the weights of a snapshot, by its training steps, or of the finished training."""
    return WEIGHTS if snapshot is None else f"snapshot-{snapshot}.safetensors"


def save_tensors(job: Job, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Parameters and buffers as safetensors, without metadata, whose order is not reproducible."""
    from safetensors.torch import save_file

    save_file({key: tensor.cpu().contiguous() for key, tensor in tensors.items()}, job.folder / name)


def load_release(
    artifact: Artifact,
    references: Mapping[str, str],
    device: Device,
    updates: bool = False,
    snapshot: int | None = None,
) -> Release:
    """Rebuild a trained trial from its artifact: the same networks, changed by the same defenses.

    Args:
        artifact: of the training.
        references: where its plugins are found.
        device: where its networks will live.
        updates: whether the rounds of federated training are read too.
        snapshot: training steps at the snapshot that is wanted in place of the finished training.

    Raises:
        StoreError: the weights do not fit the networks.
    """
    from safetensors.torch import load_file

    from bench.release import Release
    from targets.base import from_tensors
    from targets.training import build_networks, set_mode

    context, defenses = _context(artifact, references, device)
    networks = build_networks(context.target, defenses, context)
    try:
        from_tensors(networks, load_file(artifact.path(weights_file(snapshot))))
    except StoreError as error:
        raise StoreError(f"{artifact.folder}: {error}") from error
    set_mode(networks, train=False)
    thresholds = tuple(artifact.json("result.json")["thresholds"])
    rounds = load_rounds(artifact, lambda: build_networks(context.target, defenses, context)) if updates else ()
    return Release(context.target, networks, context.schema, device, thresholds, rounds)


def _context(
    artifact: Artifact, references: Mapping[str, str], device: Device
) -> tuple[TrainingContext, tuple[Defense, ...]]:
    from defenses.base import TrainingContext

    config, facts = artifact.json("config.json"), artifact.json("result.json")
    target = cast("Target", load_plugin("targets", config["target"], references))
    defenses = tuple(cast("Defense", load_plugin("defenses", d, references)) for d in config["defenses"])
    schema = Schema.from_json(facts["schema"])
    nothing = Records(
        np.zeros(0, np.int64),
        np.zeros((0, *schema.shape), np.uint8 if schema.kind == "image" else np.float32),
        None if schema.classes is None else np.zeros(0, np.int64),
        schema,
    )
    context = TrainingContext(
        target=target,
        schema=schema,
        expected_records=facts["expected_records"],
        steps=target.options.steps,
        batch_size=target.options.batch_size,
        seed=config["seed"],
        device=device,
        validation=nothing,
    )
    return context, defenses
