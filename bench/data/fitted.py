"""What is public because it is fitted on the reference records, never on members."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.split import Split
from bench.data.tables import SLOPES, encode, log_slope, yeo_johnson
from bench.errors import InputError
from bench.records import Column, Records

MIN_REFERENCE = 2  # one record has no spread
EXPONENT = 20.0  # exp(-20) is 2e-9: transformed values keep half of float64's digits for their differences


def fit_on_reference(split: Split) -> Split:
    """The split with what the reference records tell: the encoding of a table's columns, and the classes' shares.

    Numeric columns get the Yeo-Johnson power of the largest likelihood and are standardised; categorical ones become
    one-hot. The names of categories and classes are part of the schema, which is public like the columns' names.

    Raises:
        InputError: a table with columns and fewer than 2 reference records.
    """
    records = split.records
    if not records.schema.columns and records.schema.classes is None:
        return split
    reference = split.role("reference")
    if records.schema.columns:
        if len(reference) < MIN_REFERENCE:
            raise InputError(
                f"the encoding of a table is fitted on its reference records, and at least {MIN_REFERENCE} are needed, "
                f"got {len(reference)}; set `reference`"
            )
        columns = tuple(
            column if column.categories else fit_column(column, reference.x[:, index])
            for index, column in enumerate(records.schema.columns)
        )
        records = encode(records, columns)
    schema = replace(records.schema, class_shares=class_shares(reference))
    return replace(split, records=Records(records.ids, records.x, records.labels, schema))


def class_shares(reference: Records) -> tuple[float, ...]:
    """Share of each class, add-one smoothed: ``(count + 1) / (n + classes)``; () without classes or records.

    The smoothing (Laplace's rule of succession) keeps a class that the reference records lack above 0.
    """
    classes = reference.schema.classes
    if classes is None or reference.labels is None or not len(reference):
        return ()
    counts = np.bincount(reference.labels, minlength=classes) + 1
    return tuple((counts / counts.sum()).tolist())


def fit_column(column: Column, values: NDArray[Any]) -> Column:
    """A numeric column with the transform that brings ``values`` ``(n,)`` nearest to a standard normal.

    A constant column is only shifted to 0.
    """
    v = np.asarray(values, dtype=np.float64)
    if v.min() == v.max():
        return replace(column, power=1.0, centre=float(yeo_johnson(v[:1], 1.0)[0]), scale=1.0)
    power = yeo_johnson_power(v)
    t = yeo_johnson(v, power)
    return replace(column, power=power, centre=float(t.mean()), scale=float(t.std()))


def yeo_johnson_power(v: NDArray[np.float64]) -> float:
    """The power of the largest likelihood of a normal distribution (Yeo and Johnson, Biometrika 2000, section 3).

    Written out, because importing an optimiser would take longer than all of planning may. The search keeps to powers
    whose slope varies by at most ``SLOPES`` over ``v``, and to where nothing overflows or cancels.
    """
    s = log_slope(v)
    reach = min(np.log(SLOPES) / (s.max() - s.min()), EXPONENT / np.abs(s).max())

    def likelihood(power: float) -> float:
        return float(-len(v) / 2 * np.log(yeo_johnson(v, power).var()) + (power - 1) * s.sum())

    # A grid finds the highest of several peaks, and a golden section the power within its cell.
    grid = np.linspace(1 - reach, 1 + reach, 65)
    best = int(np.argmax([likelihood(power) for power in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    golden = (np.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = likelihood(left), likelihood(right)
    for _ in range(40):  # 0.618^40 < 1e-8 of the cell
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = likelihood(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = likelihood(right)
    return (low + high) / 2
