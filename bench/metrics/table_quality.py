"""Quality of generated rows of a table: each column alone, columns by pairs, copies of members, and use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bench.data.tables import soft_columns
from bench.errors import InputError
from bench.metrics.association import Associations
from bench.metrics.quality import MIN_RECORDS, subset
from bench.metrics.utility import Utility
from bench.records import Column, Schema
from bench.rng import generator

HALVES = 100
"""Halves that an interval is made of: they give its width to within 7 % (one standard deviation)."""

_NORMAL_975 = 1.959963984540054


class TableQualityRecord(BaseModel):
    """Quality of a trial's rows against the holdout; comparable on the same data set at equal ``n`` only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    kind: Literal["table"] = "table"
    """Tells this record from an image's in JSON."""
    n: int
    """Records on each side of both distances."""
    marginal_distance: float
    """Mean over columns of the Kolmogorov-Smirnov distance (numeric) or the total variation (categorical) to the
    holdout, 0..1. Above 0 for equal distributions too: read it beside the real line."""
    marginal_distance_low: float
    """Lower end of the 95 % interval of ``marginal_distance`` over records, given this trained model (delete-half
    jackknife)."""
    marginal_distance_high: float
    """Upper end of that interval."""
    marginal_worst: float
    """The largest of the columns' distances."""
    marginal_worst_column: str
    """The column that it belongs to."""
    correlation_distance: float | None
    """Mean over pairs of columns of the absolute difference of their association (Spearman's correlation, the
    correlation ratio of ranks, Cramér's V), 0..2; above 0 for equal distributions too. Empty with one column."""
    correlation_distance_low: float | None
    """Lower end of its 95 % interval over records (delete-half jackknife)."""
    correlation_distance_high: float | None
    """Upper end of that interval."""
    member_proximity: float | None
    """Share of rows that lie nearer to a member than to any holdout record, less a half, at ``member_proximity_n``:
    0 when the rows tell nothing of the members, .5 when all of them are copies. Empty when members were not given."""
    member_proximity_low: float | None
    """Lower end of its 95 % interval over records (delete-half jackknife)."""
    member_proximity_high: float | None
    """Upper end of that interval."""
    member_proximity_n: int | None
    """Rows, members and holdout records that the share was read from, as many of each."""
    utility: float | None = None
    """Accuracy on the holdout of a classifier trained on the generated rows and the labels that they were made for;
    empty where there are no such labels."""
    utility_real: float | None = None
    """The same of a classifier trained on as many reference records."""
    utility_n: int | None = None
    """Records that each of the two classifiers was trained on."""


def measure_table_quality(
    samples: NDArray[Any],
    holdout: NDArray[Any],
    schema: Schema,
    members: NDArray[Any] | None = None,
    utility: Utility | None = None,
    n: int = 1500,
    seed: int = 0,
) -> TableQualityRecord:
    """Compares encoded rows ``(records, values)`` of samples and holdout, the same number of each.

    That number is the smallest of ``n`` and what either side has; longer sides give a subset without replacement,
    drawn from ``seed`` alone.

    Args:
        samples: the generated rows; their categorical parts are one-hot.
        holdout: real rows that no part of the trial has seen.
        schema: of the encoded rows.
        members: the rows that the target was trained on, for the member proximity.
        utility: from ``measure_utility``.
        n: records asked for on each side.
        seed: of the subsets, and of the halves of the intervals.

    Raises:
        InputError: rows that are not finite, not one-hot where they must be, or of another width, or fewer than 50
            records on a side.
    """
    sides = {"samples": samples, "holdout": holdout} | ({} if members is None else {"members": members})
    _check(sides, schema, n)
    size = min(n, len(samples), len(holdout))
    x, y = (subset(sides[side], size, seed, side) for side in ("samples", "holdout"))
    columns = marginal_distances(x, y, schema)
    worst = int(np.argmax(columns))
    associate = Associations(schema)
    pairs = len(columns) > 1

    def distances(a: NDArray[np.int64], b: NDArray[np.int64]) -> list[float]:
        marginal = float(marginal_distances(x[a], y[b], schema).mean())
        return [marginal, float(np.abs(associate(x[a]) - associate(y[b])).mean()) if pairs else 0.0]

    (marginal, correlation), half = delete_half(distances, (size, size), seed)
    return TableQualityRecord(
        n=size,
        marginal_distance=marginal,
        marginal_distance_low=max(0.0, marginal - half[0]),
        marginal_distance_high=min(1.0, marginal + half[0]),
        marginal_worst=float(columns[worst]),
        marginal_worst_column=_columns(schema)[worst][0].name,
        correlation_distance=correlation if pairs else None,
        correlation_distance_low=max(0.0, correlation - half[1]) if pairs else None,
        correlation_distance_high=correlation + half[1] if pairs else None,
        **_member_proximity(sides, min(size, len(sides.get("members", x))), seed),
        utility=utility.generated if utility else None,
        utility_real=utility.real if utility else None,
        utility_n=utility.n if utility else None,
    )


