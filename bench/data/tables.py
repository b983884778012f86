"""Tables as models see them: numeric columns near a standard normal, categorical ones one-hot; and back again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.records import Column, Records, Schema

if TYPE_CHECKING:
    import pandas as pd

SLOPES = 1e4
"""How much the slope of a power transform varies over the reference records, at most; the slope of a lognormal
column (power 0) with a standard deviation of 1.3 does so between its 1 in 4,000 quantiles. Beyond that the transform
goes on as a straight line, so that it stays finite, and can be inverted, for every value."""

MAX_FLOAT = float(np.finfo(np.float32).max)


def log_slope(v: NDArray[Any]) -> NDArray[np.float64]:
    """``sign(v) log(1 + |v|)``: a Yeo-Johnson transform of power p has the slope ``exp((p - 1) log_slope(v))``."""
    v = np.asarray(v, dtype=np.float64)
    slope: NDArray[np.float64] = np.sign(v) * np.log1p(np.abs(v))
    return slope


def yeo_johnson(v: NDArray[Any], power: float) -> NDArray[np.float64]:
    """The transform of Yeo and Johnson (Biometrika 2000, equation 2.1), increasing in ``v``."""
    s = log_slope(v)
    # With s the log slope, ((1 + v)^p - 1) / p = expm1(p s) / p; the negative half mirrors it with 2 - p.
    p = np.where(s >= 0, power, 2 - power)
    size = np.abs(s)
    with np.errstate(invalid="ignore", divide="ignore"):
        grown = np.where(p == 0, size, np.expm1(p * size) / p)
    return np.sign(s) * grown


def inverse_yeo_johnson(t: NDArray[Any], power: float) -> NDArray[np.float64]:
    """The value whose transform is ``t``, where there is one."""
    t = np.asarray(t, dtype=np.float64)
    p = np.where(t >= 0, power, 2 - power)
    size = np.abs(t)
    with np.errstate(invalid="ignore", divide="ignore"):
        s = np.where(p == 0, size, np.log1p(p * size) / p)
    v: NDArray[np.float64] = np.sign(t) * np.expm1(s)
    return v


def to_normal(values: NDArray[Any], column: Column) -> NDArray[np.float64]:
    """A numeric column ``(n,)`` on its encoded scale; increasing, and cut to float32's range."""
    power, centre, scale = _fitted(column)
    v = np.asarray(values, dtype=np.float64)
    low, high = _knots(power, centre)
    inner = np.clip(v, low, high)
    # Beyond the knots the tangent: the slope there is the clipped value's.
    t = yeo_johnson(inner, power) + np.exp((power - 1) * log_slope(inner)) * (v - inner)
    return np.clip((t - centre) / scale, -MAX_FLOAT, MAX_FLOAT)


def from_normal(z: NDArray[Any], column: Column) -> NDArray[np.float64]:
    """A numeric column ``(n,)`` in its own units; the inverse of ``to_normal``, finite for every finite ``z``."""
    power, centre, scale = _fitted(column)
    t = np.asarray(z, dtype=np.float64) * scale + centre
    low, high = _knots(power, centre)
    ends = yeo_johnson(np.array([low, high]), power)
    inner = np.clip(t, *ends)
    v = np.clip(inverse_yeo_johnson(inner, power), low, high)
    return np.clip(v + (t - inner) * np.exp((1 - power) * log_slope(v)), -MAX_FLOAT, MAX_FLOAT)


def _fitted(column: Column) -> tuple[float, float, float]:
    if column.power is None or column.centre is None or column.scale is None:
        raise InputError(
            f"expected the transform of column {column.name!r} to be fitted, but it is not; "
            "call bench.data.fitted.fit_on_reference on the split first"
        )
    return column.power, column.centre, column.scale


