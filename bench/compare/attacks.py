"""Which attacks of a row can be compared, and what they scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.compare.conditions import spec_difference
from bench.compare.side import Entry, Place, Scores, Side
from bench.compare.sources import source_difference


@dataclass(frozen=True, eq=False)
class AttackPair:
    """One attack on one row, completed on both boards.

    Attributes:
        dataset: as in both tables; part of the seed of the resampling.
        name: of the attack, as in both tables.
        access: as it declares.
        ids, membership: ``(n,)`` of its candidates, the same on both boards.
        base, new: seed -> scores ``(n,)`` of each completed run.
    """

    dataset: str
    name: str
    access: str
    ids: NDArray[np.int64]
    membership: NDArray[np.bool_]
    base: Mapping[int, NDArray[np.float64]]
    new: Mapping[int, NDArray[np.float64]]


@dataclass(frozen=True)
class AttackPairs:
    """The attacks of a row.

    Attributes:
        compared: completed on both boards under the same conditions.
        missing: attack -> why NEW lacks what BASE has.
        refused: attack -> why its figures must not be compared.
        added: completed in NEW only.
    """

    compared: tuple[AttackPair, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()


def pair_attacks(base: Side, new: Side, at: Place, now: Place, across_versions: bool = False) -> AttackPairs:
    """The attacks of a row of BASE and of the row of NEW that answers to it; scores are read here."""
    ours, theirs = base.attacks.get(at, {}), new.attacks.get(now, {})
    compared, missing, refused = [], {}, {}
    for name, entry in ours.items():
        if not _completed(entry):
            continue
        other = theirs.get(name)
        if other is None:
            missing[name] = "NEW does not run this attack"
        elif not _completed(other):
            missing[name] = f"{_words(other)} in NEW"
        else:
            source = "" if across_versions else source_difference(base, new, "attacks", name, name)
            found = source or _pair(base, new, at.dataset, name, entry, other)
            if isinstance(found, str):
                refused[name] = found
            else:
                compared.append(found)
                if lost := _lost(entry, other, base.completed(at), new.completed(now)):
                    missing[name] = lost
    added = [name for name, entry in theirs.items() if _completed(entry) and not _completed(ours.get(name, {}))]
    return AttackPairs(tuple(compared), missing, refused, tuple(added))


def _completed(entry: Entry) -> bool:
    return any(cell["status"] == "completed" for cell in entry.get("cells", ()))


def _words(entry: Entry) -> str:
    reason = entry.get("reason")
    return f"{str(entry.get('status')).replace('_', ' ')}{f' ({reason})' if reason else ''}"


def _lost(ours: Entry, theirs: Entry, base_seeds: Sequence[int], new_seeds: Sequence[int]) -> str:
    """Completed trainings of NEW that the attack did not judge, where it judged every completed one of BASE."""
    had, has = ({cell["seed"]: cell for cell in side["cells"]} for side in (ours, theirs))
    if any(seed not in had or had[seed]["status"] != "completed" for seed in base_seeds):
        return ""
    said = [
        f"seed {seed} {_words(has[seed]) if seed in has else 'not attacked'}"
        for seed in new_seeds
        if seed not in has or has[seed]["status"] != "completed"
    ]
    return f"in NEW {'; '.join(said)}, although the training was completed" if said else ""


def _pair(base: Side, new: Side, dataset: str, name: str, ours: Entry, theirs: Entry) -> AttackPair | str:
    specs = [side.setting("configurations", "attacks", name) for side in (base, new)]
    if specs[0] != specs[1]:
        return f"configured otherwise: {spec_difference(*specs)}"
    for what in ("access", "knowledge"):
        if ours.get(what) != theirs.get(what):
            return f"{what} {ours.get(what)} in BASE, {theirs.get(what)} in NEW"
    read = _runs(base, ours), _runs(new, theirs)
    every = [*read[0].values(), *read[1].values()]
    first = every[0]
    for scores in every[1:]:
        if not np.array_equal(scores.ids, first.ids):
            return f"other candidates: {len(first.ids):,} in BASE, {len(scores.ids):,} in NEW, not the same records"
        if not np.array_equal(scores.membership, first.membership):
            return "the same candidates, but others of them are members"
    if min(int(first.membership.sum()), int((~first.membership).sum())) < 2:
        return "fewer than two members or non-members among the candidates"
    runs = [{seed: scores.scores for seed, scores in side.items()} for side in read]
    return AttackPair(dataset, name, str(ours["access"]), first.ids, first.membership, *runs)


def _runs(side: Side, entry: Entry) -> dict[int, Scores]:
    return {
        int(cell["seed"]): side.scores(str(cell["scores"])) for cell in entry["cells"] if cell["status"] == "completed"
    }


def groups(pairs: Sequence[AttackPair]) -> list[list[AttackPair]]:
    """Attacks on the same candidates, the largest group first: only those have a worst one in common."""
    found: dict[bytes, list[AttackPair]] = {}
    for pair in pairs:
        found.setdefault(pair.ids.tobytes() + pair.membership.tobytes(), []).append(pair)
    named = [sorted(group, key=lambda pair: pair.name) for group in found.values()]
    return sorted(named, key=lambda group: (-len(group[0].ids), -len(group)))
