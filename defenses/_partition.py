"""Divides records among clients, pairs or teachers: disjoint parts that together hold every record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import IncompatibleError
from bench.records import Records
from bench.rng import generator


def even_parts(n: int, parts: int, seed: int) -> NDArray[np.int64]:
    """Which part each of ``n`` records is in, int64 ``(n,)``: by chance, and parts differ by one record at most.

    Raises:
        IncompatibleError: there are fewer records than parts.
    """
    if n < parts:
        raise IncompatibleError(f"expected at least one record for each of {parts} parts, got {n} records")
    return generator(seed, "parts").permutation(np.arange(n, dtype=np.int64) % parts)


def skewed_parts(labels: NDArray[np.int64], parts: int, concentration: float, seed: int) -> NDArray[np.int64]:
    """Which part each record is in, int64 ``(n,)``, where parts prefer labels: no part is left empty.

    Each label is divided by shares of a symmetric Dirichlet distribution (Hsu, Qi and Brown, Measuring the Effects of
    Non-Identical Data Distribution for Federated Visual Classification, 2019, section 3).

    Args:
        labels: int64 ``(n,)``.
        parts: how many.
        concentration: of the Dirichlet; small: a label lies in few parts.
        seed: root of the generator.

    Raises:
        IncompatibleError: there are fewer records than parts.
    """
    if len(labels) < parts:
        raise IncompatibleError(f"expected at least one record for each of {parts} parts, got {len(labels)} records")
    rng = generator(seed, "skewed parts")
    found = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        place = rng.permutation(np.flatnonzero(labels == label))
        shares = rng.dirichlet(np.full(parts, concentration))
        ends = np.rint(np.cumsum(shares) * len(place)).astype(np.int64)[:-1]
        for part, members in enumerate(np.split(place, ends)):
            found[members] = part
    for part in range(parts):  # an empty part takes one record of the largest
        if not (found == part).any():
            largest = np.bincount(found, minlength=parts).argmax()
            found[rng.choice(np.flatnonzero(found == largest))] = part
    return found


def records_of(records: Records, part_of: NDArray[np.int64], parts: int) -> Sequence[Records]:
    """The records of each part."""
    return [records.take(np.flatnonzero(part_of == part)) for part in range(parts)]
