"""The five-way split: who is trained on, who is not, and what attacker and defender may own.

Drawn once per data set from ``split_seed`` and shared by all trial seeds, so that rows are paired; or given by the
user as index files or as records of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.base import read_indices, read_npz, records_from_npz
from bench.errors import InputError
from bench.records import Records
from bench.rng import RecordRng, generator

ROLES = ("members", "nonmembers", "reference", "validation", "holdout")

MIN_CANDIDATES = 2  # a headline is chosen on one half of the candidates and read on the other

# How roles that are not given share the records that are left: an attacker's reference and the holdout of the
# quality metrics need the most, since density estimates and KID sharpen with n.
SHARES = {"members": 1, "nonmembers": 2, "reference": 3, "validation": 1, "holdout": 3}


class SplitRequest(Protocol):
    """What the split needs to know; the matrix's data-set entry has these fields."""

    @property
    def members(self) -> int | str | None: ...
    @property
    def nonmembers(self) -> int | str | None: ...
    @property
    def reference(self) -> int | str | None: ...
    @property
    def validation(self) -> int | str | None: ...
    @property
    def holdout(self) -> int | str | None: ...
    @property
    def split_seed(self) -> int: ...
    @property
    def membership(self) -> Literal["fixed", "coin"]: ...


@dataclass(frozen=True)
class Split:
    """A data set cut into five disjoint roles.

    Attributes:
        records: all records, those that the user brought for single roles included.
        ids: role -> record ids, sorted.
        membership: ``fixed``, or ``coin`` where each audit record joined by a fair coin of its own.
        expected_members: the number of members that is public knowledge (half the pool under ``coin``).
    """

    records: Records
    ids: Mapping[str, NDArray[np.int64]]
    membership: Literal["fixed", "coin"]
    expected_members: int

    def role(self, name: str) -> Records:
        """The records of one role."""
        return self.records.by_id(self.ids[name])

    def duplicates(self) -> int:
        """How many records of one role stand exactly alike in another role."""
        roles: dict[bytes, set[str]] = {}
        counts: dict[bytes, int] = {}
        for role in self.ids:
            for row in self.role(role).x:
                content = row.tobytes()
                roles.setdefault(content, set()).add(role)
                counts[content] = counts.get(content, 0) + 1
        return sum(counts[content] for content, where in roles.items() if len(where) > 1)

    def candidates(self) -> tuple[Records, NDArray[np.bool_]]:
        """Members and non-members sorted by id, and which of them are members."""
        ids = np.sort(np.concatenate([self.ids["members"], self.ids["nonmembers"]]))
        return self.records.by_id(ids), np.isin(ids, self.ids["members"])


def make_split(loaded: Records | None, request: SplitRequest, base_dir: Path) -> Split:
    """Cut the records as asked.

    Raises:
        InputError: more records asked than there are, files that do not fit, roles that overlap, no members.
    """
    records, given = _given_roles(loaded, request, base_dir)
    free = np.setdiff1d(_drawable(loaded), np.concatenate([np.zeros(0, np.int64), *given.values()]))
    counts = _counts(request, len(free))
    if sum(counts.values()) > len(free):
        asked = " + ".join(f"{role} {n}" for role, n in counts.items())
        raise InputError(
            f"expected a split within the {len(free)} records that are there, but it asks for "
            f"{sum(counts.values())} ({asked}); ask for fewer, or give a role as a file"
        )
    shuffled = generator(request.split_seed, "split").permutation(free)
    ids: dict[str, NDArray[np.int64]] = {}
    start = 0
    for role in ROLES:
        if role in given:
            ids[role] = np.sort(given[role])
        else:
            ids[role] = np.sort(shuffled[start : start + counts[role]])
            start += counts[role]
    expected = len(ids["members"])
    if request.membership == "coin":
        ids, expected = _toss(ids, given, request.split_seed)
    problems = [
        f"expected at least {MIN_CANDIDATES} records as {role}, got {len(ids[role])}"
        for role in ("members", "nonmembers")
        if len(ids[role]) < MIN_CANDIDATES
    ]
    if problems:
        raise InputError(problems)
    return Split(records, ids, request.membership, expected)