def _knots(power: float, centre: float) -> tuple[float, float]:
    """Values at which the slope has changed by ``SLOPES`` from where the transform is ``centre``."""
    if power == 1:
        return -MAX_FLOAT, MAX_FLOAT
    middle = float(log_slope(inverse_yeo_johnson(np.array([centre]), power))[0])
    reach = np.log(SLOPES) / abs(power - 1)
    longest = np.log1p(MAX_FLOAT)
    low, high = np.clip([middle - reach, middle + reach], -longest, longest)
    return float(np.sign(low) * np.expm1(abs(low))), float(np.sign(high) * np.expm1(abs(high)))


def encode(records: Records, columns: tuple[Column, ...]) -> Records:
    """Raw rows ``(n, columns)`` to encoded ones, float32 ``(n, values)``.

    Args:
        records: as a loader gave them: numbers in their own units, codes of categories.
        columns: the same columns, fitted.

    Raises:
        InputError: rows of another width, a code without a category, or a column that is not fitted.
    """
    if records.schema.shape != (len(columns),):
        raise InputError(f"expected raw rows of {len(columns)} columns to encode, got {records.schema}")
    schema = Schema(
        "table", (sum(c.width for c in columns),), records.schema.classes, columns, records.schema.class_shares
    )
    x = np.empty((len(records), *schema.shape), dtype=np.float32)
    for index, (column, span) in enumerate(schema.spans()):
        raw = records.x[:, index]
        x[:, span] = _one_hot(raw, column) if column.categories else to_normal(raw, column)[:, None]
    return Records(records.ids, x, records.labels, schema)


def _one_hot(raw: NDArray[Any], column: Column) -> NDArray[np.float32]:
    codes = raw.astype(np.int64)
    if (codes != raw).any() or (len(codes) and not 0 <= codes.min() <= codes.max() < column.width):
        raise InputError(
            f"column {column.name!r}: expected codes from 0 to {column.width - 1}, the categories "
            f"{', '.join(column.categories[:5])}..., got {np.unique(raw)[:5]}"
        )
    return np.eye(column.width, dtype=np.float32)[codes]


def harden(x: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Encoded rows ``(n, values)`` whose categorical parts hold 1 at their largest value and 0 elsewhere.

    The first of equals wins. Numeric columns stay as they are, and so does a table without columns.

    >>> schema = Schema("table", (3,), columns=(Column("age"), Column("sex", ("f", "m"))))
    >>> harden(np.array([[0.3, 0.2, 0.8]]), schema).tolist()
    [[0.3, 0.0, 1.0]]
    """
    hard = x.copy()
    for column, span in schema.spans():
        if column.categories:
            hard[:, span] = np.eye(column.width, dtype=x.dtype)[x[:, span].argmax(axis=1)]
    return hard


def soft_columns(x: NDArray[Any], schema: Schema) -> list[str]:
    """Names of the categorical columns that are not one-hot in every row of ``(n, values)``."""
    return [
        column.name
        for column, span in schema.spans()
        if column.categories
        and not (((x[:, span] == 0) | (x[:, span] == 1)).all() and (x[:, span].sum(axis=1) == 1).all())
    ]


def decode(x: NDArray[Any], schema: Schema) -> NDArray[np.float64]:
    """Encoded rows ``(n, values)`` to raw ones ``(n, columns)``: numbers in their own units, codes of categories.

    Raises:
        InputError: a categorical part is not one-hot, or a column is not fitted.
    """
    if soft := soft_columns(x, schema):
        raise InputError(f"expected one-hot categories in columns {soft}, got soft ones; call harden on the rows first")
    raw = [
        x[:, span].argmax(axis=1) if column.categories else from_normal(x[:, span.start], column)
        for column, span in schema.spans()
    ]
    return np.stack(raw, axis=1).astype(np.float64) if raw else np.asarray(x, dtype=np.float64)


def decode_rows(x: NDArray[Any], schema: Schema) -> pd.DataFrame:
    """Encoded rows ``(n, values)`` as a person reads them: original units, names of categories.

    Raises:
        InputError: as ``decode``.
    """
    import pandas as pd

    raw = decode(x, schema)
    return pd.DataFrame(
        {
            column.name: [column.categories[int(code)] for code in raw[:, i]] if column.categories else raw[:, i]
            for i, column in enumerate(schema.columns)
        }
    )
