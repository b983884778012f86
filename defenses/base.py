"""What a defense may change: hooks on the shared training loop, each doing nothing unless overridden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.devices import Device
from bench.errors import IncompatibleError, PluginError
from bench.plugin import Plugin, PluginOptions
from bench.records import Records, Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, modules

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from bench.results import PrivacyClaim
    from targets.training import TrainingRequest, TrainingResult


@dataclass(frozen=True)
class TrainingContext:
    """What a defense may know of the training that it changes.

    Attributes:
        target: the model under test.
        schema: shape of the records.
        expected_records: the number of members that a public observer expects (not the coins' outcome).
        steps, batch_size: the length of the training and its expected batch.
        seed: root of the defense's random generators.
        device: where training runs.
        validation: records that the defender owns; never members, reference or holdout.
        stack: the defenses of the training, in words: private noise of two stacks must not be the same.
        members: what is trained on; None where nothing is, as where a release is loaded. A defense that takes more
            from them than the training loss does says so in ``reads_members``.
    """

    target: Target
    schema: Schema
    expected_records: int
    steps: int
    batch_size: int
    seed: int
    device: Device
    validation: Records
    stack: str = ""
    members: Records | None = None


@dataclass(frozen=True)
class Step:
    """Where in a training a hook is called.

    Attributes:
        number: the training step, from 1.
        phase: the update that is being made.
        networks: those that the update's losses are computed with, in training mode.
        draw: named random tensors; defenses have a stream of their own, so that they change nobody else's draws.
        context: what a defense may know of the training.
        state: what this defense's ``start`` returned.
    """

    number: int
    phase: Phase
    networks: Networks
    draw: Draw
    context: TrainingContext
    state: Any = None


class Updater:
    """Turns the losses of one phase into one optimiser step: the plain one, which defenses may replace."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def begin(self) -> None:
        """Called before the phase's forward pass."""
        self.optimizer.zero_grad(set_to_none=True)

    def step(self, losses: Losses, size: int) -> None:
        """One update from per-row losses, divided by the public batch size."""
        (losses.total() / size).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def end(self) -> None:
        """Called after the update, before another phase runs through the same networks."""

    def claim(self) -> PrivacyClaim | None:
        """The privacy spent by the updates so far, or None where nothing is claimed."""
        return None


class Defense(Plugin):
    """Base class of defenses; every hook's default does nothing.

    Attributes:
        family: what kind of defense it is, for filters in tables.
        per_record: needs per-record gradients of the finished networks, so it must close a stack.
        accounted: whether it claims differential privacy, so that nothing else of the members may be released.
        replaces_procedure: whether ``procedure`` trains instead of the shared loop; at most one in a stack.
        releases_updates: whether what clients sent in each round is part of the release.
        partitions: into how many disjoint parts it divides the members, each of which trains networks; 0: none.
        adaptive: names of the attacks that know of this defense.
        reads_members: why this defense's use of member records voids a privacy claim; "" if it reads none.
        mixes_records: why no gradient belongs to one record under it, so that none can be clipped; "" if one does.
        caveat: what a reader of a row must know of what it protects, as a sentence; "" if nothing.
    """

    class Options(PluginOptions):
        """No options."""

    family: ClassVar[Literal["none", "regulariser", "privacy", "architecture", "release"]] = "regulariser"
    per_record: ClassVar[bool] = False
    accounted: ClassVar[bool] = False
    replaces_procedure: ClassVar[bool] = False
    releases_updates: ClassVar[bool] = False
    adaptive: ClassVar[tuple[str, ...]] = ()
    reads_members: str = ""
    mixes_records: str = ""
    caveat: str = ""

    @property
    def partitions(self) -> int:
        """Into how many disjoint parts it divides the members.

        A part may be dealt by a record's place among the members: one member more or less then moves others. That is
        of the training itself, and an audit by coins bounds what all of it tells of a record. But a claim *for a
        record* needs a draw by record id, as ``pate_gan`` makes it. A claim for a whole client is weaker for a record
        than its epsilon: the record changes what its client sends by up to twice the bound on a client and, dealt by
        place, trades a record between two others; that is worth up to four clients that come or go. So no audit of
        records refutes a claim for clients.
        """
        return 0

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        """Why this defense cannot be applied to this target after those defenses, or None. No torch here."""
        for other in before:
            if other.per_record and self.per_record:
                return f"{other.name} and {self.name} both clip per-record gradients; a stack can hold only one of them"
            if other.per_record:
                return (
                    f"{other.name} attaches to finished networks, so it must come last in a stack: "
                    f"write [{self.name}, {other.name}]"
                )
            if self.per_record and other.mixes_records:
                return f"{self.name} clips each record's gradient, but under {other.name} {other.mixes_records}"
            if self.per_record and other.replaces_procedure:
                return f"{self.name} accounts for one training, but {other.name} replaces the training procedure"
        if self.replaces_procedure and before:
            rest = ", ".join(other.name for other in before)
            return (
                f"{self.name} makes the networks that the others change, so it must come first in a stack: write "
                f"[{self.name}, {rest}]"
            )
        return None

    def training_size(self, members: int) -> int:
        """How many records are trained on where there are so many members; for attackers' models of the same kind."""
        return members

    def training_records(
        self, members: Records, validation: Records, expected: int | None = None
    ) -> tuple[Records, Records]:
        """The records to train on, and the validation records that are left to the other defenses.

        Args:
            members: those that joined.
            validation: those that the defender owns.
            expected: how many members a public observer expects, which may decide how many records are added; how many
                joined may not, where coins decided it. None: as many as there are.

        Raises:
            IncompatibleError: there are not enough.
        """
        return members, validation

    def procedure(self, request: TrainingRequest) -> TrainingResult:
        """Replace the whole training procedure; called only where ``replaces_procedure`` is set."""
        raise NotImplementedError(f"{self.name} sets replaces_procedure, so it must implement procedure")

    def start(self, networks: Networks, context: TrainingContext) -> Any:
        """What this defense keeps during one training, once its networks are built; arrives as ``step.state``."""
        return None

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        """Change or replace networks before training. The release is rebuilt by the same call.

        Raises:
            IncompatibleError: there is nothing to change, so the defense would be inert.
        """
        return networks

    def adapt_optimizer(
        self, phase: Phase, optimizer: torch.optim.Optimizer, context: TrainingContext
    ) -> torch.optim.Optimizer:
        """Change or replace the optimiser of one phase."""
        return optimizer

    def updater(
        self, phase: Phase, networks: Networks, optimizer: torch.optim.Optimizer, context: TrainingContext
    ) -> Updater | None:
        """Replace how losses become an update in this phase; None leaves it."""
        return None

    def poisson(self) -> bool:
        """Whether batches must be drawn by Poisson sampling."""
        return False

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        """Change the real records of one private phase; ``batch.size`` is public and stays."""
        return batch

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        """Change per-row losses of any phase, or add a term to them."""
        return losses

    def after_step(self, number: int, networks: Networks, context: TrainingContext, state: Any) -> bool:
        """Called after each training step; True ends the training. What it puts into ``networks`` is released."""
        return False

    def filter_samples(
        self, samples: NDArray[np.generic], members: Records, validation: Records
    ) -> NDArray[np.bool_] | None:
        """Which generated records may be released, as a mask; None releases all."""
        return None


def asked_networks(
    defense: Defense, networks: Networks, roles: Sequence[str], context: TrainingContext
) -> list[nn.Module]:
    """The networks of the roles that a defense's options name.

    Raises:
        IncompatibleError: the target has no such role.
    """
    if unknown := [role for role in roles if role not in networks]:
        raise IncompatibleError(
            f"{defense.name}: expected roles among {sorted(networks)} of {context.target.name}, got {unknown}"
        )
    return modules(networks, roles)


def weighted_layers(
    defense: Defense, networks: Networks, roles: Sequence[str], context: TrainingContext
) -> list[nn.Conv2d | nn.Linear | nn.ConvTranspose2d]:
    """The convolutions and linear layers of the roles that a normalisation's options name; maybe none.

    Raises:
        IncompatibleError: the target has no such role.
    """
    from torch import nn

    return [
        layer
        for module in asked_networks(defense, networks, roles, context)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.ConvTranspose2d)
    ]