def _counts(request: SplitRequest, free: int) -> dict[str, int]:
    """How many records each role draws: as asked, or its share of what the others leave."""
    counts = {role: int(value) for role in ROLES if isinstance(value := getattr(request, role), int)}
    silent = [role for role in ROLES if getattr(request, role) is None]
    left, shares = max(0, free - sum(counts.values())), sum(SHARES[role] for role in silent)
    return {**counts, **{role: left * SHARES[role] // shares for role in silent}}


def _drawable(loaded: Records | None) -> NDArray[np.int64]:
    return np.zeros(0, np.int64) if loaded is None else loaded.ids


def _given_roles(
    loaded: Records | None, request: SplitRequest, base_dir: Path
) -> tuple[Records, dict[str, NDArray[np.int64]]]:
    """Roles that the user gave: as indices into the loaded records, or as records of their own."""
    parts = [] if loaded is None else [loaded]
    given: dict[str, NDArray[np.int64]] = {}
    problems = []
    for role in ROLES:
        value = getattr(request, role)
        if value is None or isinstance(value, int):
            continue
        path = base_dir / value
        try:
            if path.suffix == ".npz" and "indices" not in read_npz(path):
                own = records_from_npz(path, first_id=sum(len(p) for p in parts))
                if parts and own.schema != parts[0].schema:
                    raise InputError(f"{path}: expected records like the others, {parts[0].schema}, got {own.schema}")
                parts.append(own)
                given[role] = own.ids
                continue
            indices = read_indices(path)
            if loaded is None or indices.max() >= len(loaded):
                there = 0 if loaded is None else len(loaded)
                raise InputError(f"{path}: index {indices.max()} is beyond the {there} records of the data set")
            given[role] = indices
        except InputError as error:
            problems += [f"{role}: {problem}" for problem in error.problems]
    for i, first in enumerate(given):
        for second in list(given)[i + 1 :]:
            if len(shared := np.intersect1d(given[first], given[second])):
                problems.append(
                    f"{first} and {second} share {len(shared)} records (id {shared[0]} first); make them disjoint"
                )
    if not parts and not problems:
        problems.append("expected records to split: give the data set a `path`, or a file for every role")
    if problems:
        raise InputError(problems)
    return _join(parts), given


def _join(parts: list[Records]) -> Records:
    if len(parts) == 1:
        return parts[0]
    labels = [p.labels for p in parts if p.labels is not None]
    return Records(
        np.concatenate([p.ids for p in parts]),
        np.concatenate([p.x for p in parts]),
        np.concatenate(labels) if len(labels) == len(parts) else None,
        parts[0].schema,
    )


def _toss(
    ids: dict[str, NDArray[np.int64]], given: Mapping[str, NDArray[np.int64]], seed: int
) -> tuple[dict[str, NDArray[np.int64]], int]:
    """Let each audit record join by its own fair coin (Steinke, Nasr and Jagielski, NeurIPS 2023, algorithm 1)."""
    if set(given) & {"members", "nonmembers"}:
        raise InputError(
            "membership: coin decides by chance who is a member, so members and nonmembers cannot be files"
        )
    if len(ids["members"]) != len(ids["nonmembers"]):
        raise InputError(
            "membership: coin expects as many members as nonmembers (together they are the audit records, and half "
            f"of them is expected to join), got {len(ids['members'])} and {len(ids['nonmembers'])}"
        )
    pool = np.sort(np.concatenate([ids["members"], ids["nonmembers"]]))
    joins = RecordRng(seed, "coin").uniform(pool) < 0.5
    return {**ids, "members": pool[joins], "nonmembers": pool[~joins]}, len(pool) // 2
