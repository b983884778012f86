"""Which records a row leaks, in words: from what ``leaderboard.json`` holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.board import words
from bench.board.rows import Row
from bench.board.site.entry import Entry
from bench.board.words import number


def exposed(entry: Entry, row: Row) -> dict[str, Any] | None:
    """The most exposed members of a row; None where no attack judged it, or records are not to be shown."""
    names = ("dataset", "target", "defense")
    found = next((e for e in entry.exposures if tuple(e[name] for name in names) == row.place), None)
    if found is None or entry.without_records:
        return None
    values = found.get("values") or {"columns": [], "more": 0, "members": [], "samples": []}
    return {
        "said": said(found, _members(row)),
        "file": found["file"],
        "columns": values["columns"],
        "all_columns": len(values["columns"]) + values["more"],
        "more": values["more"],
        "rows": [
            {
                "record": each["record_id"],
                "exposure": number(each["exposure"]),
                "attacks": f"{each['attacks']} of {len(found['attacks'])}",
                "worst": each["worst_attack"],
                "worst_exposure": number(each["worst_exposure"]),
                "sample": words.EMPTY if each["nearest_sample"] is None else each["nearest_sample"],
                "distance": number(each["distance"]),
                "member": values["members"][index] if values["members"] else [],
                "nearest": values["samples"][index] if values["samples"] else [],
            }
            for index, each in enumerate(found["most_exposed"])
        ],
    }


def _members(row: Row) -> int:
    """Members that some completed attack judged."""
    judged = [attack.record_ids[attack.membership] for attack in row.attacks if attack.summary is not None]
    return len(np.unique(np.concatenate(judged))) if judged else 0


def said(found: Mapping[str, Any], members: int) -> str:
    """What stands behind a row's exposures, and whether members stand out.

    Args:
        found: the row's entry in ``leaderboard.json``.
        members: that were judged.
    """
    out = found["standing_out"]
    attacks, seeds = len(found["attacks"]), [each["seeds"] for each in found["attacks"]]
    runs = sorted({min(seeds), max(seeds)})
    behind = f"{attacks} attack{'s' if attacks > 1 else ''}"
    behind += f", {' to '.join(map(str, runs))} training run{'s' if runs[-1] > 1 else ''} each"
    stand = (
        f"{out['members']:,} of {members:,} are above the {out['among']}{_th(out['among'])} most exposed non-member, "
        f"where chance puts {out['by_chance']:.1f}"
    )
    samples = "" if found["samples_seed"] is None else f" Samples of seed {found['samples_seed']}."
    return f"{behind}. Members average {number(found['members_mean'])}; {stand}.{samples}"


def _th(place: int) -> str:
    """The ending of an ordinal.

    >>> [f"{n}{_th(n)}" for n in (1, 2, 3, 4, 11, 112, 23)]
    ['1st', '2nd', '3rd', '4th', '11th', '112th', '23rd']
    """
    return "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
