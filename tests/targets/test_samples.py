"""Samples that users bring, in each format, and what is said where they do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_cases import SCHEMA, noise_records

from bench.contracts import check_target
from bench.data.tables import encode
from bench.errors import InputError
from bench.records import Column, Records, Schema
from defenses.base import stack_refuses
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from targets.samples import Samples

IMAGES = noise_records(9).x
LABELLED = replace(SCHEMA, classes=10)
COLUMNS = (
    Column("age", power=1.0, centre=40.0, scale=10.0),
    Column("sex", ("f", "m")),
    Column("income", power=0.5, centre=1.0, scale=2.0),
)
TABLE = Schema("table", (4,), columns=COLUMNS)
PLAIN = Schema("table", (3,))
ROWS = np.array([[30, 0, 1.5], [41, 1, 0.25], [77, 1, 12]])


def npz(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "s.npz", **arrays)
    return folder / "s.npz"


def images(folder: Path, x: np.ndarray = IMAGES, mode: str = "L") -> Path:
    (folder / "images" / "deeper").mkdir(parents=True)
    for i, image in enumerate(x):
        Image.fromarray(image[0]).convert(mode).save(folder / "images" / ("deeper" if i % 2 else ".") / f"{i}.png")
    return folder / "images"


def csv(folder: Path, text: str) -> Path:
    (folder / "s.csv").write_text(text)
    return folder / "s.csv"


def stored(path: Path, schema: Schema = SCHEMA) -> Records:
    return Samples(path=path.name).at(path.parent).stored(schema)


def test_images_of_an_npz(tmp_path: Path) -> None:
    path = npz(tmp_path, images=IMAGES[:, 0], labels=np.arange(9))
    found = stored(path)
    assert np.array_equal(found.x, IMAGES)
    assert found.labels is None  # of no use where the records have no classes
    labelled = stored(path, LABELLED)
    assert labelled.schema == LABELLED
    assert np.array_equal(np.asarray(labelled.labels), np.arange(9))
    unlabelled = stored(npz(tmp_path, images=IMAGES[:, 0]), LABELLED)
    assert unlabelled.labels is None
    assert unlabelled.schema.same_records(LABELLED)


def test_images_of_a_folder(tmp_path: Path) -> None:
    found = stored(images(tmp_path))
    assert sorted(x.tobytes() for x in found.x) == sorted(x.tobytes() for x in IMAGES)


def test_grey_images_where_the_records_are_in_colour(tmp_path: Path) -> None:
    found = stored(images(tmp_path), Schema("image", (3, 10, 12)))
    assert found.x.shape == (9, 3, 10, 12)
    assert bool((found.x[:, 0] == found.x[:, 2]).all())


def test_rows_of_a_table(tmp_path: Path) -> None:
    raw = Records(np.arange(3), ROWS.astype(np.float32), None, PLAIN)
    expected = encode(raw, COLUMNS).x
    assert np.array_equal(stored(npz(tmp_path, rows=ROWS), TABLE).x, expected)
    text = "sex,id,income,age\nf,1,1.5,30\nm,2,.25,41\nm,3,12,77\n"
    assert np.array_equal(stored(csv(tmp_path, text), TABLE).x, expected)
    assert np.array_equal(stored(npz(tmp_path, rows=ROWS), PLAIN).x, ROWS.astype(np.float32))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (Schema("image", (1, 12, 12)), r"s.npz: expected samples like the records, image 1x12x12, got 1x10x12"),
        (Schema("image", (3, 10, 12)), "`resize` and `grey` of the data set"),
        (TABLE, r"expected an array `rows` of numbers \(n, 3\) \(age, sex, income\), got arrays \['images'\]"),
    ],
)
def test_an_npz_of_other_records(tmp_path: Path, schema: Schema, message: str) -> None:
    with pytest.raises(InputError, match=f"samples: .*{message}"):
        stored(npz(tmp_path, images=IMAGES[:, 0]), schema)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:, :2], r"\(age, sex, income\), got float64 \(3, 2\)"),
        (ROWS[:0], r"got float64 \(0, 3\)"),
        (ROWS.astype(str), r"got <U"),
        (ROWS + np.array([[0, 0.5, 0]]), "column 'sex': expected codes from 0 to 1"),
        (ROWS * np.array([[np.nan, 1, 1]]), "expected finite values"),
    ],
)
def test_rows_that_do_not_fit(tmp_path: Path, rows: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stored(npz(tmp_path, rows=rows), TABLE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age,income\n1,2\n", r"got none for \['sex'\]"),
        ("age,sex,income\n1,x,2\n", r"column 'sex': expected one of \['f', 'm'\], got \['x'\]"),
        ("age,sex,income\nold,f,2\n", "column 'age': expected numbers, got 'old'"),
        ("age,sex,income\n1,f,\n", "column 'income' has a missing value at line 2"),
    ],
)
def test_a_csv_that_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stored(csv(tmp_path, text), TABLE)


def test_a_csv_for_other_records(tmp_path: Path) -> None:
    path = csv(tmp_path, "a\n1\n")
    with pytest.raises(InputError, match=r"no named columns, so a \.csv cannot be matched"):
        stored(path, PLAIN)
    with pytest.raises(InputError, match="got a table"):
        stored(path)


def test_a_folder_that_does_not_fit(tmp_path: Path) -> None:
    folder = images(tmp_path, mode="RGB")
    with pytest.raises(InputError, match="expected grey images like the records, got colour"):
        stored(folder)
    with pytest.raises(InputError, match=r"got 3x10x12(.|\n)*6 more files are like that"):
        stored(folder, Schema("image", (3, 8, 8)))
    with pytest.raises(InputError, match=r"with table 3 records, got a folder"):
        stored(folder, PLAIN)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="expected image files in this folder, found none"):
        stored(tmp_path / "empty")


def test_what_is_no_samples(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"samples: expected a file or folder as 'path', but there is no .*s\.npz"):
        stored(tmp_path / "s.npz")
    (tmp_path / "s.pt").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected a folder of images, an \.npz or a \.csv, got \.pt"):
        stored(tmp_path / "s.pt")
    np.savez(tmp_path / "p.npz", images=np.array([{}]))
    with pytest.raises(InputError, match="expected an npz archive of plain arrays, but it holds pickled objects"):
        stored(tmp_path / "p.npz")


def test_its_contract(tmp_path: Path) -> None:
    target = Samples(path=str(npz(tmp_path, images=IMAGES[:, 0])))
    report = check_target(target, schemas=(SCHEMA,))
    assert {rule: reason for rule, reason in report.items() if reason} == {
        "trains": "it was trained elsewhere",
        "judges_where_it_has_a_discriminator": "it has no networks",
        "keeps_records_apart": "no phase of it reads records",
    }


@pytest.mark.parametrize("defense", [DPSGD(noise_multiplier=1.0), Dropout()], ids=str)
def test_no_defense_of_training_applies(defense: DPSGD | Dropout) -> None:
    reason = stack_refuses([defense], Samples(path="s.npz"), SCHEMA)
    assert reason == f"samples was trained elsewhere, so {defense.name} cannot change its training"
