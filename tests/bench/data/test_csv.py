"""The user's own tables: read as pandas reads them, and refused by column and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.sets.csv import Csv
from bench.errors import InputError

GOOD = 'age,"sex",income,zip,class\n30,f,1.5e3,8001,yes\n 41 ,m,-2,8002,no\n\n55,f,.25,8001,yes\n'


def load(folder: Path, text: str | bytes, **options: Any) -> Any:
    path = folder / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return Csv(path="mine.csv", **options).load(folder)


def test_columns_labels_and_codes_are_those_of_the_file(tmp_path: Path) -> None:
    found = load(tmp_path, "\ufeff" + GOOD, label="class", categorical=("zip",))
    frame = pd.read_csv(tmp_path / "mine.csv", skipinitialspace=True)
    assert [c.name for c in found.schema.columns] == ["age", "sex", "income", "zip"]
    assert [c.categories for c in found.schema.columns] == [(), ("f", "m"), (), ("8001", "8002")]
    np.testing.assert_array_equal(found.x[:, [0, 2]], frame[["age", "income"]].astype(np.float32))
    assert found.x[:, 1].tolist() == [0, 1, 0]
    assert found.x[:, 3].tolist() == [0, 1, 0]
    assert found.labels.tolist() == [1, 0, 1]
    assert (found.schema.classes, found.x.dtype) == (2, np.float32)


def test_dropped_columns_are_not_looked_at(tmp_path: Path) -> None:
    found = load(tmp_path, "id,x\nNA,1\n,2\n", drop=("id",))
    assert found.x.tolist() == [[1], [2]]
    assert found.labels is None


def test_numbers_as_categories_stand_in_their_own_order(tmp_path: Path) -> None:
    found = load(tmp_path, "size\n10\n9\nNA\n9\n", categorical=("size",))
    assert found.schema.columns[0].categories == ("9", "10", "NA")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n,4\n", {}, r"column 'a' has a missing value at line 3: ''; fill it in"),
        ("a,b\n1,x\n2,NA\n", {}, r"column 'b' has a missing value at line 3: 'NA'.*`categorical`"),
        ("a,b\n1,2\n3\n", {}, r"expected 2 cells at line 3, got 1"),
        ("a,b\n1,2\n3,4,5\n", {}, r"expected 2 cells at line 3, got 3"),
        ('a,b\n"x\ny",2\n3,inf\n', {}, r"column 'b' has an infinite or too large number at line 4: 'inf'"),
        ("a\n1\n1e39\n1e40\n", {}, r"column 'a' has an infinite .* line 3: '1e39' \(and 1 more\)"),
        ("a\n1\n2\nthree\n", {}, r"column 'a' has no number at line 4: 'three'; mend it, or list"),
        ("a\n1\n1_000\n", {}, r"column 'a' has no number at line 3: '1_000'"),
        ("age,b\n1,2\n", {"label": "agee"}, r"`label` names the column 'agee', .*did you mean 'age'"),
        ("a,b\n1,2\n", {"drop": ("c",)}, r"`drop` names the column 'c', but line 1 has \['a', 'b'\]"),
        ("a,b\n1,2\n", {"drop": ("a",), "label": "a"}, r"column 'a' is named more than once"),
        ("a,b\n1,2\n", {"drop": ("a",), "label": "b"}, r"expected columns beside label and drop"),
        ("a,b\n1,\n", {"label": "b"}, r"column 'b' has an empty cell at line 2"),
        ("a,a\n1,2\n", {}, r"every column name once in line 1, got \['a'\]"),
        ("a,\n1,2\n", {}, r"name for every column in line 1, got none for column 2"),
        ("1,2\n3,4\n", {}, r"expected column names in line 1, got numbers"),
        ("a;b\n1;2\n", {}, r"separated by commas, got ';' in line 1"),
        ("a,b\n", {}, r"expected a line of column names and rows below it, got 1 lines"),
        ('a\n"x"y\n', {}, r"expected comma-separated cells at line 2"),
        (b"a\n\xff\n", {}, r"expected text in UTF-8"),
        ("t\n" + "".join(f"{1.7e9 + i}\n" for i in range(20)), {}, r"column 't' varies by .* subtract an offset"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(tmp_path, text, **options)


def test_too_many_categories_are_named_where_they_begin(tmp_path: Path) -> None:
    cells = ["c0"] + [f"c{i}" for i in range(101)]
    with pytest.raises(InputError, match=r"at most 100 categories in column 'name', got 101, .* line 103: 'c100'"):
        load(tmp_path, "name\n" + "\n".join(cells) + "\n")
    assert load(tmp_path, "name\n" + "\n".join(cells[:-1]) + "\n").schema.columns[0].width == 100


def test_problems_of_several_columns_come_together(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, "a,b\n1,\n,2\n")
    assert len(caught.value.problems) == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: expected a CSV file there, found nothing"):
        Csv(path="gone.csv").load(tmp_path)
