"""Small trainings for the tests of the loop: 10x12 noise, a narrow DCGAN, and targets and defenses that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bench.devices import Device
from bench.records import Records, Schema
from bench.rng import generator
from defenses.base import Defense, TrainingContext
from targets.base import Batch, Draw, Losses, Networks, Phase, Target
from targets.dcgan import DCGAN
from targets.training import TrainingRequest, TrainingResult, train

SCHEMA = Schema("image", (1, 10, 12))


def noise_records(n: int, schema: Schema = SCHEMA, seed: int = 0, labels: bool = False) -> Records:
    rng = generator(seed, "test records")
    x = rng.integers(0, 256, (n, *schema.shape), dtype=np.uint8)
    return Records(np.arange(n, dtype=np.int64), x, rng.integers(0, 10, n) if labels else None, schema)


def tiny(cls: type[Target] = DCGAN, **options: Any) -> Target:
    return cls(**{"steps": 6, "batch_size": 8, "width": 4, "latent": 5, "average": None, **options})


def request(target: Target, *defenses: Defense, n: int = 30, **changes: Any) -> TrainingRequest:
    records = noise_records(n)
    given: dict[str, Any] = {
        "expected_records": n,
        "validation": noise_records(4, seed=1),
        "seed": 0,
        "device": Device(),
        **changes,
    }
    return TrainingRequest(target, defenses, records, **given)


def run(target: Target, *defenses: Defense, n: int = 30, **changes: Any) -> TrainingResult:
    return train(request(target, *defenses, n=n, **changes))


def weights(networks: Networks) -> dict[str, torch.Tensor]:
    """Every parameter and buffer by name, copied."""
    return {
        f"{role}.{index}.{name}": tensor.detach().clone()
        for role, parts in networks.items()
        for index, module in enumerate(parts)
        for name, tensor in module.state_dict().items()
    }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Watched(DCGAN):
    """A DCGAN that calls ``self.watch(phase, networks, batch, losses)`` at each phase, before the update."""

    name = "watched"
    watch: Callable[[Phase, Networks, Batch, Losses], Losses | None]

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        losses = super().losses(phase, networks, batch, draw)
        return self.watch(phase, networks, batch, losses) or losses


def watched(watch: Callable[[Phase, Networks, Batch, Losses], Losses | None], **options: Any) -> Watched:
    target = tiny(Watched, **options)
    assert isinstance(target, Watched)
    target.watch = watch
    return target


class AfterStep(Defense):
    """Changes nothing, but calls ``self.before`` and ``self.after`` around every optimiser step."""

    name = "after_step"
    family = "none"

    def __init__(
        self,
        after: Callable[[Phase], None] = lambda phase: None,
        before: Callable[[Phase], None] = lambda phase: None,
    ) -> None:
        super().__init__()
        self.after, self.before = after, before

    def adapt_optimizer(
        self, phase: Phase, optimizer: torch.optim.Optimizer, context: TrainingContext
    ) -> torch.optim.Optimizer:
        optimizer.register_step_pre_hook(lambda *_: self.before(phase))
        optimizer.register_step_post_hook(lambda *_: self.after(phase))
        return optimizer
