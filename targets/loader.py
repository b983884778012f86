"""Batches of real records: reshuffled epochs, or Poisson sampling where a defense's accounting needs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import to_device
from bench.records import Records
from bench.rng import generator
from targets.base import Batch

if TYPE_CHECKING:
    from defenses.base import TrainingContext


def batches(records: Records, context: TrainingContext, poisson: bool) -> Iterator[Batch]:
    """An endless stream of batches; ``Batch.size`` is always the public expected size."""
    import torch

    x = to_device(torch.from_numpy(records.floats()), context.device)
    labels = None if records.labels is None else torch.from_numpy(records.labels).to(context.device.name)
    rows = (
        poisson_rows(len(records), sample_rate(context), context.seed)
        if poisson
        else shuffled_rows(len(records), context.batch_size, context.seed)
    )
    for index in rows:
        place = torch.from_numpy(index).to(context.device.name)
        yield Batch(x[place], None if labels is None else labels[place], context.batch_size, records.schema)


def sample_rate(context: TrainingContext) -> float:
    """The probability with which Poisson sampling takes a record: from the *expected* number of records, so that
    the number that actually joined stays secret."""
    return min(1.0, context.batch_size / context.expected_records)


def shuffled_rows(n: int, size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Full batches from an endless sequence of permutations; every record is seen equally often."""
    rng = generator(seed, "shuffle")
    queue = np.zeros(0, np.int64)
    while True:
        while len(queue) < size:
            queue = np.concatenate([queue, rng.permutation(n)])
        yield queue[:size]
        queue = queue[size:]


def poisson_rows(n: int, rate: float, seed: int) -> Iterator[NDArray[np.int64]]:
    """Each record joins each batch by a draw of its own; a batch may be empty, and still counts."""
    rng = generator(seed, "poisson")
    while True:
        yield np.flatnonzero(rng.random(n) < rate).astype(np.int64)
