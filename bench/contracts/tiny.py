"""Training runs of seconds, for the contracts of targets and defenses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.devices import Device
from bench.records import Column, Records, Schema
from bench.rng import generator

if TYPE_CHECKING:
    from defenses.base import Defense, Step
    from targets.base import Networks, Target
    from targets.training import TrainingRequest, TrainingResult

RECORDS = 24
CLASSES = 3
GREY = Schema("image", (1, 8, 8), CLASSES)
MIXED = Schema("table", (6,), CLASSES, (Column("hue", ("r", "g", "b")), Column("size"), Column("old", ("no", "yes"))))


def tiny_records(schema: Schema, n: int = RECORDS, seed: int = 0) -> Records:
    """Records of noise, categories one-hot, labelled by chance."""
    rng = generator(seed, "tiny records", str(schema))
    shape = (n, *schema.shape)
    images = schema.kind == "image"
    x = rng.integers(0, 256, shape, np.uint8) if images else rng.normal(size=shape).astype(np.float32)
    for column, span in schema.spans():
        if column.categories:
            x[:, span] = np.eye(column.width)[rng.integers(0, column.width, n)]
    return Records(np.arange(seed * n, (seed + 1) * n, dtype=np.int64), x, rng.integers(0, CLASSES, n), schema)


def tiny_request(target: Target, defenses: Sequence[Defense] = (), schema: Schema = GREY) -> TrainingRequest:
    """A training run on a few records, with others as the defender's validation set and the attacker's reference."""
    from bench.steps.train import trained_on
    from defenses.base import training_size
    from targets.training import TrainingRequest

    members, validation = trained_on(defenses, tiny_records(schema), tiny_records(schema, seed=1), RECORDS)
    return TrainingRequest(
        target=target,
        defenses=tuple(defenses),
        records=members,
        expected_records=training_size(defenses, RECORDS),
        validation=validation,
        seed=0,
        device=Device(),
        reference=tiny_records(schema, seed=2),
    )


def tiny_step(
    target: Target,
    phase: int = 0,
    *,
    number: int = 1,
    networks: Networks | None = None,
    state: object = None,
    schema: Schema = GREY,
) -> Step:
    """The first step of a tiny training, as hooks of a defense get it; networks are built where none are given."""
    from defenses.base import Step
    from targets.base import Draw
    from targets.training import build_networks, context_of

    context = context_of(tiny_request(target, (), schema))
    built = build_networks(target, (), context) if networks is None else networks
    return Step(number, target.phases()[phase], built, Draw(context.device, 0, "defense"), context, state)


def shortened(target: Target, steps: int) -> Target:
    """The same target, trained for so many steps on small batches; one that was trained elsewhere stays as it is."""
    if target.brought:
        return target
    return type(target).from_spec({**target.spec(), "steps": steps, "batch_size": 4}).at(target.base_dir)


def run(request: TrainingRequest, global_seed: int = 0) -> TrainingResult:
    """Train after putting torch's and numpy's global generators into a state of their own, which must not matter."""
    from targets.training import train

    disturb(global_seed)
    return train(request)


def disturb(global_seed: int) -> None:
    """Move the global generators somewhere else."""
    import torch

    torch.manual_seed(1000 + global_seed)
    np.random.seed(1000 + global_seed)  # noqa: NPY002 - it is disturbed here so that nobody can rely on it


def differing(a: Networks, b: Networks) -> list[str]:
    """Names of the parameters and buffers that are not bit for bit the same in both, or in one only."""
    import torch

    from targets.base import to_tensors

    first, second = to_tensors(a), to_tensors(b)
    return sorted(
        name
        for name in first.keys() | second.keys()
        if name not in first or name not in second or not torch.equal(first[name], second[name])
    )
