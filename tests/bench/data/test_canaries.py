"""Canaries: who becomes one, what of it is drawn, and where none can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.canaries import GREY, Canaries, caveat, planted
from bench.data.split import make_split
from bench.errors import InputError
from bench.matrix import SplitOptions
from bench.records import Records, Schema
from bench.rng import generator

POOL = np.arange(0, 600, 3)


def records(n: int = 600, shape: tuple[int, int, int] = (3, 12, 10), classes: int | None = 5) -> Records:
    x = generator(0, "test canaries").integers(0, 256, (n, *shape), np.uint8)
    labels = None if classes is None else np.arange(n, dtype=np.int64) % classes
    return Records(np.arange(n, dtype=np.int64), x, labels, Schema("image", shape, classes))


def test_none_are_planted_unless_asked() -> None:
    given = records()
    assert planted(given, POOL, "none", 0) is given


def test_a_wrong_label_is_each_other_class_as_often() -> None:
    given = records(30_000, (1, 2, 2))
    pool = np.arange(0, 30_000, 2)
    found = planted(given, pool, "mislabelled", 0)
    assert given.labels is not None
    assert found.labels is not None
    np.testing.assert_array_equal(found.x, given.x)
    assert found.schema == given.schema
    outside = np.setdiff1d(given.ids, pool)
    np.testing.assert_array_equal(found.labels[outside], given.labels[outside])
    steps = (found.labels[pool] - given.labels[pool]) % 5
    counts = np.bincount(steps, minlength=5)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 15_000 / 4).max() < 4.5 * np.sqrt(15_000 * 3 / 16)


def test_blank_canaries_are_grey_with_marks_of_their_own() -> None:
    given = records()
    found = planted(given, POOL, "blank", 0)
    outside = np.setdiff1d(given.ids, POOL)
    np.testing.assert_array_equal(found.x[outside], given.x[outside])
    np.testing.assert_array_equal(found.labels, given.labels)
    assert found.schema == given.schema
    canaries = found.x[POOL]
    assert (canaries == canaries[:, :1]).all()  # grey: all channels alike
    assert set(np.unique(canaries).tolist()) == {0, GREY, 255}
    marks = canaries[:, 0].reshape(len(POOL), -1) != GREY
    assert (marks.sum(axis=1) == 12 * 10 // 8).all()
    assert len(np.unique(canaries.reshape(len(POOL), -1), axis=0)) == len(POOL)
    where, white = marks.mean(axis=0), (canaries[:, 0] == 255).sum() / marks.sum()
    assert np.abs(where - 1 / 8).max() < 4.5 * np.sqrt(1 / 8 * 7 / 8 / len(POOL))
    assert abs(white - 0.5) < 4 * 0.5 / np.sqrt(marks.sum())


@pytest.mark.parametrize("canaries", ["mislabelled", "blank"])
def test_a_canary_is_drawn_by_its_id_and_the_seed_alone(canaries: Canaries) -> None:
    given = records()
    whole = planted(given, POOL, canaries, 4)
    few = planted(given, POOL[::2], canaries, 4)
    backwards = planted(given.take(given.ids[::-1]), POOL, canaries, 4).by_id(given.ids)
    for same, ids in ((few, POOL[::2]), (backwards, given.ids)):
        assert same.by_id(ids).fingerprint() == whole.by_id(ids).fingerprint()
    assert planted(given, POOL, canaries, 5).fingerprint() != whole.fingerprint() != given.fingerprint()
    assert given.fingerprint() == records().fingerprint()  # what came in is left alone


@pytest.mark.parametrize("canaries", ["mislabelled", "blank"])
def test_whoever_does_not_join_is_a_canary_too(canaries: Canaries) -> None:
    asked: dict[str, Any] = {"members": 100, "nonmembers": 100, "reference": 100, "always": 50, "split_seed": 3}
    asked["membership"] = "coin"
    plain, split = (
        make_split(records(), SplitOptions.model_validate({**asked, "canaries": chosen}), Path())
        for chosen in ("none", canaries)
    )
    assert split.canaries == canaries
    for role in split.ids:
        np.testing.assert_array_equal(split.ids[role], plain.ids[role])  # the draw of the split is the same
        before, after = plain.role(role), split.role(role)
        assert before.labels is not None
        assert after.labels is not None
        changed = (before.x != after.x).any(axis=(1, 2, 3)) | (before.labels != after.labels)
        assert changed.all() if role in ("members", "nonmembers") else not changed.any()
    # In or out is decided by the coin alone: the same canary stands on either side of it.
    candidates, _ = split.candidates()
    both = planted(plain.records, candidates.ids, canaries, 3)
    assert both.by_id(candidates.ids).fingerprint() == candidates.fingerprint()


@pytest.mark.parametrize(
    ("given", "canaries", "message"),
    [
        (records(classes=None), "mislabelled", "label of another class, .* got records without classes; use `blank`"),
        (records(classes=1), "mislabelled", "2 classes or more, got 1 class"),
        (records(shape=(1, 4, 4)), "blank", r"room for 200 blank canaries that differ, but of 4x4 pixels only \d+ do"),
        (records(shape=(1, 2, 2)), "blank", "of 2x2 pixels only 1 do; use larger images or fewer audit records"),
        (
            Records(np.arange(600), np.zeros((600, 3), np.float32), None, Schema("table", (3,))),
            "blank",
            "marks on an empty picture, and a table has none; use `mislabelled`",
        ),
    ],
    ids=["unlabelled", "one class", "small", "tiny", "table"],
)
def test_where_none_can_be(given: Records, canaries: Canaries, message: str) -> None:
    with pytest.raises(InputError, match=message):
        planted(given, POOL, canaries, 0)


def test_rows_of_a_table_can_be_mislabelled() -> None:
    rows = Records(np.arange(600), np.zeros((600, 3), np.float32), np.arange(600) % 2, Schema("table", (3,), 2))
    found = planted(rows, POOL, "mislabelled", 0)
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels[POOL], 1 - POOL % 2)  # of two classes there is one other


def test_blank_canaries_take_no_notice_of_the_records() -> None:
    """Were any of a record left in its canary, the canary would not be one."""
    given = records()
    other = replace(given, x=255 - given.x)
    np.testing.assert_array_equal(planted(given, POOL, "blank", 0).x[POOL], planted(other, POOL, "blank", 0).x[POOL])


def test_readers_are_told() -> None:
    assert caveat("none", "dcgan", False) == ""
    assert "are blank canaries" in caveat("blank", "dcgan", False)
    assert caveat("mislabelled", "dcgan", False).endswith(
        "dcgan is told no labels, so to it they are ordinary records all the same."
    )
    assert "no labels" not in caveat("mislabelled", "dcgan", True)
