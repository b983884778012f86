"""The threshold at which a released discriminator answers real or fake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import IncompatibleError
from bench.records import Records, to_float
from bench.rng import generator
from targets.base import Networks

if TYPE_CHECKING:
    from targets.training import TrainingRequest

RECORDS = 1000  # real and generated ones that a critic's threshold is set on, at most


def deciding_records(request: TrainingRequest) -> Records | None:
    """The real records that a critic's threshold is set on; None where the target has no critic.

    Those that it trains on, or the defender's validation records where training protects records.

    Raises:
        IncompatibleError: there are no validation records, and they are needed.
    """
    if not request.target.critic:
        return None
    protected = any(defense.per_record or defense.accounted for defense in request.defenses)
    records = request.validation if protected else request.records
    if not len(records):
        raise IncompatibleError(
            f"{request.target.name}: expected validation records to set the threshold of a private critic on, got "
            "none; set `validation`"
        )
    return records


def decision_thresholds(request: TrainingRequest, networks: Networks) -> tuple[float, ...]:
    """The threshold of each discriminator of a finished training, in the unit of its logit.

    A discriminator that was trained as a classifier answers at 0, the even odds of real and fake, and the tuple is
    empty. A critic's output has no such zero: its threshold is midway between its mean on the training records and its
    mean on generated ones. That mean is private information where training protects records, so there the defender's
    validation records stand for the training records.

    Raises:
        IncompatibleError: see ``deciding_records``.
    """
    import torch

    from bench.devices import to_device
    from targets.training import generate_labelled

    target, records = request.target, deciding_records(request)
    if records is None or "discriminator" not in networks:
        return ()
    chosen = generator(request.seed, "decision threshold").permutation(len(records))[:RECORDS]
    real = records.take(np.sort(chosen))
    seed = request.seed + (1 << 40)  # other latents than those of the released samples
    fake, labels = generate_labelled(target, networks, records.schema, len(real), seed, request.device)

    def mean(network: torch.nn.Module, x: NDArray[np.float32], y: NDArray[np.int64] | None) -> float:
        given = None if y is None or not target.conditional else torch.from_numpy(y).to(request.device.name)
        with torch.no_grad():
            logits = target.logit(network, to_device(torch.from_numpy(x), request.device), given)
        return float(logits.double().mean())

    return tuple(
        (mean(network, real.floats(), real.labels) + mean(network, to_float(fake, records.schema), labels)) / 2
        for network in networks["discriminator"]
    )
