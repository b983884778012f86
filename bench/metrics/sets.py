"""Sets of candidates that are all in or all out (Hilprecht et al., PoPETs 2019, section 3.2)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.privacy import accuracy as record_accuracy
from bench.metrics.roc import Bools, Floats, auc, checked, one_run
from bench.rng import RecordRng

NO_SET = -1
"""The set id of a record that belongs to no set."""

COMPOSE_SEED = 0  # attacks and defenses on the same candidates share their sets


def compose_sets(
    record_ids: NDArray[np.int64], membership: NDArray[Any], size: int, seed: int = COMPOSE_SEED
) -> NDArray[np.int64]:
    """Set ids int64 ``(n,)``: a random partition of each class into sets of ``size``.

    Sets of members come first, numbered from 0; what is left over gets -1. Drawn by record id, so the order
    of the candidates changes nothing.

    Raises:
        InputError: ``size`` is below 1, a record id occurs twice, or the lengths differ.
    """
    problems = []
    if size < 1:
        problems.append(f"expected sets of at least 1 record, got {size}")
    if record_ids.shape != membership.shape or record_ids.ndim != 1:
        problems.append(f"expected one membership per record id, got shapes {membership.shape} and {record_ids.shape}")
    if len(np.unique(record_ids)) != len(record_ids):
        problems.append("expected each candidate once, but some record ids occur twice")
    if problems:
        raise InputError(problems)
    draw = RecordRng(seed, "sets").uniform(record_ids)
    set_id = np.full(len(record_ids), NO_SET, dtype=np.int64)
    first = 0
    for member in (True, False):
        place = np.flatnonzero(membership == member)
        place = place[np.lexsort((record_ids[place], draw[place]))]
        full = len(place) // size
        set_id[place[: full * size]] = first + np.repeat(np.arange(full), size)
        first += full
    return set_id


def sets_of(set_id: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The positions of each set's records, by ascending set id."""
    return [np.flatnonzero(set_id == name) for name in np.unique(set_id[set_id != NO_SET])]


def set_means(scores: NDArray[Any], membership: NDArray[Any], set_id: NDArray[np.int64]) -> tuple[Floats, Bools]:
    """Mean score per set ``(seeds, sets)`` and the membership of the sets ``(sets,)``, by ascending set id.

    Raises:
        InputError: a set holds members and non-members, or the lengths differ.
    """
    values, member = checked(scores, membership)
    if set_id.shape != member.shape:
        raise InputError(f"expected {len(member)} set ids, got shape {set_id.shape}")
    places = sets_of(set_id)
    mixed = [int(set_id[place[0]]) for place in places if len(np.unique(member[place])) > 1]
    if mixed:
        raise InputError(f"expected sets that are all in or all out, got members and non-members in {mixed}")
    # fsum rounds once: a plain sum depends on the order and would break the ties of equal sets at random
    means = [[math.fsum(run[place]) / len(place) for place in places] for run in values]
    return np.array(means, dtype=np.float64).reshape(len(values), len(places)), np.array(
        [bool(member[place[0]]) for place in places], dtype=np.bool_
    )


def set_auc(scores: NDArray[Any], membership: NDArray[Any], set_id: NDArray[np.int64]) -> float:
    """P(mean of a member set > mean of a non-member set) + half the ties, for one run's scores ``(n,)``.

    Raises:
        InputError: see :func:`set_means`, or there is no set of one of the classes.
    """
    means, member = set_means(one_run(scores, membership)[0], membership, set_id)
    return auc(means[0], member)


def set_accuracy(scores: NDArray[Any], membership: NDArray[Any], set_id: NDArray[np.int64]) -> float:
    """LOGAN's accuracy over sets: the share of member sets among as many sets of the highest mean score.

    Raises:
        InputError: see :func:`set_means`, or there is no set of one of the classes.
    """
    means, member = set_means(one_run(scores, membership)[0], membership, set_id)
    return record_accuracy(means[0], member)
