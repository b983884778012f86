"""Training runs of seconds, for the contracts of targets and defenses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.devices import Device
from bench.records import Records, Schema
from bench.rng import generator

if TYPE_CHECKING:
    import torch

    from defenses.base import Defense
    from targets.base import Networks, Target
    from targets.training import TrainingRequest, TrainingResult

RECORDS = 24
GREY = Schema("image", (1, 8, 8))


def tiny_records(schema: Schema, n: int = RECORDS, seed: int = 0) -> Records:
    """Records of noise, labelled by chance."""
    rng = generator(seed, "tiny records", str(schema))
    shape = (n, *schema.shape)
    images = schema.kind == "image"
    x = rng.integers(0, 256, shape, np.uint8) if images else rng.normal(size=shape).astype(np.float32)
    return Records(np.arange(n, dtype=np.int64), x, rng.integers(0, 3, n), schema)


def tiny_request(target: Target, defenses: Sequence[Defense] = (), schema: Schema = GREY) -> TrainingRequest:
    """A training run on a few records, with others as the defender's validation set."""
    from targets.training import TrainingRequest

    return TrainingRequest(
        target=target,
        defenses=tuple(defenses),
        records=tiny_records(schema),
        expected_records=RECORDS,
        validation=tiny_records(schema, seed=1),
        seed=0,
        device=Device(),
    )


def shortened(target: Target, steps: int) -> Target:
    """The same target, trained for so many steps on small batches."""
    return type(target).from_spec({**target.spec(), "steps": steps, "batch_size": 4})


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


def weights(networks: Networks) -> dict[str, torch.Tensor]:
    """Every parameter and buffer by role, position and name."""
    return {
        f"{role}.{index}.{name}": tensor.detach().clone()
        for role, modules in networks.items()
        for index, module in enumerate(modules)
        for name, tensor in module.state_dict().items()
    }


def differing(a: Networks, b: Networks) -> list[str]:
    """Names of the tensors that are not bit for bit the same in both, or in one only."""
    import torch

    first, second = weights(a), weights(b)
    return sorted(
        name
        for name in first.keys() | second.keys()
        if name not in first or name not in second or not torch.equal(first[name], second[name])
    )
