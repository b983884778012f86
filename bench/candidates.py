"""Which candidates an attack judges, which of them it is told the truth of, and which records a model trains on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import WITH_REFERENCE, Attack, Knowledge, Shares, Source
from bench.data.split import Split
from bench.errors import InputError
from bench.records import Records
from bench.rng import RecordRng, generator

if TYPE_CHECKING:
    from bench.release import Model

LEAST = 2  # of each class: fewer have no interval
CHOICE_SEED = 0  # the same candidates for every trial, so that its seeds can be compared


@dataclass(frozen=True)
class Candidates:
    """An attack's candidates.

    Attributes:
        records: those to judge, sorted by id.
        membership: bool ``(n,)``, which of them are members.
        known: those whose truth the attacker is told, sorted by id.
        known_membership: bool, which of those are members.
        capped: whether some candidates are neither.
    """

    records: Records
    membership: NDArray[np.bool_]
    known: Records
    known_membership: NDArray[np.bool_]
    capped: bool


def candidates_of(split: Split, attack: Attack) -> Candidates:
    """The candidates of a split as an attack gets to judge them.

    Raises:
        InputError: its shares leave no member or no non-member to judge.
    """
    everyone, membership = split.candidates()
    known = known_mask(everyone.ids, membership, attack.known)
    judged = _judged_mask(split, everyone.ids, membership, known, attack.cap)
    for what, mask in (("member", membership), ("non-member", ~membership)):
        if mask.any() and not (judged & mask).any():
            raise InputError(
                f"{attack!r}: expected shares of known candidates, and a cap, that leave a {what} to judge, got none"
            )
    return Candidates(
        everyone.take(np.flatnonzero(judged)),
        membership[judged],
        everyone.take(np.flatnonzero(known)),
        membership[known],
        bool((~judged & ~known).any()),
    )


def granted(
    attack: Attack,
    candidates: Candidates,
    reference: Callable[[], Records],
    models: Mapping[str, Model],
    members: int,
    nonmembers: int,
) -> Knowledge:
    """What the attack's declared level grants, and nothing beyond.

    Args:
        reference: gives the records that an attacker may own.
        models: the attack's own.
        members, nonmembers: public sizes.
    """
    told: dict[str, tuple[Records, NDArray[np.bool_]]] = {
        "labelled": (candidates.known, candidates.known_membership),
        "labels": (candidates.records, candidates.membership),
    }
    membership = None
    if attack.knowledge in told:
        records, truth = told[attack.knowledge]
        membership = dict(zip(records.ids.tolist(), truth.tolist(), strict=True))
    return Knowledge(
        reference=reference() if attack.knowledge in WITH_REFERENCE else None,
        known=candidates.known if attack.knowledge == "labelled" else None,
        membership=membership,
        models=models,
        members=members,
        nonmembers=nonmembers,
    )


def judged_candidates(split: Split, attack: Attack) -> int:
    """How many candidates an attack judges; no record is read."""
    return sum(_judged(split, attack).values())


def too_few_judged(split: Split, attack: Attack) -> str | None:
    """Why too few candidates are left for an attack to judge, or None; no record is read."""
    left = _judged(split, attack)
    if not (split.ids["members"].size and split.ids["nonmembers"].size) or min(left.values()) >= LEAST:
        return None
    return (
        f"{attack.name} would judge {left[True]} members and {left[False]} non-members, after those that it is told of "
        f"or is capped by; at least {LEAST} of each can be compared"
    )


def _judged_mask(
    split: Split,
    ids: NDArray[np.int64],
    membership: NDArray[np.bool_],
    known: NDArray[np.bool_],
    cap: int | None,
) -> NDArray[np.bool_]:
    """Which candidates are judged, bool ``(n,)``: those that are not known, and of these at most so many.

    As many members as non-members are drawn, which makes the most of a cap. Where coins decided who is a member, the
    draw must not look at them: a certified bound holds for records chosen by chance or by the release alone, and of a
    balanced choice the last coin would be known from the others.
    """
    judged = ~known
    if cap is None:
        return judged
    left = np.flatnonzero(judged)
    classes = membership[left] if split.membership == "fixed" else np.ones(len(left), np.bool_)
    sizes = {member: int((classes == member).sum()) for member in (True, False)}
    chosen = _drawn(ids[left], "cap", _quotas(sizes, cap), classes)
    judged[left[~chosen]] = False
    return judged


def _judged(split: Split, attack: Attack) -> dict[bool, int]:
    if split.membership == "coin" and attack.cap is not None:
        ids = np.sort(np.concatenate([split.ids["members"], split.ids["nonmembers"]]))
        membership = np.isin(ids, split.ids["members"])
        judged = _judged_mask(split, ids, membership, known_mask(ids, membership, attack.known), attack.cap)
        return {member: int((judged & (membership == member)).sum()) for member in (True, False)}
    sizes = {True: len(split.ids["members"]), False: len(split.ids["nonmembers"])}
    known = attack.known.counts(sizes[True], sizes[False])
    return _quotas({member: size - known[member] for member, size in sizes.items()}, attack.cap)


def known_mask(ids: NDArray[np.int64], membership: NDArray[np.bool_], shares: Shares) -> NDArray[np.bool_]:
    """The candidates whose truth is told, bool ``(n,)``: shares of each class, drawn by record id."""
    members = int(membership.sum())
    return _drawn(ids, "known", shares.counts(members, len(ids) - members), membership)


def _quotas(sizes: Mapping[bool, int], cap: int | None) -> dict[bool, int]:
    """How many of each class are judged: as many members as non-members, where there are so many."""
    if cap is None:
        return dict(sizes)
    return {member: min(size, max(cap // 2, cap - sizes[not member])) for member, size in sizes.items()}


def _drawn(
    ids: NDArray[np.int64], purpose: str, sizes: Mapping[bool, int], membership: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """So many of each class, by a draw per record id, so that the other records do not matter."""
    mask = np.zeros(len(ids), dtype=np.bool_)
    if not any(sizes.values()):
        return mask
    draw = RecordRng(CHOICE_SEED, purpose).uniform(ids)
    for member, size in sizes.items():
        place = np.flatnonzero(membership == member)
        mask[place[np.lexsort((ids[place], draw[place]))][:size]] = True
    return mask


def model_records(
    asked: Mapping[str, Any],
    of: Callable[[Source], Records],
    candidates: Records,
    membership: NDArray[np.bool_],
) -> Records:
    """The records that a model of an attack trains on.

    Args:
        asked: ``source``, ``size``, ``seed``, ``part``, ``known`` and ``against`` as ``ModelRequest`` has them.
        of: the records of a source.
        candidates, membership: all candidates, and which of them are members.

    Raises:
        InputError: there are fewer records than asked for.
    """
    found = of(asked["source"])
    if asked.get("size") is not None:
        size, first = asked["size"], asked["part"] * asked["size"]
        if len(found) < first + size:
            raise InputError(
                f"expected at least {first + size} records of {asked['source']} for a model's {size} records, got "
                f"{len(found)}; ask for more of them in the matrix"
            )
        order = generator(asked["seed"], "model records", asked["source"]).permutation(len(found))
        found = found.take(np.sort(order[first : first + size]))
    shares = Shares(*asked.get("known", ()))
    if not shares and asked.get("against") is None:
        return found
    known = known_mask(candidates.ids, membership, shares)
    real = [found, candidates.take(np.flatnonzero(known & membership))]
    fake = [candidates.take(np.flatnonzero(known & ~membership))]
    if asked["against"] is not None:
        fake.append(of(asked["against"]))
    return _told_apart(real, fake)


def _told_apart(real: list[Records], fake: list[Records]) -> Records:
    """Records labelled 1 and 0, with ids of their own, since generated records have none that mean anything."""
    x = np.concatenate([part.x for part in (*real, *fake)])
    labels = np.repeat(np.array([1, 0]), [sum(map(len, real)), sum(map(len, fake))])
    schema = replace(real[0].schema, classes=2, class_shares=())
    return Records(np.arange(len(x), dtype=np.int64), x, labels, schema)
