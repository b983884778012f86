"""Promises of differential privacy: one that is refuted or taken back is worse, whatever figures were asked for."""

from __future__ import annotations

from collections.abc import Iterator

from bench.compare.findings import Finding
from bench.compare.measures import FIGURES
from bench.compare.side import Entry, Place, Side

REFUTED = "dp_violation"
_CLAIM = FIGURES["epsilon_claimed"]
_BOUND = FIGURES["epsilon_lower_bound"]


def claim_findings(base: Side, new: Side, at: Place | None, now: Place) -> Iterator[Finding]:
    """What became of the claim of one row of NEW.

    A larger claimed epsilon is another setting and not judged here; ``epsilon_claimed`` is the figure to gate it.

    Args:
        at: the row of BASE, or None where it has none.
    """
    theirs: Entry = new.rows[now]
    ours: Entry = {} if at is None else base.rows[at]
    if _refuted(theirs) and not _refuted(ours):
        said = (
            f"NEW claims epsilon {theirs['epsilon_claimed']}, and its audit certifies at least "
            f"{theirs['epsilon_lower_bound']}: the claim is refuted"
        )
        yield Finding(now, at, REFUTED, "worse", said, ours.get(_BOUND.name), theirs[_BOUND.name], kind=_BOUND)
    if theirs["status"] != "completed" or ours.get("status") != "completed":
        return
    had = ours[_CLAIM.name]
    if had is not None and theirs[_CLAIM.name] is None:
        void = theirs.get("claim_void_reason")
        why = f"its claim is void: {void}" if void else "it claims nothing any more, and does not say why"
        said = f"BASE claims differential privacy, NEW does not: {why}"
        yield Finding(now, at, _CLAIM.name, "worse", said, had, kind=_CLAIM)


def _refuted(row: Entry) -> bool:
    return REFUTED in str(row.get("flags") or "").split(";")
