"""The one training loop: batches, phases, optimisers, history, snapshots, divergence, defenses' hooks.

A target supplies losses, a defense changes them through its hooks; everything else about training is here, once, so
that a defended and an undefended trial differ in the defense alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.devices import Device, deterministic, to_device
from bench.errors import InputError
from bench.records import Records, Schema, to_stored
from bench.results import PrivacyClaim
from bench.rng import torch_generator
from defenses.base import Defense, TrainingContext, Updater, adapt_all
from targets.base import SNAPSHOTS, Batch, Draw, Losses, Networks, Phase, Target, modules, parameters
from targets.loader import batches

if TYPE_CHECKING:
    import torch

CHECK_EVERY = 25  # steps between looks at the losses for divergence; looking costs a wait for the device

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TrainingRequest:
    """Everything that determines a training run.

    Attributes:
        target, defenses: what to train, and the stack of defenses in order.
        records: the records to train on.
        expected_records: the number of records that is public knowledge; with coin membership the expected one.
        validation: records that the defenses may read.
        seed: root of every generator of this run.
        device: where to train, and in which arithmetic.
        snapshot_records: generated records kept at each of the snapshots; 0 for none.
        progress: called now and then with (steps done, steps in all).
        reference: the attacker's records, which only a control of known leakage may read; None: there are none.
    """

    target: Target
    defenses: tuple[Defense, ...]
    records: Records
    expected_records: int
    validation: Records
    seed: int
    device: Device
    snapshot_records: int = 0
    progress: Progress | None = None
    reference: Records | None = None


@dataclass(frozen=True)
class TrainingResult:
    """What a training run leaves behind.

    Attributes:
        networks: in eval mode, on the training device.
        status: ``diverged`` after a non-finite loss or weight, or a loss beyond the target's limit.
        steps_done: steps completed.
        history: ``loss/<phase>`` and ``grad_norm/<phase>``, float64, one value per update: ``(steps_done,)`` each, or
            ``(steps_done // every,)`` of a phase that does not run on every step.
        snapshot_steps: the steps after which records were generated for quality over time; none from divergence on.
        snapshots: stored records ``(snapshots, snapshot_records, *shape)``.
        claim: the privacy claim of the run, if a defense makes one.
    """

    networks: Networks
    status: Literal["completed", "diverged"]
    steps_done: int
    history: dict[str, NDArray[np.float64]]
    snapshot_steps: tuple[int, ...]
    snapshots: NDArray[np.generic]
    claim: PrivacyClaim | None


@dataclass
class _History:
    """Losses and gradient norms, kept on the device until somebody looks."""

    every: dict[str, int]  # phase -> steps per update
    pending: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    seen: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: torch.Tensor) -> None:
        self.pending.setdefault(name, []).append(value.detach().float())

    def flush(self) -> None:
        import torch

        for name, values in self.pending.items():
            if values:
                self.seen.setdefault(name, []).extend(torch.stack(values).double().cpu().tolist())
                values.clear()

    def first_bad_step(self, limit: float, unread: Collection[str] = ()) -> int | None:
        """Index of the first step whose loss or gradient is not finite, or whose loss is beyond the limit.

        Args:
            unread: histories that may not decide it.
        """
        self.flush()
        bad = [
            (int(index[0]) + 1) * self._every(name) - 1
            for name, values in self.seen.items()
            if name not in unread
            and len(index := np.flatnonzero(_beyond(np.asarray(values), limit if name.startswith("loss/") else np.inf)))
        ]
        return min(bad) if bad else None

    def arrays(self, steps: int) -> dict[str, NDArray[np.float64]]:
        """What the first ``steps`` steps left."""
        self.flush()
        return {
            name: np.asarray(values[: steps // self._every(name)], dtype=np.float64)
            for name, values in sorted(self.seen.items())
        }

    def _every(self, name: str) -> int:
        return self.every[name.partition("/")[2]]


def _beyond(values: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    return ~np.isfinite(values) | (np.abs(values) > limit)


@contextmanager
def _only(networks: Networks, roles: Sequence[str]) -> Iterator[None]:
    """Freeze every network but those of ``roles``: gradients flow through the others, not into them."""
    frozen = [p for name in networks if name not in roles for p in parameters(networks, [name]) if p.requires_grad]
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(True)


def context_of(request: TrainingRequest) -> TrainingContext:
    """What the defenses may know of this run."""
    return TrainingContext(
        target=request.target,
        schema=request.records.schema,
        expected_records=request.expected_records,
        steps=request.target.options.steps,
        batch_size=request.target.options.batch_size,
        seed=request.seed,
        device=request.device,
        validation=request.validation,
    )


def build_networks(target: Target, defenses: Sequence[Defense], context: TrainingContext) -> Networks:
    """The networks of a trial before training: the target's own, changed by its defenses, on the device."""
    rng = torch_generator(context.seed, "weights", target.name)
    networks = adapt_all(defenses, target.build(context.schema, rng), context)
    for module in modules(networks, networks):
        module.to(context.device.name)
        for p in module.parameters():
            if p.dim() == 4:
                p.data = to_device(p.data, context.device)
    return networks


def set_mode(networks: Networks, train: bool) -> None:
    """Training or evaluation mode for all networks."""
    for module in modules(networks, networks):
        module.train(train)


def train(request: TrainingRequest) -> TrainingResult:
    """Train a target under its defenses.

    Raises:
        InputError: there are no records to train on.
        IncompatibleError: a defense finds nothing to act on.
    """
    if len(request.records) == 0 and request.target.options.steps > 0:
        raise InputError(f"expected at least one record to train {request.target.name} on, got none")
    for defense in request.defenses:
        if defense.replaces_procedure:
            return defense.procedure(request)
    return _loop(request)


def _loop(request: TrainingRequest) -> TrainingResult:
    deterministic()
    target, device, context = request.target, request.device, context_of(request)
    networks = build_networks(target, request.defenses, context)
    if context.steps:
        nobody = request.records.take(np.zeros(0, np.int64))
        target.fit(networks, request.records, nobody if request.reference is None else request.reference)
    set_mode(networks, train=True)
    phases = target.phases()
    updaters = {phase: _updater(phase, networks, request.defenses, context) for phase in phases}
    draw = Draw(device, request.seed, "noise")
    defense_draw = Draw(device, request.seed, "defense")
    source = batches(request.records, context, any(d.poisson() for d in request.defenses))
    history, steps = _History({phase.name: phase.every for phase in phases}), context.steps
    # Whether to stop is seen from outside. Under per-record defenses it must rest on what noise has covered: the
    # weights, the noisy gradients and what is generated, never on the loss of the real records themselves.
    unread = {f"loss/{phase.name}" for phase in phases if _per_record(phase, request.defenses)}
    keep = _snapshot_steps(steps) if request.snapshot_records else ()
    snapshots: list[NDArray[np.generic]] = []
    done, diverged = 0, False
    for step in range(1, steps + 1):
        batch = next(source)
        for phase in (phase for phase in phases if step % phase.every == 0):
            _update(phase, updaters[phase], networks, request, batch, draw, defense_draw, history)
        done = step
        if step % CHECK_EVERY == 0 or step == steps:
            bad = history.first_bad_step(target.loss_limit, unread)
            if bad is not None or not _finite(networks):
                done, diverged = (bad + 1 if bad is not None else step), True
                break
            if request.progress is not None:
                request.progress(step, steps)
        if step in keep:
            snapshots.append(
                generate(target, networks, request.records.schema, request.snapshot_records, request.seed, device)
            )
    set_mode(networks, train=False)
    nothing = np.zeros((0, 0, *request.records.schema.shape), request.records.x.dtype)
    kept = [step for step in keep[: len(snapshots)] if step < done or not diverged]
    claims = [claim for updater in updaters.values() if (claim := updater.claim()) is not None]
    return TrainingResult(
        networks=networks,
        status="diverged" if diverged else "completed",
        steps_done=done,
        history=history.arrays(done),
        snapshot_steps=tuple(kept),
        snapshots=np.stack(snapshots[: len(kept)]) if kept else nothing,
        claim=_joint_claim(claims, request.defenses),
    )


def _update(
    phase: Phase,
    updater: Updater,
    networks: Networks,
    request: TrainingRequest,
    batch: Batch,
    draw: Draw,
    defense_draw: Draw,
    history: _History,
) -> None:
    import torch

    if phase.private:
        for defense in request.defenses:
            batch = defense.transform_batch(phase, batch, defense_draw)
    else:  # a public phase cannot read real records, not even how many were drawn
        batch = _without_records(batch)
    exact = _per_record(phase, request.defenses)
    arithmetic = Device(request.device.kind, request.device.index) if exact else request.device
    with _only(networks, phase.roles):
        updater.begin()
        try:
            with arithmetic.autocast():
                losses = request.target.losses(phase, networks, batch, draw)
                for defense in request.defenses:
                    losses = defense.transform_losses(phase, losses, networks, batch)
            updater.step(losses, batch.size)
        finally:
            updater.end()
    history.add(f"loss/{phase.name}", losses.total() / batch.size)
    gradients = [p.grad for p in parameters(networks, phase.roles) if p.grad is not None]
    history.add(f"grad_norm/{phase.name}", torch.nn.utils.get_total_norm(gradients))
    if (
        exact
    ):  # what the target keeps is released: it may rest on what noise has covered, never on the losses of records
        losses, batch = Losses(None, losses.public), _without_records(batch)
    with torch.no_grad():
        request.target.after_update(phase, networks, losses, batch)


def _without_records(batch: Batch) -> Batch:
    return replace(batch, x=batch.x[:0], labels=None if batch.labels is None else batch.labels[:0])


def _per_record(phase: Phase, defenses: Sequence[Defense]) -> bool:
    """Whether this phase is updated from per-record gradients."""
    return phase.private and any(defense.per_record for defense in defenses)


def _updater(phase: Phase, networks: Networks, defenses: Sequence[Defense], context: TrainingContext) -> Updater:
    optimizer = context.target.optimizer(phase, parameters(networks, phase.roles))
    for defense in defenses:
        optimizer = defense.adapt_optimizer(phase, optimizer, context)
    for defense in reversed(defenses):
        if (updater := defense.updater(phase, networks, optimizer, context)) is not None:
            return updater
    return Updater(optimizer)


def _snapshot_steps(steps: int) -> tuple[int, ...]:
    """Evenly spaced steps, the last one included; fewer than ``SNAPSHOTS`` when training is very short."""
    return tuple(sorted({round(steps * (i + 1) / SNAPSHOTS) for i in range(SNAPSHOTS)} - {0}))


def generate(
    target: Target, networks: Networks, schema: Schema, n: int, seed: int, device: Device, chunk: int | None = None
) -> NDArray[np.generic]:
    """``n`` stored records from the networks in eval mode, always from the same latents for the same seed."""
    return generate_labelled(target, networks, schema, n, seed, device, chunk)[0]


def generate_labelled(
    target: Target, networks: Networks, schema: Schema, n: int, seed: int, device: Device, chunk: int | None = None
) -> tuple[NDArray[np.generic], NDArray[np.int64] | None]:
    """As ``generate``, and the label that each record was made for; None where the target is not conditional."""
    import torch

    training = {module: module.training for module in modules(networks, networks)}
    set_mode(networks, train=False)
    draw = Draw(device, seed, "generate")
    labels = Draw(device, seed, "generated labels").labels(n, schema) if target.conditional else None
    parts, chunk = [], chunk or target.rows_per_call
    with torch.no_grad():
        for start in range(0, n, chunk):
            asked = None if labels is None else labels[start : start + chunk]
            x = target.generate(networks, min(chunk, n - start), draw, asked)
            parts.append(to_stored(x.float().cpu().contiguous().numpy(), schema))
    for module, mode in training.items():
        module.train(mode)
    return np.concatenate(parts), None if labels is None else labels.cpu().numpy()


def _finite(networks: Networks) -> bool:
    import torch

    tensors = (t for module in modules(networks, networks) for t in module.state_dict().values())
    return all(bool(torch.isfinite(t).all()) for t in tensors)


def _joint_claim(claims: Sequence[PrivacyClaim], defenses: Sequence[Defense]) -> PrivacyClaim | None:
    """The run's claim, emptied where a defense of the stack reads members outside of the accounting."""
    if not claims:
        return None
    if len(claims) > 1:
        return claims[0].model_copy(
            update={
                "epsilon": None,
                "epsilon_rdp": None,
                "void_reason": "more than one phase reads real records",
            }
        )
    reasons = [f"{d.name}: {d.reads_members}" for d in defenses if d.reads_members]
    if reasons:
        return claims[0].model_copy(update={"epsilon": None, "epsilon_rdp": None, "void_reason": "; ".join(reasons)})
    return claims[0]
