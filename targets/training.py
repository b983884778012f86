"""The one training loop: batches, phases, optimisers, history, snapshots, divergence, defenses' hooks.

A target supplies losses, a defense changes them through its hooks; everything else about training is here, once, so
that a defended and an undefended trial differ in the defense alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.devices import Device, deterministic, to_device
from bench.errors import InputError, PluginError
from bench.records import Records, Schema, to_stored
from bench.results import PrivacyClaim
from bench.rng import torch_generator
from defenses.base import Defense, TrainingContext, adapt_all
from targets.base import Draw, Networks, Target, modules, snapshot_steps, to_tensors
from targets.history import History
from targets.rounds import Round
from targets.trainee import Trainee, per_record

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
        snapshot_networks: whether the networks of every snapshot before the last step are kept too.
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
    snapshot_networks: bool = False


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
        parts: int64, the part that each of the request's records was in, where a defense divides them; else None.
        updates: what the server of federated training saw, round by round; () where there is none.
        snapshot_weights: step of a snapshot -> every parameter and buffer that the networks had, on the CPU; empty
            unless asked for.
    """

    networks: Networks
    status: Literal["completed", "diverged"]
    steps_done: int
    history: dict[str, NDArray[np.float64]]
    snapshot_steps: tuple[int, ...]
    snapshots: NDArray[np.generic]
    claim: PrivacyClaim | None
    parts: NDArray[np.int64] | None = None
    updates: tuple[Round, ...] = ()
    snapshot_weights: Mapping[int, Mapping[str, torch.Tensor]] = field(default_factory=dict)


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
        stack=repr(request.defenses),
        members=request.records,
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


@contextmanager
def evaluating(networks: Networks) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards the networks are in the mode they were in."""
    import torch

    training = {module: module.training for module in modules(networks, networks)}
    set_mode(networks, train=False)
    with torch.no_grad():
        yield
    for module, mode in training.items():
        module.train(mode)


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
            return _checked(defense, request, defense.procedure(request))
    networks, history = prepare(request)
    trainee = Trainee(request, context_of(request), networks, history)
    return run(request, networks, history, trainee.step, trainee.claims, trainee.stops)


def _checked(defense: Defense, request: TrainingRequest, result: TrainingResult) -> TrainingResult:
    """What a defense's own procedure left.

    Raises:
        PluginError: it divides records and does not say how, or releases updates and has none; or the reverse.
    """
    if not isinstance(result, TrainingResult):
        raise PluginError(f"{defense.name}: expected procedure to give a TrainingResult, got {type(result).__name__}")
    parts, n = result.parts, len(request.records)
    if (parts is not None) != bool(defense.partitions):
        raise PluginError(
            f"{defense.name}: expected `parts` of the result where `partitions` is set and nowhere else, got "
            f"{'none' if parts is None else 'some'} with partitions {defense.partitions}"
        )
    if parts is not None and (
        parts.shape != (n,) or parts.dtype != np.int64 or parts.min() < 0 or parts.max() >= defense.partitions
    ):
        raise PluginError(
            f"{defense.name}: expected `parts` to be int64 ({n},) from 0 to below {defense.partitions}, got "
            f"{parts.dtype} {parts.shape}"
        )
    if (
        result.status == "completed"
        and request.target.options.steps
        and bool(result.updates) != defense.releases_updates
    ):
        raise PluginError(
            f"{defense.name}: expected `updates` of the result where `releases_updates` is set and nowhere else, got "
            f"{len(result.updates)} rounds"
        )
    return result


def prepare(request: TrainingRequest) -> tuple[Networks, History]:
    """Networks before the first step, in training mode, and an empty history."""
    deterministic()
    target, context = request.target, context_of(request)
    networks = build_networks(target, request.defenses, context)
    if context.steps:
        nobody = request.records.take(np.zeros(0, np.int64))
        target.fit(networks, request.records, nobody if request.reference is None else request.reference)
    set_mode(networks, train=True)
    return networks, History({phase.name: phase.every for phase in target.phases()})


def run(
    request: TrainingRequest,
    networks: Networks,
    history: History,
    step: Callable[[int], None],
    claims: Callable[[], Sequence[PrivacyClaim]],
    stops: Callable[[int], bool] | None = None,
) -> TrainingResult:
    """The shared loop: steps until the last one, a divergence, or a defense's word, with snapshots on the way.

    Args:
        request: what is trained; a procedure of a defense passes its own on.
        networks: what is released, watched for values that are not finite and sampled from.
        history: into which ``step`` writes.
        step: makes one training step, by its number from 1.
        claims: what was claimed of the steps that were made.
        stops: whether the training ends after a step; None: never before the last.
    """
    target, steps = request.target, request.target.options.steps
    # Whether to stop is seen from outside. Under per-record defenses it must rest on what noise has covered: the
    # weights, the noisy gradients and what is generated, never on the loss of the real records themselves.
    unread = {f"loss/{phase.name}" for phase in target.phases() if per_record(phase, request.defenses)}
    keep = snapshot_steps(steps) if request.snapshot_records else ()
    snapshots: dict[int, NDArray[np.generic]] = {}
    weights: dict[int, dict[str, torch.Tensor]] = {}
    done, diverged = 0, False
    for number in range(1, steps + 1):
        step(number)
        history.close_step()
        done = number
        stop = stops is not None and stops(number)
        if number % CHECK_EVERY == 0 or number == steps or stop:
            bad = history.first_bad_step(target.loss_limit, unread)
            if bad is not None or not _finite(networks):
                done, diverged = (bad + 1 if bad is not None else number), True
                break
            if request.progress is not None:
                request.progress(number, steps)
        if number in keep or (stop and request.snapshot_records):
            snapshots[number] = generate(
                target, networks, request.records.schema, request.snapshot_records, request.seed, request.device
            )
            if request.snapshot_networks and number < steps:
                weights[number] = {name: tensor.cpu() for name, tensor in to_tensors(networks).items()}
        if stop:
            break
    set_mode(networks, train=False)
    nothing = np.zeros((0, 0, *request.records.schema.shape), request.records.x.dtype)
    kept = [number for number in snapshots if number < done or not diverged]
    return TrainingResult(
        networks=networks,
        status="diverged" if diverged else "completed",
        steps_done=done,
        history=history.arrays(done),
        snapshot_steps=tuple(kept),
        snapshots=np.stack([snapshots[number] for number in kept]) if kept else nothing,
        claim=_joint_claim(claims(), request.defenses),
        snapshot_weights={number: found for number, found in weights.items() if number in kept},
    )


def generate(
    target: Target, networks: Networks, schema: Schema, n: int, seed: int, device: Device, chunk: int | None = None
) -> NDArray[np.generic]:
    """``n`` stored records from the networks in eval mode, always from the same latents for the same seed."""
    return generate_labelled(target, networks, schema, n, seed, device, chunk)[0]


def generate_labelled(
    target: Target, networks: Networks, schema: Schema, n: int, seed: int, device: Device, chunk: int | None = None
) -> tuple[NDArray[np.generic], NDArray[np.int64] | None]:
    """As ``generate``, and the label that each record was made for; None where the target is not conditional."""
    draw = Draw(device, seed, "generate")
    labels = Draw(device, seed, "generated labels").labels(n, schema) if target.conditional else None
    parts, chunk = [], chunk or target.rows_per_call
    with evaluating(networks):
        for start in range(0, n, chunk):
            asked = None if labels is None else labels[start : start + chunk]
            x = target.generate(networks, min(chunk, n - start), draw, asked)
            parts.append(to_stored(x.float().cpu().contiguous().numpy(), schema))
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
