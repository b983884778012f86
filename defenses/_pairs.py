"""Generators and discriminators of one training on disjoint parts of the members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.errors import IncompatibleError, PluginError
from bench.rng import derive_seed
from defenses._partition import records_of
from defenses.base import Step
from targets.base import Batch, Losses, Networks, Phase, Target

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from targets.history import History
    from targets.trainee import Trainee
    from targets.training import TrainingRequest


def refuses_pairs(name: str, target: Target) -> str | None:
    """Why a target cannot be trained with several generators or discriminators, or None. No torch here."""
    if set(target.roles) != {"generator", "discriminator"}:
        networks = " and ".join(target.roles) or "no networks"
        return f"{name} divides the members among discriminators of a GAN, but {target.name} has {networks}"
    updates = {phase.roles: phase.private for phase in target.phases()}
    if len(target.phases()) != 2 or updates != {("discriminator",): True, ("generator",): False}:
        return (
            f"{name} needs one update of the discriminator that reads real records and one of the generator that reads "
            f"none, but {target.name} updates {' and then '.join('+'.join(p.roles) for p in target.phases())}"
        )
    if type(target).fit is not Target.fit:
        return f"{target.name} fits something on all records before it trains, and {name} trains on parts of them"
    return None


def pair_of(name: str, target: Target, networks: Networks) -> tuple[nn.Module, nn.Module]:
    """The target's generator and its discriminator, which has no state beside statistics of normalisation layers.

    Raises:
        IncompatibleError: there are several, or the discriminator keeps a balance with one generator.
    """
    from torch.nn.modules.batchnorm import _NormBase

    counts = {role: len(networks[role]) for role in ("generator", "discriminator")}
    if set(counts.values()) != {1}:
        raise IncompatibleError(f"{name}: expected one generator and one discriminator of {target.name}, got {counts}")
    (generator,), (discriminator,) = networks["generator"], networks["discriminator"]
    layers = (module for module in discriminator.modules() if not isinstance(module, _NormBase))
    if kept := sorted({buffer for layer in layers for buffer, _ in layer.named_buffers(recurse=False)}):
        raise IncompatibleError(
            f"{name} changes the loss of the generator, from which the discriminator of {target.name} keeps "
            f"{', '.join(kept)}: a balance of one generator with one discriminator"
        )
    return generator, discriminator


def trainees(
    request: TrainingRequest, networks: Sequence[Networks], part_of: NDArray[np.int64], history: History
) -> list[Trainee]:
    """One model in training per part of the request's records, each with seeds of its own.

    A part that is smaller than a batch is seen more than once in it.
    """
    from targets.trainee import Trainee
    from targets.training import context_of

    found = []
    for part, records in enumerate(records_of(request.records, part_of, len(networks))):
        own = replace(
            request,
            records=records,
            expected_records=max(1, request.expected_records // len(networks)),
            seed=derive_seed(request.seed, "part", part),
        )
        found.append(Trainee(own, context_of(own), networks[part], history))
    return found


def finisher(trainee: Trainee, networks: Networks) -> Trainee:
    """What updates these networks by the trainee's optimisers from losses that its defenses have changed already.

    A term that is added to what the target and the other defenses made of the loss cannot be lost to them then.
    """
    from targets.trainee import Trainee

    found = Trainee(replace(trainee.request, defenses=()), trainee.context, networks, trainee.history)
    found.updaters = trainee.updaters
    return found


def generator_rows(trainee: Trainee, losses: Losses, phase: Phase, batch: Batch, number: int) -> torch.Tensor:
    """A generator's loss by generated row, float32 ``(size,)``, as the trainee's defenses change it.

    Raises:
        PluginError: there are losses of real records among them, or none at all.
    """
    for defense, state in zip(trainee.request.defenses, trainee.states, strict=True):
        step = Step(number, phase, trainee.networks, trainee.defense_draw, trainee.context, state)
        losses = defense.transform_losses(losses, batch, step)
    if losses.public is None or losses.private is not None:
        raise PluginError(
            f"expected losses of generated rows alone from {trainee.request.target.name} in {phase.name}, a phase that "
            "reads no real records"
        )
    return losses.public.float()


def some_stop(pairs: Sequence[Trainee], number: int) -> bool:
    """Whether a defense ends the training of some pair, and so of all; every pair's defenses are asked."""
    answers = [pair.stops(number) for pair in pairs]
    return any(answers)