def stack_refuses(defenses: Sequence[Defense], target: Target, schema: Schema) -> str | None:
    """Why a stack cannot be applied to a target, or None; known without building anything."""
    if (reason := target.refuses(schema)) is not None:
        return reason
    if target.brought and (late := [d.name for d in defenses if d.family not in ("none", "release")]):
        return f"{target.name} was trained elsewhere, so {' and '.join(late)} cannot change its training"
    procedures = [defense.name for defense in defenses if defense.replaces_procedure]
    if len(procedures) > 1:
        return f"at most one defense of a stack may replace the training procedure, got {' and '.join(procedures)}"
    for position, defense in enumerate(defenses):
        if defense in defenses[:position]:
            return f"{defense.name} stands twice in the stack with the same options"
        if (reason := defense.refuses(target, schema, defenses[:position])) is not None:
            return reason
    return None


def checked_filter(
    defense: Defense, samples: NDArray[np.generic], members: Records, validation: Records
) -> NDArray[np.bool_] | None:
    """Which generated records a defense lets pass; None: all.

    Raises:
        PluginError: it gives no mask of booleans, one per record; numbers would choose records in place of them.
    """
    import numpy as np

    mask = defense.filter_samples(samples, members, validation)
    if mask is None:
        return None
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (len(samples),):
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise PluginError(
            f"{defense.name}: expected filter_samples to give None or an array of {len(samples)} booleans, got {got}"
        )
    return mask


def check_batch(defense: Defense, given: Batch, found: object) -> Batch:
    """What a defense made of a batch.

    Raises:
        PluginError: it is no batch, or its public size is another one.
    """
    if not isinstance(found, Batch) or found.size != given.size:
        got = f"size {found.size}" if isinstance(found, Batch) else type(found).__name__
        raise PluginError(
            f"{defense.name}: expected transform_batch to give a Batch of the same public size, {given.size}, got {got}"
        )
    return found


def check_losses(defense: Defense, given: Losses, found: object) -> Losses:
    """What a defense made of the losses of a phase.

    Raises:
        PluginError: it is no Losses, or one of its parts is not a loss per row any more.
    """
    if not isinstance(found, Losses):
        raise PluginError(f"{defense.name}: expected transform_losses to give Losses, got {type(found).__name__}")
    for part in ("private", "public"):
        before, after = getattr(given, part), getattr(found, part)
        if before is not None and (after is None or after.shape != before.shape):
            raise PluginError(
                f"{defense.name}: expected {part} losses of one per row, {tuple(before.shape)}, got "
                f"{'none' if after is None else tuple(after.shape)}; they are reduced after all hooks"
            )
    return found


def training_size(defenses: Sequence[Defense], members: int) -> int:
    """How many records a stack trains on where there are so many members."""
    for defense in defenses:
        members = defense.training_size(members)
    return members


def adapt_all(defenses: Sequence[Defense], networks: Networks, context: TrainingContext) -> Networks:
    """Apply every defense's change of the networks, in the order of the stack."""
    for defense in defenses:
        networks = defense.adapt_networks(networks, context)
        missing = set(context.target.roles) - set(networks)
        if missing:
            raise IncompatibleError(f"{defense.name} removed the networks {sorted(missing)} of {context.target.name}")
    return networks
