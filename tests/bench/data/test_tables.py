"""Encoding of tables: against scikit-learn, back and forth, from the reference records alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.preprocessing import PowerTransformer

from bench.data.fitted import fit_column, fit_on_reference
from bench.data.sets.breast_cancer import NAMES, BreastCancer
from bench.data.sets.diabetes import Diabetes
from bench.data.sets.wine import Wine
from bench.data.split import ROLES, Split
from bench.data.tables import decode, decode_rows, encode, from_normal, harden, soft_columns, to_normal
from bench.errors import InputError
from bench.records import Column, Records, Schema

HERE = Path()


def cut(records: Records) -> Split:
    """Every fifth record of a role."""
    return Split(records, {role: records.ids[i::5] for i, role in enumerate(ROLES)}, "fixed", len(records.ids[::5]))


def table(n: int = 50) -> Records:
    """A numeric and a categorical column, two classes, the second among every 25th record alone."""
    x = np.stack([np.arange(n) ** 2 / 7, np.arange(n) % 3], axis=1).astype(np.float32)
    labels = (np.arange(n) % 25 == 0).astype(np.int64)
    columns = (Column("area"), Column("kind", ("a", "b", "c")))
    return Records(np.arange(n, dtype=np.int64), x, labels, Schema("table", (2,), 2, columns))


@pytest.mark.parametrize(
    ("loader", "bunch"), [(BreastCancer(), datasets.load_breast_cancer()), (Wine(), datasets.load_wine())]
)
def test_classified_tables_equal_scikit_learns(loader: BreastCancer | Wine, bunch: Any) -> None:
    found = loader.load(HERE)
    assert np.array_equal(found.x, bunch.data.astype(np.float32))
    assert np.array_equal(found.labels, bunch.target)
    assert [c.name for c in found.schema.columns] == list(bunch.feature_names)
    assert found.schema.classes == len(bunch.target_names)


def test_diabetes_is_in_its_own_units() -> None:
    bunch, found = datasets.load_diabetes(scaled=False), Diabetes().load(HERE)
    read = decode_rows(fit_on_reference(cut(found)).records.x, fit_on_reference(cut(found)).records.schema)
    assert list(read.columns) == list(bunch.feature_names)
    assert [float(sex) for sex in read["sex"]] == bunch.data[:, 1].tolist()
    numeric = [name for name in read.columns if name != "sex"]
    expected = pd.DataFrame(bunch.data, columns=bunch.feature_names)[numeric]
    np.testing.assert_allclose(read[numeric], expected, rtol=1e-5)
    assert found.schema.classes is None


def test_a_data_file_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.sets._sklearn.package_folder", lambda package, needed_for: tmp_path)
    with pytest.raises(InputError, match=r"wine: expected wine_data\.csv in .*; reinstall scikit-learn"):
        Wine().load(HERE)


def test_the_fitted_transform_equals_scikit_learns() -> None:
    split = cut(BreastCancer().load(HERE))
    fitted = fit_on_reference(split).records
    reference = PowerTransformer().fit(split.role("reference").x.astype(np.float64))
    np.testing.assert_allclose(fitted.x, reference.transform(split.records.x.astype(np.float64)), atol=2e-4)
    assert fitted.schema.shape == (30,)
    assert fitted.schema.columns[3].name == NAMES[3]


def test_members_decide_nothing() -> None:
    split = cut(table())
    changed = split.records.x.copy()
    changed[np.isin(split.records.ids, split.ids["members"]), 0] += 1000
    other = fit_on_reference(replace(split, records=replace(split.records, x=changed)))
    assert other.records.schema == fit_on_reference(split).records.schema


def test_categories_become_one_hot_and_shares_are_smoothed() -> None:
    split = fit_on_reference(cut(table()))
    records = split.records
    assert records.schema.shape == (4,)
    assert records.x[:, 1:].argmax(axis=1).tolist() == [i % 3 for i in range(50)]
    assert not soft_columns(records.x, records.schema)
    # None of the ten reference records, ids 2, 7, ..., is of the second class.
    assert records.schema.class_shares == (11 / 12, 1 / 12)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30),
    st.lists(st.floats(-1e8, 1e8, width=32), min_size=1, max_size=20),
)
def test_numbers_come_back_within_and_beyond_the_reference(fitted: list[float], seen: list[float]) -> None:
    # With a smaller spread, encoded values are cut to float32's range.
    assume(np.ptp(fitted) == 0 or np.ptp(fitted) > 1e-6)
    column = fit_column(Column("x"), np.array(fitted, dtype=np.float32))
    values = np.array([*fitted, *seen], dtype=np.float32).astype(np.float64)
    z = to_normal(values, column)
    assert np.isfinite(z).all()
    order = np.argsort(values)
    assert (np.diff(z[order]) >= 0).all()
    spread = np.ptp(fitted)
    np.testing.assert_allclose(from_normal(z, column), values, rtol=1e-5, atol=1e-6 * max(spread, 1e-6))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=30), st.floats(allow_nan=False, width=32))
def test_every_value_stays_finite(fitted: list[float], value: float) -> None:
    column = fit_column(Column("x"), np.array(fitted, dtype=np.float32))
    value = float(np.clip(value, -3e38, 3e38))
    assert np.isfinite(to_normal(np.array([value]), column).astype(np.float32)).all()
    assert np.isfinite(from_normal(np.array([value]), column)).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100, width=32), st.integers(0, 2)), min_size=4, max_size=40))
def test_encoded_rows_decode_to_themselves(rows: list[tuple[float, int]]) -> None:
    x = np.array(rows, dtype=np.float32)
    columns = (Column("area"), Column("kind", ("a", "b", "c")))
    raw = Records(np.arange(len(x), dtype=np.int64), x, None, Schema("table", (2,), columns=columns))
    fitted = (fit_column(columns[0], x[:, 0]), columns[1])
    encoded = encode(raw, fitted)
    back = decode(encoded.x, encoded.schema)
    assert np.array_equal(back[:, 1], x[:, 1])
    # float32 keeps 2^-24 of an encoded value; where the transform is flat that is up to 1e4 times as much of its own
    np.testing.assert_allclose(back[:, 0], x[:, 0], atol=1e-6 + 2e-3 * float(x[:, 0].std()))
    assert [columns[1].categories.index(kind) for kind in decode_rows(encoded.x, encoded.schema)["kind"]] == [
        k for _, k in rows
    ]


def test_a_constant_column_becomes_zero_and_comes_back() -> None:
    column = fit_column(Column("x"), np.full(5, 3.5, np.float32))
    assert to_normal(np.array([3.5, 4.5]), column) == pytest.approx([0, 1], abs=1e-12)
    assert from_normal(np.array([0.0, 1.0]), column) == pytest.approx([3.5, 4.5], abs=1e-12)


def test_soft_rows_are_refused_until_hardened() -> None:
    split = fit_on_reference(cut(table()))
    soft = split.records.x.copy()
    soft[3, 1:] = (0.2, 0.5, 0.3)
    with pytest.raises(InputError, match=r"one-hot categories in columns \['kind'\].*harden"):
        decode(soft, split.records.schema)
    hard = harden(soft, split.records.schema)
    assert hard[3, 1:].tolist() == [0, 1, 0]
    assert np.array_equal(np.delete(hard, 3, axis=0), np.delete(split.records.x, 3, axis=0))


def test_what_cannot_be_fitted_or_encoded_is_refused() -> None:
    empty = replace(cut(table()), ids={**cut(table()).ids, "reference": np.zeros(0, np.int64)})
    with pytest.raises(InputError, match="at least 2 are needed, got 0; set `reference`"):
        fit_on_reference(empty)
    raw = table()
    with pytest.raises(InputError, match="transform of column 'area' to be fitted"):
        encode(raw, raw.schema.columns)
    with pytest.raises(InputError, match="raw rows of 1 columns"):
        encode(raw, (Column("kind", ("a",)),))
    odd = replace(raw, x=raw.x + np.float32([0, 3]))
    with pytest.raises(InputError, match="column 'kind': expected codes from 0 to 2"):
        fit_on_reference(cut(odd))


def test_images_keep_their_records() -> None:
    x = np.zeros((10, 1, 2, 2), np.uint8)
    plain = Records(np.arange(10, dtype=np.int64), x, None, Schema("image", (1, 2, 2)))
    assert fit_on_reference(cut(plain)).records is plain
    labelled = replace(plain, labels=np.arange(10, dtype=np.int64) % 2, schema=Schema("image", (1, 2, 2), 2))
    assert fit_on_reference(cut(labelled)).records.schema.class_shares == (0.5, 0.5)
