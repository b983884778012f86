"""Real records that no target of a board was trained on, to hold generated ones against."""

from __future__ import annotations

import numpy as np

from bench.records import Records
from bench.results import Results


def unseen(results: Results, dataset: str, count: int) -> Records | None:
    """At most ``count`` non-members, evenly spaced by record id; None where records or split are not at hand.

    Evenly, since many data sets are sorted by class. Non-members, since a sheet of members would show by itself who
    took part.
    """
    read, ids = results.candidates.get(dataset), results.splits.get(dataset, {}).get("nonmembers")
    if read is None or ids is None or not len(ids):
        return None
    place = np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(np.int64)
    return read().by_id(np.sort(ids)[place])
