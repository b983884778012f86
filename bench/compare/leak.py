"""What attacks reached on both boards, on the same resamples of the same records.

The gate is the row's *worst* attack, chosen on one half of the records and measured on the other, as on the board: a
row leaks as much as its worst attack finds, so that one that rises below it changes nothing of what the row promises,
and one gate per row keeps the price of many tests off a comparison that has few runs. Every attack's own difference
stands beside it; a leak to weaker attackers alone is what ``auc_samples``, ``auc_white_box``... are there to gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.compare.attacks import AttackPair
from bench.compare.evidence import Evidence
from bench.metrics.headline import auc_per_run, halves
from bench.metrics.privacy import record_statistics, resample_counts
from bench.metrics.roc import Bools, Floats
from bench.rng import derive_seed

RESAMPLES = 100
"""Bootstrap resamples of the records: for a standard error, 50 to 200 are enough (Efron and Tibshirani 1993, 6.4)."""


def worst_attack(group: Sequence[AttackPair], resamples: int = RESAMPLES) -> tuple[Evidence, dict[str, Evidence]]:
    """The row's headline on both boards, and each attack's own AUC.

    Args:
        group: attacks on the same candidates.
        resamples: number of bootstrap resamples.
    """
    seed, ids, member = _common(group)
    first = _halves(ids.tobytes(), member.tobytes(), seed)
    parts = (np.ones_like(first), first, ~first)
    stacks = [np.stack(list(_stack(group, side))) for side in ("base", "new")]
    one = np.ones((len(ids), 1), dtype=np.int32)
    points = [[auc_per_run(stack, member, one, part)[:, :, 0] for part in parts] for stack in stacks]
    runs = [(b[int(a.mean(axis=1).argmax())] + a[int(b.mean(axis=1).argmax())]) / 2 for _, a, b in points]
    headlines: list[list[Floats]] = [[], []]
    each: list[list[Floats]] = [[], []]
    for weights in resample_counts(2 * first + member, seed, resamples, "bootstrap", "headline"):
        for i, stack in enumerate(stacks):
            every, a, b = (auc_per_run(stack, member, weights, part).mean(axis=1) for part in parts)
            columns = np.arange(weights.shape[1])
            headlines[i].append((b[a.argmax(axis=0), columns] + a[b.argmax(axis=0), columns]) / 2)
            each[i].append(every)
    shift = np.concatenate(headlines[1]) - np.concatenate(headlines[0])
    shifts = np.concatenate(each[1], axis=1) - np.concatenate(each[0], axis=1)
    same = [_identical(pair) for pair in group]
    whole = Evidence(_runs(runs[0]), _runs(runs[1]), float(shift.var(ddof=1)), all(same))
    single = {
        pair.name: Evidence(
            _runs(points[0][0][i]), _runs(points[1][0][i]), float(shifts[i].var(ddof=1)), identical=same[i]
        )
        for i, pair in enumerate(group)
    }
    return whole, single


def worst_attack_rate(group: Sequence[AttackPair], statistic: str, resamples: int = RESAMPLES) -> Evidence | None:
    """A rate of each board's worst attack, the one with the largest AUC on all records; None where not measurable."""
    seed, _, member = _common(group)
    everyone = np.ones_like(member)
    one = np.ones((len(member), 1), dtype=np.int32)
    runs, drawn = [], []
    for side in ("base", "new"):
        stack = np.stack(list(_stack(group, side)))
        worst = stack[int(auc_per_run(stack, member, one, everyone).mean(axis=(1, 2)).argmax())]
        measured = [record_statistics(run, member, one) for run in worst]
        if statistic not in measured[0]:
            return None
        runs.append(np.array([each[statistic][0] for each in measured]))
        replicates = [
            np.mean([record_statistics(run, member, weights)[statistic] for run in worst], axis=0)
            for weights in resample_counts(member, seed, resamples, "bootstrap", "records")
        ]
        drawn.append(np.concatenate(replicates))
    return Evidence(
        _runs(runs[0]), _runs(runs[1]), float((drawn[1] - drawn[0]).var(ddof=1)), all(map(_identical, group))
    )


def common_seeds(group: Sequence[AttackPair]) -> tuple[list[int], list[int]]:
    """Seeds at which every attack of the group was completed, on each board."""
    sides = ([set(pair.base) for pair in group], [set(pair.new) for pair in group])
    return sorted(set.intersection(*sides[0])), sorted(set.intersection(*sides[1]))


def _common(group: Sequence[AttackPair]) -> tuple[int, NDArray[np.int64], Bools]:
    return derive_seed(0, "bootstrap", group[0].dataset), group[0].ids, group[0].membership


def _stack(group: Sequence[AttackPair], side: str) -> list[Floats]:
    """Scores ``(seeds, n)`` of each attack, at the seeds that all of them have."""
    seeds = common_seeds(group)[side == "new"]
    tables: list[Mapping[int, Floats]] = [pair.new if side == "new" else pair.base for pair in group]
    return [np.stack([table[seed] for seed in seeds]) for table in tables]


def _identical(pair: AttackPair) -> bool:
    """Whether both boards hold the same scores to the last bit: the same runs of the same code."""
    return set(pair.base) == set(pair.new) and all(np.array_equal(pair.base[s], pair.new[s]) for s in pair.base)


def _runs(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


@lru_cache(maxsize=16)
def _halves(ids: bytes, member: bytes, seed: int) -> Bools:
    """Drawn once for all rows on the same candidates; it takes longer than what is measured on them."""
    return halves(np.frombuffer(ids, np.int64), np.frombuffer(member, np.bool_), seed)
