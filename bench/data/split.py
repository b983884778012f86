"""The five-way split: who is trained on, who is not, and what attacker and defender may own.

Drawn once per data set from ``split_seed`` and shared by all trial seeds, so that rows are paired; or given by the
user as index files or as records of their own. For an audit, coins may decide who is a member; a sixth role then holds
what is trained on whatever they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.base import read_indices, read_npz, records_from_npz
from bench.data.canaries import Canaries, planted
from bench.data.coins import refuse_without_coins, toss
from bench.data.images import ImageRequest, Pictures, prepared
from bench.data.subset import Subset, SubsetRequest, choose
from bench.errors import InputError
from bench.records import Records
from bench.rng import generator

ROLES = ("members", "nonmembers", "reference", "validation", "holdout")
ALWAYS = "always"  # a role beside these, only where some records are in it

MIN_CANDIDATES = 2  # a headline is chosen on one half of the candidates and read on the other

# How roles that are not given share the records that are left: an attacker's reference and the holdout of the
# quality metrics need the most, since density estimates and KID sharpen with n.
SHARES = {"members": 1, "nonmembers": 2, "reference": 3, "validation": 1, "holdout": 3}


class SplitRequest(ImageRequest, SubsetRequest, Protocol):
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
    @property
    def always(self) -> int | str: ...
    @property
    def canaries(self) -> Canaries: ...


@dataclass(frozen=True)
class Split:
    """A data set cut into five disjoint roles, and perhaps a sixth.

    Attributes:
        records: the data set's records, without those that the subset or (for pictures) every role left out, and
            those that the user brought for single roles.
        ids: role -> record ids, sorted; ``always`` only where there are such records.
        membership: ``fixed``, or ``coin`` where each audit record joined by a fair coin of its own.
        expected_members: the number of members that is public knowledge (half the pool under ``coin``), without those
            that are trained on always.
        canaries: what was done to the members and the non-members, alike.
    """

    records: Records
    ids: Mapping[str, NDArray[np.int64]]
    membership: Literal["fixed", "coin"]
    expected_members: int
    canaries: Canaries = "none"

    def role(self, name: str) -> Records:
        """The records of one role."""
        return self.records.by_id(self.ids[name])

    @property
    def always(self) -> int:
        """How many records are trained on whatever the coins say; they are nobody's candidates."""
        return len(self.ids.get(ALWAYS, ()))

    @property
    def expected_training(self) -> int:
        """The size of the training set that is public knowledge: what sample rates and normalisers come from."""
        return self.expected_members + self.always

    def training(self) -> Records:
        """What the target is trained on: the members, and what is trained on always; sorted by id."""
        return self.records.by_id(self._sorted("members", ALWAYS))

    def imitated(self) -> NDArray[np.int64]:
        """Ids of the training records that generated ones may be compared with.

        All, or those that are trained on always where members were replaced by pictures that look like none.
        """
        return self._sorted(ALWAYS) if self.canaries == "blank" else self._sorted("members", ALWAYS)

    def public_sizes(self) -> dict[str, int]:
        """Role -> the number of its records that is public: under ``coin`` half the pool each, whoever joined."""
        sizes = {role: len(ids) for role, ids in self.ids.items()}
        pool = sizes["members"] + sizes["nonmembers"]
        return {**sizes, "members": self.expected_members, "nonmembers": pool - self.expected_members}

    def _sorted(self, *roles: str) -> NDArray[np.int64]:
        nobody = np.zeros(0, np.int64)
        return np.sort(np.concatenate([self.ids.get(role, nobody) for role in roles]))

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
        return self._candidates

    @cached_property
    def _candidates(self) -> tuple[Records, NDArray[np.bool_]]:
        ids = np.sort(np.concatenate([self.ids["members"], self.ids["nonmembers"]]))
        return self.records.by_id(ids), np.isin(ids, self.ids["members"])


def make_split(loaded: Records | Pictures | None, request: SplitRequest, base_dir: Path) -> Split:
    """Choose, prepare and cut the records as asked.

    Images are prepared alike whether they come from the data set or from a user's file. Ids count through the whole
    data set, whichever of its records are chosen, and users' own records follow after them.

    Raises:
        InputError: more records asked than there are, files that do not fit, roles that overlap, no members, images
            that cannot be prepared as asked, what belongs to an audit on a split without coins.
    """
    refuse_without_coins(request)
    subset = choose(loaded, request)
    given, brought = _given_roles(subset, request, base_dir)
    free = np.setdiff1d(subset.ids, np.concatenate([np.zeros(0, np.int64), *given.values()]))
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
    for role in _roles(request):
        if role in given:
            ids[role] = np.sort(given[role])
        else:
            ids[role] = np.sort(shuffled[start : start + counts[role]])
            start += counts[role]
    expected = len(ids["members"])
    if request.membership == "coin":
        ids, expected = toss(ids, given, request.split_seed)
    problems = [
        f"expected at least {MIN_CANDIDATES} records as {role}, got {len(ids[role])}"
        for role in ("members", "nonmembers")
        if len(ids[role]) < MIN_CANDIDATES
    ]
    if problems:
        raise InputError(problems)
    drawn = subset.ids[np.isin(subset.ids, np.concatenate(list(ids.values())))]
    records = _join(_in_use(loaded, subset, drawn, request), brought)
    # Whoever joins is transformed like whoever does not: nothing but the training may tell them apart.
    pool = np.sort(np.concatenate([ids["members"], ids["nonmembers"]]))
    records = planted(records, pool, request.canaries, request.split_seed)
    return Split(records, ids, request.membership, expected, request.canaries)


