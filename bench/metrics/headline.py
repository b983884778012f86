"""The worst attack of a row, with the price of having picked it among many.

The maximum over twenty independent attacks that all know nothing reads .548 on 250 + 250 records. So the
attack is chosen on one half of the records and reported on the other, and the interval holds for all attacks
at once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bench.errors import InputError
from bench.metrics.intervals import ALPHA, MIN_SEEDS, seed_half_width, separation_limit
from bench.metrics.privacy import resample_counts
from bench.metrics.roc import Bools, Floats, checked, weighted_auc
from bench.rng import RecordRng


class Headline(BaseModel):
    """The AUC of the worst attack of a row; rates in [0, 1], None where not measured."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    worst_attack: str
    """The attack with the largest AUC on all records, mean over seeds."""
    auc: float
    """AUC of the attack chosen on one half of the records, measured on the other; both ways averaged."""
    auc_low: float
    """Lower 95 % limit over records of the worst attack's AUC, corrected for the choice among all attacks."""
    auc_high: float
    """Upper 95 % limit over records of the worst attack's AUC, corrected for the choice among all attacks."""
    auc_seed_low: float | None = None
    """Lower 95 % limit over training runs; None below 3 seeds."""
    auc_seed_high: float | None = None
    """Upper 95 % limit over training runs; None below 3 seeds."""
    chosen: tuple[str, str]
    """The attacks chosen on the first and on the second half of the records."""
    attacks: tuple[str, ...]
    """All attacks that were compared, by name."""
    members: int
    """Number of candidates that are members."""
    nonmembers: int
    """Number of candidates that are not."""
    seeds: int
    """Number of training runs."""
    smallest_detectable_auc: float
    """Smallest AUC that this many records could tell from .5, given that all these attacks were tried."""


@dataclass(frozen=True)
class RowReplicates:
    """What a rank needs of a row: its headline AUC and the same number on each bootstrap resample.

    Attributes:
        auc: the headline's point.
        replicates: float64 ``(resamples,)``; the attack is chosen anew on each resample.
        pairing: digest of candidates, membership, seed and resamples; rows are paired only where it is equal.
    """

    auc: float
    replicates: Floats
    pairing: str


