"""RelaxLoss: real records' loss is not pushed below the level that unseen records have reached."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import Field

from bench.devices import to_device
from bench.errors import IncompatibleError
from bench.records import Schema
from defenses.base import Defense, Step, TrainingContext
from targets.base import Batch, Draw, Losses, Networks, Target, modules

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


@dataclass
class Levels:
    """What one training knows of its validation records.

    Attributes:
        batches: the validation records, in batches no larger than those of training.
        draw: random numbers of their losses.
        found: phase -> level and standard deviation of their losses, float32 scalars, at the last look.
        first: phase -> their mean loss before the first update.
        looked: phase -> the step of the last look.
        rows: the real records of the batch at hand, as this defense was shown them.
    """

    batches: list[Batch]
    draw: Draw
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    first: dict[str, torch.Tensor] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=dict)
    rows: torch.Tensor | None = None


class RelaxLoss(Defense):
    """Real records are learnt no further once their loss is below the level that validation records have reached.

    In each phase that reads real records, the batch's mean private loss is compared with a level. At or above it,
    training descends as usual. Below it, the real rows' gradient changes its sign in even epochs, from 0, and is left
    out in odd ones; generated rows keep theirs, and the history keeps the losses as they are. The level is the mean
    loss of the defender's validation records in the same phase, taken every few steps with the networks as they train.
    It is never above the first one, that of untrained networks, which know nothing that could be unlearnt (ln 2 for a
    discriminator): else both losses would chase each other upwards. A critic's loss has no zero, and so no such bound.

    Departures from the paper, which is about classifiers:

    - Its level is a constant. Here ``level`` may be one; but a discriminator's loss has no known floor, since its
      opponent changes, so by default the level follows the validation records. Such a level starts where the batches
      do, and half of them would fall below it by chance alone: ``tolerance`` lowers it by that many standard errors of
      a batch's mean loss.
    - In odd epochs the paper flattens the posterior: it keeps the probability p of the true class, spreads 1 - p evenly
      over the others, and descends the cross-entropy towards that. With two classes, real and generated, this is the
      posterior itself, where the gradient is zero, and other targets have none: so it is left out. An optimiser with
      momentum moves on a little even then.

    Architecture, optimisers and number of updates are those of the undefended run.
    """

    name = "relaxloss"
    paper = (
        "Chen, Yu and Fritz, RelaxLoss: Defending Membership Inference Attacks without Losing Utility, ICLR 2022, "
        "algorithm 1"
    )
    adaptive = ("lira",)
    mixes_records = "the mean loss of a batch decides whether a record's gradient is added, subtracted or left out"

    class Options(Defense.Options):
        level: float | None = Field(None, allow_inf_nan=False)
        """A constant level in the unit of the target's loss, mostly nats; None: that of the validation records."""
        every: int = Field(10, ge=1)
        """Training steps from look to look at the validation records; of no effect on a constant level."""
        tolerance: float = Field(1.0, ge=0, allow_inf_nan=False)
        """Standard errors of a batch's mean loss by which it may lie below that of the validation records; of no effect
        on a constant level."""

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        if not any(phase.private for phase in target.phases()):
            return f"{self.name} watches the loss of real records, and {target.name} has none"
        for other in before:
            if self.options.level is None and _changes_losses(other):
                return (
                    f"{self.name} compares the losses of records and validation records before {other.name} changes "
                    f"any: write [{self.name}, {other.name}], or give a level"
                )
        return None

    def start(self, networks: Networks, context: TrainingContext) -> Levels:
        draw = Draw(context.device, context.seed, self.name, repr(self))
        if self.options.level is not None:
            return Levels([], draw)
        if not len(context.validation):
            raise IncompatibleError(
                f"{self.name}: expected validation records to take the level from, got none; set `validation`, or "
                "give a level"
            )
        return Levels(_batches(context), draw)

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        state, phase = step.state, step.phase.name
        if self.options.level is None:
            state.rows = batch.x
            if phase not in state.found or step.number - state.looked[phase] >= self.options.every:
                losses = validation_losses(state, step)
                level, state.looked[phase] = losses.mean(), step.number
                if not step.context.target.critic:
                    level = level.minimum(state.first.setdefault(phase, level))
                state.found[phase] = level, losses.std(correction=0)
        return batch

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        import torch

        if not step.phase.private or losses.private is None:
            return losses
        if self.options.level is None and batch.x is not step.state.rows:
            raise IncompatibleError(
                f"{self.name} compares the losses of records with those of validation records, but a later defense of "
                "the stack changes the former alone; leave it out, or give a level"
            )
        private = losses.private.float()
        fixed = private.detach()
        relaxed = -1.0 if epoch(step) % 2 == 0 else 0.0
        # Value and gradient apart, and no branch: the device is not waited for.
        sign = torch.where(fixed.mean() < self.threshold(step, len(batch.x)), relaxed, 1.0)
        return replace(losses, private=fixed + sign * (private - fixed))

    def threshold(self, step: Step, rows: int) -> float | torch.Tensor:
        """The mean loss below which a batch of so many rows is learnt no further."""
        if self.options.level is not None:
            return self.options.level
        level, deviation = step.state.found[step.phase.name]
        threshold: torch.Tensor = level - self.options.tolerance * deviation / rows**0.5
        return threshold


def epoch(step: Step) -> int:
    """How often the training has been through the expected number of records before this step."""
    return (step.number - 1) * step.context.batch_size // step.context.expected_records


def validation_losses(state: Levels, step: Step) -> torch.Tensor:
    """Private losses of the validation records in a phase, float32 ``(records,)``.

    They are taken as the batch's own will be, in training mode, so that dropout and the like raise both; what the
    networks count along the way, such as the statistics of BatchNorm, is put back.
    """
    import torch

    found = []
    with torch.no_grad(), step.context.device.autocast(), _unchanged_buffers(step.networks):
        for batch in state.batches:
            private = step.context.target.losses(step.phase, step.networks, batch, state.draw).private
            if private is not None:
                found.append(private.detach().float())
    return torch.cat(found)


def _batches(context: TrainingContext) -> list[Batch]:
    import torch

    records = context.validation
    x = to_device(torch.from_numpy(records.floats()), context.device)
    labels = None if records.labels is None else torch.from_numpy(records.labels).to(context.device.name)
    parts = -(-len(records) // context.batch_size)  # of sizes that differ by one at most: no small rest
    return [
        Batch(x[place], None if labels is None else labels[place], context.batch_size, records.schema)
        for place in torch.arange(len(records)).to(context.device.name).tensor_split(parts)
    ]


def _changes_losses(other: Defense) -> bool:
    """Whether it may change the losses of real records, or the records that they are of."""
    return (
        type(other).transform_losses is not Defense.transform_losses
        or type(other).transform_batch is not Defense.transform_batch
    )


@contextmanager
def _unchanged_buffers(networks: Networks) -> Iterator[None]:
    """Put back every buffer of the networks."""
    kept = [(buffer, buffer.clone()) for module in modules(networks, networks) for buffer in module.buffers()]
    yield
    for buffer, value in kept:
        buffer.copy_(value)
