"""Small trainings of several networks on parts: a DCGAN whose optimiser is plain, and defenses that watch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from dp_cases import SCHEMA, noise_records, request
from torch import nn

from bench.attacks.base import Knowledge
from bench.attacks.logan_white_box import LoganWhiteBox
from bench.devices import Device
from bench.metrics.roc import auc
from bench.records import Records
from bench.release import Release, View
from bench.rng import RecordRng
from defenses.base import Defense, Step, TrainingContext
from targets.base import Batch, Draw, Losses, Networks, Phase
from targets.dcgan import DCGAN
from targets.loader import shuffled_rows
from targets.training import TrainingResult, train

LATENT = 5


class Plain(DCGAN):
    """A DCGAN that is trained by plain gradient steps, by which rounding is not blown up as Adam's are."""

    name = "plain"

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.5)


class Spy(DCGAN):
    """Calls ``self.watch(phase, networks, batch, losses)`` with each phase's losses, and takes what it returns."""

    name = "spy"
    watch: Callable[[Phase, Networks, Batch, Losses], Losses | None]

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        losses = super().losses(phase, networks, batch, draw)
        return self.watch(phase, networks, batch, losses) or losses


def spy(watch: Callable[[Phase, Networks, Batch, Losses], Losses | None], **options: Any) -> Spy:
    target = Spy(**small(**options))
    target.watch = watch
    return target


class Counting(Defense):
    """Changes nothing; counts the updates of each network by its first parameter's identity."""

    name = "counting"

    def __init__(self) -> None:
        super().__init__()
        self.updates: Counter[int] = Counter()

    def adapt_optimizer(
        self, phase: Phase, optimizer: torch.optim.Optimizer, context: TrainingContext
    ) -> torch.optim.Optimizer:
        first = id(optimizer.param_groups[0]["params"][0])
        optimizer.register_step_post_hook(lambda *_: self.updates.update([first]))
        return optimizer

    def of(self, network: nn.Module) -> int:
        return self.updates[id(next(network.parameters()))]


class Times(Defense):
    """Replaces the generator's losses by so many times themselves."""

    name = "times"

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        return losses if losses.public is None or step.phase.private else Losses(None, self.factor * losses.public)


class Ending(Defense):
    """Ends the training of the second part's model after step 3; keeps whom it was asked about."""

    name = "ending"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int]] = []

    def start(self, networks: Networks, context: TrainingContext) -> int:
        # A model that only takes over finished losses never starts a defense.
        self.models = getattr(self, "models", 0) + 1
        return self.models

    def after_step(self, number: int, networks: Networks, context: TrainingContext, state: int) -> bool:
        self.asked.append((number, state))
        return number == 3 and state == 2


def small(**options: Any) -> dict[str, Any]:
    return {"steps": 6, "batch_size": 8, "width": 4, "latent": LATENT, "average": None, **options}


def trained(target: DCGAN, *defenses: Defense, n: int = 20) -> TrainingResult:
    return train(request(target, *defenses, n=n))


def descend(network: nn.Module, loss: torch.Tensor) -> None:
    """The step of ``Plain``'s optimiser, by hand."""
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for p, gradient in zip(parameters, gradients, strict=True):
            p.sub_(0.5 * gradient)


def assert_same(found: Networks, expected: Networks) -> None:
    """Every parameter and buffer, to rounding."""
    assert {role: len(networks) for role, networks in found.items()} == {r: len(n) for r, n in expected.items()}
    for role, networks in expected.items():
        for network, other in zip(networks, found[role], strict=True):
            assert network.state_dict().keys() == other.state_dict().keys()
            for name, tensor in network.state_dict().items():
                torch.testing.assert_close(other.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)


def own_batches(records: Records, part_of: Any, part: int, seed: int) -> Iterator[torch.Tensor]:
    """Batches of 8 of the records of one part, float32."""
    own = torch.from_numpy(records.floats())[torch.from_numpy(np.flatnonzero(part_of == part))]
    for rows in shuffled_rows(len(own), 8, seed):
        yield own[torch.from_numpy(rows)]


def attacked(target: DCGAN, result: TrainingResult, n: int, combine: Literal["max", "mean", "spread"]) -> float:
    """AUC of LOGAN's white-box attack on the ``n`` members and 200 other records."""
    others = noise_records(200, seed=5)
    x = np.concatenate([noise_records(n).x, others.x])
    candidates = Records(np.arange(len(x), dtype=np.int64), x, None, SCHEMA)
    view = View("white_box", SCHEMA, Device(), None, lambda: Release(target, result.networks, SCHEMA, Device()))
    scores = LoganWhiteBox(combine=combine).score(candidates, view, Knowledge(), RecordRng(0, "test")).scores
    return auc(scores, np.arange(len(x)) < n)


def named(target: DCGAN, result: TrainingResult, n: int) -> float:
    """Share of the ``n`` members whose part is that of the discriminator which calls them most real."""
    logits = Release(target, result.networks, SCHEMA, Device()).logits(noise_records(n).floats())
    assert result.parts is not None
    return float((logits.argmax(axis=0) == result.parts).mean())