def halves(record_ids: NDArray[np.int64], membership: Bools, seed: int) -> Bools:
    """Which candidates are the first half, bool ``(n,)``: half of each class, drawn by record id."""
    draw = RecordRng(seed, "headline").uniform(record_ids)
    first = np.zeros(len(record_ids), dtype=np.bool_)
    for member in (True, False):
        place = np.flatnonzero(membership == member)
        place = place[np.lexsort((record_ids[place], draw[place]))]
        first[place[: len(place) // 2]] = True
    return first


def smallest_detectable_auc(n_members: int, n_nonmembers: int, alpha: float = ALPHA) -> float:
    """Smallest AUC that so many records could tell from .5, two-sided at level ``alpha``; at most 1.

    .5 + z sqrt((M + N + 1) / (12 M N)), the null deviation of the Mann-Whitney statistic. An attack whose
    true AUC is just this is told from chance in about half of all samples of records.

    Raises:
        InputError: a class is empty, or ``alpha`` lies outside (0, 1).
    """
    if n_members < 1 or n_nonmembers < 1 or not 0 < alpha < 1:
        raise InputError(
            f"expected members, non-members and a level in (0, 1), got {n_members}, {n_nonmembers} and {alpha}"
        )
    deviation = math.sqrt((n_members + n_nonmembers + 1) / (12 * n_members * n_nonmembers))
    return min(1.0, 0.5 + NormalDist().inv_cdf(1 - alpha / 2) * deviation)


def auc_per_run(scores: Floats, membership: Bools, weights: NDArray[Any], keep: Bools) -> Floats:
    """AUC on the kept records: scores ``(attacks, seeds, n)`` give ``(attacks, seeds, weightings)``."""
    kept, weight = membership[keep], weights[keep]
    return np.array([[weighted_auc(run[keep], kept, weight) for run in attack] for attack in scores])


def max_t_interval(points: Floats, replicates: Floats, ceiling: float, constant: Bools) -> tuple[float, float]:
    """95 % interval of the largest of several AUCs, from shared resamples (max-T; Romano and Wolf, 2005).

    c = 95 % quantile of max over attacks of |AUC* - AUC| / se; low = max(AUC - c se), high = max(AUC + c se).
    An attack without spread counts with its AUC alone.

    Args:
        points: float64 ``(attacks,)``.
        replicates: float64 ``(attacks, resamples)``.
        ceiling: what a perfect score could claim as its lower limit; no attack claims more, and no upper
            limit lies below its mirror image.
        constant: bool ``(attacks,)``, the scores that say nothing: their AUC is exact.
    """
    spread = np.ptp(replicates, axis=1) > 0
    se = np.where(spread, replicates.std(axis=1, ddof=1), 0.0)
    width = np.zeros(len(points))
    if spread.any():
        shifts = np.abs(replicates[spread] - points[spread, None]) / se[spread, None]
        width = se * np.quantile(shifts.max(axis=0), 1 - ALPHA, method="weibull")
    low = np.where(constant, points, np.minimum(points - width, ceiling))
    high = np.where(constant, points, np.maximum(points + width, 1 - ceiling))
    return max(0.0, float(low.max())), min(1.0, float(high.max()))


def _stacked(
    scores: Mapping[str, NDArray[Any]], membership: NDArray[Any], record_ids: NDArray[np.int64]
) -> tuple[tuple[str, ...], Floats, Bools]:
    """Names, scores ``(attacks, seeds, n)`` and membership, sorted by name and by record id."""
    if not scores:
        raise InputError("expected at least one attack for a headline, got none")
    names = tuple(sorted(scores))
    shapes = {name: np.shape(np.atleast_2d(scores[name])) for name in names}
    if len(set(shapes.values())) > 1 or shapes[names[0]][1:] != record_ids.shape:
        raise InputError(
            f"expected every attack of a row to score the same {len(record_ids)} candidates under the same "
            "seeds, got "
            f"{', '.join(f'{name}: {shape}' for name, shape in shapes.items())} as (seeds, candidates); "
            "leave out attacks that judged fewer candidates, or score all attacks on what they share"
        )
    if len(np.unique(record_ids)) != len(record_ids):
        raise InputError("expected each candidate once, but some record ids occur twice")
    order = np.argsort(record_ids, kind="stable")
    checks = [checked(scores[name], membership) for name in names]
    member = checks[0][1]
    if min(int(member.sum()), int((~member).sum())) < 2:
        raise InputError(
            f"expected at least 2 members and 2 non-members, to choose on one half and report on the other, "
            f"got {int(member.sum())} and {int((~member).sum())}"
        )
    return names, np.stack([values for values, _ in checks])[:, :, order], member[order]


def headline(
    scores: Mapping[str, NDArray[Any]],
    membership: NDArray[Any],
    record_ids: NDArray[np.int64],
    seed: int,
    resamples: int = 1000,
) -> tuple[Headline, RowReplicates]:
    """The worst attack of a row, and its replicates for :func:`bench.metrics.ranks.rank_rows`.

    The point is the split-half estimate: without bias for the attack that was chosen, and so slightly below
    the maximum over attacks where several are close. The interval is that of the maximum, widened where
    needed to hold the point. Over training runs: auc -+ sqrt(t^2 s^2 / S + d^2), d the distance from the
    point to the limit over records, so that this interval too is corrected for the choice.

    Args:
        scores: attack name to float64 ``(seeds, n)``; all attacks over the same candidates, controls left
            out.
        membership: bool ``(n,)``.
        record_ids: int64 ``(n,)``; the order of candidates and of attacks changes nothing.
        seed: the root seed; the same for all rows that are to be ranked together.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: no attack, attacks over other candidates or seeds, a record twice, or fewer than 2 of a
            class.
    """
    names, values, member = _stacked(scores, membership, record_ids)
    ids = np.sort(record_ids)
    first = halves(ids, member, seed)
    everyone = np.ones_like(first)
    parts = (everyone, first, ~first)
    one = np.ones((len(ids), 1), dtype=np.int32)
    total, on_first, on_second = (auc_per_run(values, member, one, part)[:, :, 0] for part in parts)
    chosen = (int(on_first.mean(axis=1).argmax()), int(on_second.mean(axis=1).argmax()))
    per_run = (on_second[chosen[0]] + on_first[chosen[1]]) / 2
    point, points = float(per_run.mean()), total.mean(axis=1)

    # drawn within class and half: each half keeps its records, and the halves never share one
    drawn: list[list[Floats]] = [[], [], []]
    for weights in resample_counts(2 * first + member, seed, resamples, "bootstrap", "headline"):
        for kept, part in zip(drawn, parts, strict=True):
            kept.append(auc_per_run(values, member, weights, part).mean(axis=1))
    replicates, star_first, star_second = (np.concatenate(kept, axis=1) for kept in drawn)
    every = np.arange(resamples)
    row = (star_second[star_first.argmax(axis=0), every] + star_first[star_second.argmax(axis=0), every]) / 2

    M = int(member.sum())
    N = len(member) - M
    ceiling = separation_limit(M, N, ALPHA / 2 / len(names))
    low, high = max_t_interval(points, replicates, ceiling, (values == values[:, :, :1]).all(axis=(1, 2)))
    low, high = min(low, point), max(high, point)
    over_runs: dict[str, float] = {}
    if len(per_run) >= MIN_SEEDS:
        runs = seed_half_width(per_run)
        over_runs = {
            "auc_seed_low": max(0.0, point - math.hypot(runs, point - low)),
            "auc_seed_high": min(1.0, point + math.hypot(runs, high - point)),
        }
    result = Headline(
        worst_attack=names[int(points.argmax())],
        auc=point,
        auc_low=low,
        auc_high=high,
        **over_runs,
        chosen=(names[chosen[0]], names[chosen[1]]),
        attacks=names,
        members=M,
        nonmembers=N,
        seeds=len(per_run),
        smallest_detectable_auc=smallest_detectable_auc(M, N, ALPHA / len(names)),
    )
    digest = hashlib.sha256(f"{seed}:{resamples}:".encode() + ids.astype("<i8").tobytes() + member.tobytes())
    return result, RowReplicates(point, row, digest.hexdigest())