def _roles(request: SplitRequest) -> tuple[str, ...]:
    """The roles of a split; the sixth comes last, so that the others draw what they draw without it."""
    return (*ROLES, ALWAYS) if request.always else ROLES


def _in_use(
    loaded: Records | Pictures | None, subset: Subset, drawn: NDArray[np.int64], request: SplitRequest
) -> Records | None:
    """The chosen records, prepared; of pictures only those that a role drew, since decoding may take long."""
    if loaded is None or (isinstance(loaded, Pictures) and not len(drawn)):
        return None
    if isinstance(loaded, Pictures):
        records = loaded.records(request, drawn)
    else:
        records = prepared(loaded if len(subset.ids) == len(loaded) else loaded.by_id(subset.ids), request)
    return subset.relabelled(records)


def _counts(request: SplitRequest, free: int) -> dict[str, int]:
    """How many records each role draws: as asked, or its share of what the others leave."""
    counts = {role: int(value) for role in _roles(request) if isinstance(value := getattr(request, role), int)}
    silent = [role for role in ROLES if getattr(request, role) is None]
    left, shares = max(0, free - sum(counts.values())), sum(SHARES[role] for role in silent)
    return {**counts, **{role: left * SHARES[role] // shares for role in silent}}


def _given_roles(
    subset: Subset, request: SplitRequest, base_dir: Path
) -> tuple[dict[str, NDArray[np.int64]], dict[str, tuple[Path, Records]]]:
    """Roles that the user gave, as ids of the data set or of records of their own; and those records."""
    given: dict[str, NDArray[np.int64]] = {}
    brought: dict[str, tuple[Path, Records]] = {}
    problems, next_id = [], subset.of
    for role in _roles(request):
        value = getattr(request, role)
        if value is None or isinstance(value, int):
            continue
        path = base_dir / value
        try:
            if path.suffix == ".npz" and "indices" not in read_npz(path):
                own = _brought(path, next_id, subset, request)
                brought[role], given[role] = (path, own), own.ids
                next_id += len(own)
                continue
            indices = read_indices(path)
            if indices.max() >= subset.of:
                raise InputError(f"{path}: index {indices.max()} is beyond the {subset.of} records of the data set")
            if len(outside := np.setdiff1d(indices, subset.ids)):
                raise InputError(
                    f"{path}: expected indices of the {len(subset.ids)} records that {subset.why} keeps, but "
                    f"{len(outside)} of {len(indices)} are not among them ({outside[0]} first)"
                )
            given[role] = indices
        except InputError as error:
            problems += [f"{role}: {problem}" for problem in error.problems]
    for i, first in enumerate(given):
        for second in list(given)[i + 1 :]:
            if len(shared := np.intersect1d(given[first], given[second])):
                problems.append(
                    f"{first} and {second} share {len(shared)} records (id {shared[0]} first); make them disjoint"
                )
    if not subset.of and not given and not problems:
        problems.append("expected records to split: give the data set a `path`, or a file for every role")
    if problems:
        raise InputError(problems)
    return given, brought


def _brought(path: Path, first_id: int, subset: Subset, request: SplitRequest) -> Records:
    """A user's own records for one role, prepared and labelled as the data set's are."""
    records = records_from_npz(path, first_id)
    try:
        return subset.relabelled(prepared(records, request))
    except InputError as error:
        raise InputError([f"{path}: {problem}" for problem in error.problems]) from error


def _join(own: Records | None, brought: Mapping[str, tuple[Path, Records]]) -> Records:
    """All records in one; with labels only where every part has them.

    Raises:
        InputError: a user's records do not look like the others; names every role.
    """
    parts = [*([] if own is None else [own]), *(records for _, records in brought.values())]
    problems = [
        f"{role}: {path}: expected records like the others, {parts[0].schema}, got {records.schema}"
        for role, (path, records) in brought.items()
        if not records.schema.same_records(parts[0].schema)
    ]
    if problems:
        raise InputError(problems)
    if len(parts) == 1:
        return parts[0]
    labels = [p.labels for p in parts if p.labels is not None]
    labelled = len(labels) == len(parts)
    classes = [p.schema.classes for p in parts if p.schema.classes is not None]
    return Records(
        np.concatenate([p.ids for p in parts]),
        np.concatenate([p.x for p in parts]),
        np.concatenate(labels) if labelled else None,
        replace(parts[0].schema, classes=max(classes) if labelled and len(classes) == len(parts) else None),
    )
