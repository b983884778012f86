"""Small federated trainings, and the same clients training alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contracts.tiny import shortened
from bench.rng import derive_seed
from targets.base import Networks, Target, from_tensors, to_tensors
from targets.dcgan import DCGAN
from targets.trainee import Trainee
from targets.training import TrainingRequest, build_networks, context_of, prepare, set_mode


def small(steps: int = 5, **options: Any) -> Target:
    return shortened(DCGAN(width=4, latent=4, **options), steps)


def arrays(networks: Networks) -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in to_tensors(networks).items()}


def alone(request: TrainingRequest, index: int, part: NDArray[np.int64], start: Networks) -> Trainee:
    """A model of one client's records that nobody else has a part in, from the same weights."""
    mine = replace(request, records=request.records.take(part), seed=derive_seed(request.seed, "client", index))
    networks = build_networks(mine.target, mine.defenses, context_of(mine))
    from_tensors(networks, to_tensors(start))
    set_mode(networks, train=True)
    return Trainee(mine, context_of(mine), networks, prepare(mine)[1])
