"""One model in training: networks, their optimisers and draws, and the hooks of its defenses, update by update.

The shared loop trains one of these; a defense that replaces the procedure may train several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from bench.devices import Device
from bench.results import PrivacyClaim
from defenses.base import Defense, Step, TrainingContext, Updater, check_batch, check_losses
from targets.base import Batch, Draw, Losses, Networks, Phase, parameters
from targets.history import History
from targets.loader import batches

if TYPE_CHECKING:
    import torch

    from targets.training import TrainingRequest


class Trainee:
    """A model that is being trained on the records of a request, one phase at a time.

    Args:
        request: target, defenses, records and seed; what a defense trains on a part has a request of its own.
        context: what the defenses may know of it.
        networks: the roles that it updates and asks, built already; others' networks may be among them.
        history: where its losses go.

    Attributes:
        states: what each defense of the stack keeps, in order.
        updaters: phase name -> how its losses become an update.
    """

    def __init__(
        self, request: TrainingRequest, context: TrainingContext, networks: Networks, history: History
    ) -> None:
        self.request, self.context, self.networks, self.history = request, context, networks, history
        self.phases = request.target.phases()
        self.updaters = {
            phase.name: make_updater(phase, networks, request.defenses, context)
            for phase in self.phases
            if all(role in networks for role in phase.roles)
        }
        self.draw = Draw(request.device, request.seed, "noise")
        self.defense_draw = Draw(request.device, request.seed, "defense")
        self.states = [defense.start(networks, context) for defense in request.defenses]

    @cached_property
    def source(self) -> Iterator[Batch]:
        """An endless stream of batches of its records."""
        return batches(self.request.records, self.context, any(d.poisson() for d in self.request.defenses))

    def step(self, number: int) -> None:
        """One training step: every phase that is due, on one batch."""
        batch = next(self.source)
        for phase in self.due(number):
            self.update(phase, batch, number)

    def due(self, number: int) -> list[Phase]:
        """The phases that a training step makes."""
        return [phase for phase in self.phases if number % phase.every == 0]

    def update(
        self,
        phase: Phase,
        batch: Batch,
        number: int,
        losses: Callable[[Batch], Losses] | None = None,
    ) -> None:
        """One update of one phase, with every hook of the stack.

        Args:
            phase: which; its networks are updated, all others are frozen meanwhile.
            batch: real records, which a public phase never gets to see.
            number: the training step, from 1.
            losses: per-row losses of a batch; None: the target's own, with this model's networks.
        """
        import torch

        request, networks = self.request, self.networks
        steps = [Step(number, phase, networks, self.defense_draw, self.context, state) for state in self.states]
        hooks = list(zip(request.defenses, steps, strict=True))
        if phase.private:
            for defense, step in hooks:
                batch = check_batch(defense, batch, defense.transform_batch(batch, step))
        else:  # a public phase cannot read real records, not even how many were drawn
            batch = without_records(batch)
        exact = per_record(phase, request.defenses)
        arithmetic = Device(request.device.kind, request.device.index) if exact else request.device
        updater = self.updaters[phase.name]
        with only(networks, phase.roles):
            updater.begin()
            try:
                with arithmetic.autocast():
                    found = (
                        request.target.losses(phase, networks, batch, self.draw) if losses is None else losses(batch)
                    )
                    for defense, step in hooks:
                        found = check_losses(defense, found, defense.transform_losses(found, batch, step))
                updater.step(found, batch.size)
            finally:
                updater.end()
        self.history.add(f"loss/{phase.name}", found.total() / batch.size)
        gradients = [p.grad for p in parameters(networks, phase.roles) if p.grad is not None]
        self.history.add(f"grad_norm/{phase.name}", torch.nn.utils.get_total_norm(gradients))
        # What the target keeps is released: it may rest on what noise has covered, never on the losses of records.
        if exact:
            found, batch = Losses(None, found.public), without_records(batch)
        with torch.no_grad():
            request.target.after_update(phase, networks, found, batch)

    def stops(self, number: int) -> bool:
        """Whether some defense ends the training after this step; all are asked."""
        answers = [
            defense.after_step(number, self.networks, self.context, state)
            for defense, state in zip(self.request.defenses, self.states, strict=True)
        ]
        return any(answers)

    def claims(self) -> list[PrivacyClaim]:
        """What its private phases claim."""
        return [claim for updater in self.updaters.values() if (claim := updater.claim()) is not None]


def make_updater(phase: Phase, networks: Networks, defenses: Sequence[Defense], context: TrainingContext) -> Updater:
    """How a phase's losses become an update: the last defense of the stack that replaces it, or the plain one."""
    optimizer = context.target.optimizer(phase, parameters(networks, phase.roles))
    for defense in defenses:
        optimizer = defense.adapt_optimizer(phase, optimizer, context)
    optimizer.register_step_pre_hook(lambda made, *_: match_layout(made))
    for defense in reversed(defenses):
        if (updater := defense.updater(phase, networks, optimizer, context)) is not None:
            return updater
    return Updater(optimizer)


def match_layout(optimizer: torch.optim.Optimizer) -> None:
    """Lay every gradient out in memory as its parameter is.

    Torch's fused optimisers walk through both by their place in memory: a row-major gradient, such as Opacus' sum of
    per-record gradients, of channels-last weights would move the wrong ones, without an error.
    """
    import torch

    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None and p.grad.stride() != p.stride():
                p.grad = torch.empty_like(p, requires_grad=False).copy_(p.grad)


@contextmanager
def only(networks: Networks, roles: Sequence[str]) -> Iterator[None]:
    """Freeze every network but those of ``roles``: gradients flow through the others, not into them."""
    frozen = [p for name in networks if name not in roles for p in parameters(networks, [name]) if p.requires_grad]
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(True)


def without_records(batch: Batch) -> Batch:
    """The batch as public phases see it."""
    return replace(batch, x=batch.x[:0], labels=None if batch.labels is None else batch.labels[:0])


def per_record(phase: Phase, defenses: Sequence[Defense]) -> bool:
    """Whether this phase is updated from per-record gradients."""
    return phase.private and any(defense.per_record for defense in defenses)