def marginal_distances(x: NDArray[Any], y: NDArray[Any], schema: Schema) -> NDArray[np.float64]:
    """Distance of each column of rows ``(n, values)`` and ``(m, values)``, float64 ``(columns,)``, each 0..1.

    Kolmogorov-Smirnov's largest difference of the distribution functions of a numeric column, and half the sum of
    absolute differences of the shares of a categorical one. The first does not change under the encoding.
    """
    shares = np.abs(x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64))
    return np.array(
        [
            shares[span].sum() / 2 if column.categories else _kolmogorov_smirnov(x[:, span.start], y[:, span.start])
            for column, span in _columns(schema)
        ]
    )


def _kolmogorov_smirnov(a: NDArray[Any], b: NDArray[Any]) -> float:
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    below = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
    return float(np.abs(below).max())


def delete_half(
    statistic: Callable[..., list[float]], sizes: tuple[int, ...], seed: int
) -> tuple[list[float], list[float]]:
    """A statistic over all records, and half the width of its 95 % interval over records.

    The delete-d jackknife with d of half the records of every sample (Shao and Wu, Annals of Statistics 1989): the
    variance over halves drawn without replacement. It needs no smoothness, unlike leaving out one record at a time,
    and repeats no record, unlike the bootstrap, which would bias a distance.

    Args:
        statistic: figures of the records at these positions of each sample.
        sizes: of the samples.
        seed: of the halves.
    """
    rng = generator(seed, "table quality", "halves")
    kept = [size // 2 for size in sizes]
    drawn = np.array(
        [
            statistic(*(rng.permutation(size)[:keep] for size, keep in zip(sizes, kept, strict=True)))
            for _ in range(HALVES)
        ]
    )
    # (n - d) / d: 1 for an even n
    factor = max(keep / (size - keep) for size, keep in zip(sizes, kept, strict=True))
    half = _NORMAL_975 * np.sqrt(factor * drawn.var(axis=0))
    return statistic(*(np.arange(size) for size in sizes)), [float(h) for h in half]


def _member_proximity(sides: dict[str, NDArray[Any]], n: int, seed: int) -> dict[str, float | int | None]:
    """The member proximity fields of a record, empty without members.

    At equal numbers of members and holdout records, which come from one distribution, rows that do not depend on the
    members are nearer to either with the same probability.
    """
    names = tuple(f"member_proximity{end}" for end in ("", "_low", "_high", "_n"))
    if "members" not in sides:
        return dict.fromkeys(names)
    from scipy.spatial.distance import cdist

    x, members, holdout = (
        subset(sides[side], n, seed, side).astype(np.float64) for side in ("samples", "members", "holdout")
    )
    to_member, to_holdout = cdist(x, members, "sqeuclidean"), cdist(x, holdout, "sqeuclidean")

    def share(a: NDArray[np.int64], b: NDArray[np.int64], c: NDArray[np.int64]) -> list[float]:
        near, away = to_member[np.ix_(a, b)].min(axis=1), to_holdout[np.ix_(a, c)].min(axis=1)
        return [float(((near < away) + (near == away) / 2).mean() - 0.5)]

    (value,), (half,) = delete_half(share, (n, n, n), seed)
    return dict(zip(names, (value, max(-0.5, value - half), min(0.5, value + half), n), strict=True))


def _columns(schema: Schema) -> tuple[tuple[Column, slice], ...]:
    """Columns and their values; where none are named, every value is a numeric column of its own."""
    if schema.columns:
        return schema.spans()
    return tuple((Column(f"value {i}"), slice(i, i + 1)) for i in range(schema.shape[0]))


def _check(sides: dict[str, NDArray[Any]], schema: Schema, n: int) -> None:
    problems = []
    for side, rows in sides.items():
        if rows.ndim != 2 or rows.shape[1:] != schema.shape:
            problems.append(f"expected {side} rows of shape (n, {schema.shape[0]}), got {rows.shape}")
        elif len(rows) < MIN_RECORDS:
            problems.append(
                f"sample quality expects at least {MIN_RECORDS} {side} records, got {len(rows)}: "
                f"ask for more {side} or do without this measurement"
            )
        elif not np.isfinite(rows).all():
            bad = int((~np.isfinite(rows).all(axis=1)).sum())
            problems.append(f"expected finite {side} rows, got NaN or infinity in {bad} of {len(rows)} rows")
    if n < MIN_RECORDS:
        problems.append(f"sample quality expects n of at least {MIN_RECORDS} records on each side, got n = {n}")
    if not problems:
        problems = [
            f"expected one-hot categories in the {side} rows, got soft ones in columns {soft}: give each row one "
            "category per column before it is released (bench.data.tables.harden)"
            for side, rows in sides.items()
            if (soft := soft_columns(rows, schema))
        ]
    if problems:
        raise InputError(problems)
