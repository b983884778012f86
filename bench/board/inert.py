"""Whether a defense changed anything that the suite can see: samples, or what an attack reads of the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bench.board.rows import Row
    from bench.results import Cell


def inert_seeds(row: Row) -> list[int]:
    """Seeds at which a defended row released what the undefended one did.

    The samples are byte for byte the same, and so are the scores of every attack that judged both. Attacks draw by seed
    and record and not by defense, so equal networks give equal scores: a defense that changes only what some attack
    touches (a discriminator, say) is not taken for one that does nothing.
    """
    if row.undefended is None:
        return []
    plain = {trial.seed: trial.artifacts.get("sample") for trial in row.undefended.trials}
    there = _completed(row.undefended)
    here = _completed(row)
    found = []
    for trial in row.trials:
        sample = trial.artifacts.get("sample")
        if sample is None or sample != plain.get(trial.seed):
            continue
        shared = [key for key in here if key[1] == trial.seed and key in there]
        if all(_alike(here[key], there[key]) for key in shared):
            found.append(trial.seed)
    return found


def _completed(row: Row) -> dict[tuple[str, int], Cell]:
    return {(attack.attack, cell.seed): cell for attack in row.attacks for cell in attack.completed}


def _alike(a: Cell, b: Cell) -> bool:
    return np.array_equal(a.record_ids, b.record_ids) and np.array_equal(a.scores, b.scores)
