"""From which code the targets, attacks and defenses of two boards were run, by the hashes in their stamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bench.compare.side import Place, Side

KINDS = {"targets": "target", "attacks": "attack"}


def unknown_sources(base: Side, new: Side) -> list[str]:
    """A phrase for each board whose stamp does not say from which code it was made."""
    return [
        f"{side.name} does not say from which source its targets and attacks were run (an older board: write it again "
        "with `bench board`)"
        for side in (base, new)
        if _sources(side) is None
    ]


def source_difference(base: Side, new: Side, kind: str, ours: str, theirs: str) -> str:
    """How the source of a target or an attack differs, or "". Boards that name no sources at all are not repeated here.

    Args:
        kind: ``targets`` or ``attacks``.
        ours, theirs: what it is called in each board.
    """
    if unknown_sources(base, new):
        return ""
    had, has = _source(base, kind, ours), _source(new, kind, theirs)
    if had is None or has is None:
        where = " and ".join(side.name for side, source in ((base, had), (new, has)) if source is None)
        return f"the source of the {KINDS[kind]} {theirs} is not in the stamp of {where}"
    return "" if had == has else f"the source of the {KINDS[kind]} {theirs} is another in NEW than in BASE"


def source_differences(base: Side, new: Side, pairs: Iterable[tuple[Place, Place]]) -> list[str]:
    """All that differs in the sources of targets and attacks, a phrase each, each once."""
    found = dict.fromkeys(unknown_sources(base, new))
    for at, now in pairs:
        shared = [name for name in base.attacks[at] if name in new.attacks[now]]
        for kind, ours, theirs in (
            ("targets", at.target, now.target),
            *(("attacks", name, name) for name in shared),
        ):
            if said := source_difference(base, new, kind, ours, theirs):
                found[said] = None
    return list(found)


def defense_notes(base: Side, new: Side, pairs: Iterable[tuple[Place, Place]]) -> Iterator[str]:
    """Other code of a defense is what is tested; it is said all the same."""
    if unknown_sources(base, new):
        return
    names = dict.fromkeys((at.defense, now.defense) for at, now in pairs)
    changed = [theirs for ours, theirs in names if _source(base, "defenses", ours) != _source(new, "defenses", theirs)]
    if changed:
        yield f"The source of these defenses is another in NEW than in BASE: {', '.join(changed)}."


def _sources(side: Side) -> Any:
    return side.payload["stamp"].get("sources")


def _source(side: Side, kind: str, name: str) -> Any:
    return _sources(side)[kind].get(name)
