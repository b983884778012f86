"""Early stopping: training ends by what the defender can see of overfitting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from bench.devices import to_device
from bench.errors import IncompatibleError
from bench.records import Records, Schema
from bench.rng import generator
from defenses.base import Defense, TrainingContext
from targets.base import Batch, Draw, Networks, Phase, Target, from_tensors, to_tensors

if TYPE_CHECKING:
    import torch

ROWS = 250  # records whose losses are computed at once; bounds the memory
GAP = 0.3  # nats; a discriminator at its start, which cannot tell real from generated, has a loss of ln 2 = .69


@dataclass
class Watch:
    """What the checks of one training have seen.

    Attributes:
        lowest: the lowest validation loss.
        stale: checks in a row that spoke for ending.
        kept: the networks of the last check that did not.
    """

    lowest: float = math.inf
    stale: int = 0
    kept: dict[str, torch.Tensor] | None = None


class EarlyStopping(Defense):
    """Ends training once validation records, which the defender owns, are modelled worse than the members.

    Every few steps it takes the mean loss of the validation records in the first phase that reads real records, in
    evaluation mode and always with the same random draws, so that it changes with the networks alone. By ``monitor:
    gap`` a check speaks for ending where that loss exceeds the mean loss of as many members, taken in the same way, by
    more than ``tolerance``; by ``monitor: validation``, where it is no lower than the lowest. Training ends when
    ``patience`` checks in a row do.

    Departures: Prechelt's criteria are of a loss that is minimised; ``validation`` waits for a new lowest value, where
    his third criterion counts rises in a row. A GAN's discriminator has an opponent, and its loss of validation records
    rises from early on though nothing is memorised yet, and swings from check to check; hence the gap is the default,
    and the patience holds for it too. The number of updates differs from the undefended run's: that is the defense.
    """

    name = "early_stopping"
    paper = "Prechelt, Early Stopping - But When?, in Neural Networks: Tricks of the Trade, 1998, section 2.1"
    caveat = "It makes fewer updates than the undefended run, so its samples may be worse for that reason alone."

    class Options(Defense.Options):
        monitor: Literal["gap", "validation"] = "gap"
        """What a check reads: the gap between validation records and members, or the validation loss alone, which suits
        a VAE or a diffusion model."""
        every: int = Field(50, ge=1)
        """Training steps from check to check; the last step is checked too."""
        patience: int = Field(3, ge=1)
        """Checks in a row that must speak for ending."""
        tolerance: float | None = Field(None, allow_inf_nan=False)
        """Largest gap that is no overfitting, in the unit of the loss; None: .3 nats of a discriminator that is trained
        as a classifier; for other targets it must be given. Of no effect on `validation`."""
        restore: bool = True
        """Whether the networks of the last check that did not speak for ending are released, where there is one; else
        those that training ended with."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.options.monitor == "gap":
            self.reads_members = "when training ends rests on the losses of members, which no noise covers"

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        if replacing := [other.name for other in before if other.replaces_procedure]:
            return f"{self.name} watches the training of one model, but {replacing[0]} replaces the training procedure"
        if any(other.name == self.name for other in before):
            return f"{self.name} stands twice in the stack, and each would release the networks of a check of its own"
        if not any(phase.private for phase in target.phases()):
            return f"{self.name} watches the loss of real records, but {target.name} has none"
        o, classifies = self.options, "discriminator" in target.roles and not target.critic
        if o.monitor == "gap" and o.tolerance is None and not classifies:
            return f"{self.name} needs a tolerance in the unit of the loss of {target.name}, or monitor: validation"
        if o.monitor == "validation" and target.critic:
            return f"the critic of {target.name} has no zero, so its loss drifts; use monitor: gap with a tolerance"
        return None

    def start(self, networks: Networks, context: TrainingContext) -> Watch:
        if not len(context.validation):
            raise IncompatibleError(f"{self.name}: expected validation records to watch, got none; set `validation`")
        return Watch()

    def after_step(self, number: int, networks: Networks, context: TrainingContext, state: Watch) -> bool:
        if number % self.options.every and number != context.steps:
            return False
        fine = self._fine(networks, context, state)
        state.stale = 0 if fine else state.stale + 1
        stop = state.stale >= self.options.patience
        if self.options.restore:
            if fine:
                state.kept = to_tensors(networks)
            elif (stop or number == context.steps) and state.kept is not None:
                from_tensors(networks, state.kept)
        return stop

    def _fine(self, networks: Networks, context: TrainingContext, state: Watch) -> bool:
        """Whether a check does not speak for ending."""
        loss = mean_loss(context.validation, networks, context)
        if self.options.monitor == "validation":
            fine = loss < state.lowest
            state.lowest = min(loss, state.lowest)
            return fine
        limit = GAP if self.options.tolerance is None else self.options.tolerance
        return loss - mean_loss(some_members(context), networks, context) <= limit


def some_members(context: TrainingContext) -> Records:
    """As many members as there are validation records, or all; the same ones at every check."""
    if context.members is None or not len(context.members):
        raise IncompatibleError("early_stopping: expected members to compare validation records with, got none")
    order = generator(context.seed, "early stopping members").permutation(len(context.members))
    return context.members.take(np.sort(order[: len(context.validation)]))


def watched(target: Target) -> Phase:
    """The first phase that reads real records."""
    return next(phase for phase in target.phases() if phase.private)


def mean_loss(records: Records, networks: Networks, context: TrainingContext) -> float:
    """The mean loss of records in the watched phase, in eval mode; the networks are left in the mode they were in."""
    import torch

    from targets.training import evaluating

    target = context.target
    draw = Draw(context.device, context.seed, "early stopping")  # the same draws at every check
    found = []
    with evaluating(networks):
        for start in range(0, len(records), ROWS):
            part = records.take(np.arange(start, min(start + ROWS, len(records))))
            x = to_device(torch.from_numpy(part.floats()), context.device)
            labels = None if part.labels is None else torch.from_numpy(part.labels).to(context.device.name)
            batch = Batch(x, labels, len(part), records.schema)
            found.append(target.losses(watched(target), networks, batch, draw).private)
    return float(torch.cat([losses for losses in found if losses is not None]).double().mean())
