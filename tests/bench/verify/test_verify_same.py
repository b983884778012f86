"""Whether two values are one but for rounding."""

from __future__ import annotations

from typing import Any

import pytest

from bench.verify.same import differences, numbers_in, same_number, table_differences


@pytest.mark.parametrize(
    ("stored", "made", "same"),
    [
        (0.7, 0.7, True),
        (0.7, 0.7 * (1 + 5e-10), True),
        (0.7, 0.7 * (1 + 3e-9), False),
        (0.0, 1e-13, True),
        (0, 1e-9, False),
    ],
)
def test_numbers(stored: float, made: float, same: bool) -> None:
    assert same_number(stored, made) is same


@pytest.mark.parametrize(
    ("stored", "made", "found"),
    [
        ({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]}, []),
        ({"a": 1}, {"a": "1"}, ["x.a: stored 1, recomputed '1'"]),
        ({"a": True}, {"a": 1}, ["x.a: stored True, recomputed 1"]),
        ({"a": 0}, {"a": None}, ["x.a: stored 0, recomputed None"]),
        ({"a": [1]}, {"a": {"b": 1}}, ["x.a: stored [1], recomputed {'b': 1}"]),
        ({"b": 1}, {"a": 2}, ["x.a: expected 2, it is missing", "x.b: expected no such key, got 1"]),
        ([1, 2], [1], ["x: stored 2 entries, recomputed 1"]),
        ([{"auc": 1}], [{"dataset": "d", "seed": 0, "auc": 2}], ["x[d / 0].dataset: expected 'd', it is missing",
         "x[d / 0].seed: expected 0, it is missing", "x[d / 0].auc: stored 1, recomputed 2"]),
    ],
)  # fmt: skip
def test_places(stored: Any, made: Any, found: list[str]) -> None:
    assert list(differences(stored, made, "x")) == found


def test_tables() -> None:
    rows = [{"dataset": "d", "auc": 0.5, "ok": True, "why": None, "n": 3}, {"dataset": "e, f", "auc": None, "ok": False,
            "why": "a\nb", "n": 4}]  # fmt: skip
    columns = ("dataset", "auc", "ok", "why", "n")
    text = 'dataset,auc,ok,why,n\nd,0.5,true,,3\n"e, f",,false,a b,4\n'
    assert list(table_differences(text, rows, columns, "t.csv")) == []
    for old, new, found in (
        ("0.5", "0.6", "row 1 (d), column auc: stored '0.6', recomputed 0.5"),
        ("0.5", "", "row 1 (d), column auc: stored '', recomputed 0.5"),
        ("0.5", "nan", "row 1 (d), column auc: stored 'nan', recomputed 0.5"),
        ("true", "false", "row 1 (d), column ok: stored 'false', recomputed 'true'"),
        (",,false", ",0,false", "row 2 (e, f), column auc: stored '0', recomputed None"),
        (",3", "", "row 1: expected 5 cells, got 4"),
    ):
        assert list(table_differences(text.replace(old, new, 1), rows, columns, "t.csv")) == [f"t.csv: {found}"]
    (found,) = table_differences("", rows, columns, "t.csv")
    assert found.startswith("t.csv: expected the columns dataset, auc")


def test_numbers_are_counted() -> None:
    assert numbers_in({"a": [1, 2.5, None, True, "3"], "b": {"c": 4}}) == 3
