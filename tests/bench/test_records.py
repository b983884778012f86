"""Records: checked on the way in, the same bytes however they are subset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.records import Records, Schema, to_float, to_stored
from bench.rng import generator

IMAGE, TABLE = Schema("image", (1, 2, 3)), Schema("table", (4,))


def images(n: int = 5, **changes: Any) -> Records:
    x = generator(0, "test images").integers(0, 256, (n, 1, 2, 3), np.uint8)
    fields: dict[str, Any] = {"ids": np.arange(n) * 3, "x": x, "labels": np.arange(n), "schema": IMAGE}
    return Records(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.zeros((5, 1, 2, 3), np.float32)}, "expected image records of dtype uint8, got float32"),
        ({"x": np.zeros((5, 1, 3, 2), np.uint8)}, r"expected records of shape \(5, 1, 2, 3\), got \(5, 1, 3, 2\)"),
        ({"x": np.zeros((4, 1, 2, 3), np.uint8)}, r"expected records of shape \(5, 1, 2, 3\), got \(4"),
        ({"labels": np.arange(4)}, r"expected 5 labels, got shape \(4,\)"),
        ({"ids": np.array([0, 1, 2, 3, 3])}, "ids must be unique"),
        ({"schema": TABLE, "x": np.full((5, 4), np.nan, np.float32)}, "expected finite values"),
        ({"schema": TABLE, "x": np.zeros((5, 4))}, "expected table records of dtype float32, got float64"),
    ],
)
def test_records_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        images(**changes)


def test_problems_come_together() -> None:
    with pytest.raises(InputError) as caught:
        images(x=np.zeros((4, 1, 2, 3), np.int16), labels=np.arange(2))
    assert len(caught.value.problems) == 3


@given(st.permutations(range(6)), st.integers(0, 6))
def test_by_id_finds_what_take_placed(order: list[int], count: int) -> None:
    records = images(6).take(np.array(order))
    asked = np.array(order[::-1][:count], dtype=np.int64) * 3
    found = records.by_id(asked)
    assert np.array_equal(found.ids, asked)
    assert np.array_equal(found.x, images(6).x[asked // 3])
    assert found.labels is not None
    assert np.array_equal(found.labels, asked // 3)


@pytest.mark.parametrize("missing", [[1], [-1], [99], [0, 3, 4]])
def test_unknown_ids_raise(missing: list[int]) -> None:
    with pytest.raises(KeyError, match="not in this set"):
        images().by_id(np.array(missing))
    with pytest.raises(KeyError, match="not in this set"):
        images(0, labels=None).by_id(np.array(missing))


def test_every_pixel_value_survives_the_round_trip() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    floats = to_float(x, Schema("image", (1, 16, 16)))
    assert floats.dtype == np.float32
    assert (floats.min(), floats.max()) == (-1, 1)
    assert np.array_equal(to_stored(floats, Schema("image", (1, 16, 16))), x)


def test_model_output_beyond_the_range_is_clipped() -> None:
    stored = to_stored(np.array([[-7.0, -1.0, 0.0, 1.0, 3.0]]), Schema("image", (5,)))
    assert stored.tolist() == [[0, 0, 128, 255, 255]]  # rint rounds the middle, 127.5, to even
    assert to_stored(np.array([[7.5]]), Schema("table", (1,))).tolist() == [[7.5]]


def test_tables_are_used_as_they_are() -> None:
    x = generator(0, "table").normal(size=(3, 4)).astype(np.float32)
    assert np.array_equal(Records(np.arange(3), x, None, TABLE).floats(), x)


def test_the_fingerprint_covers_ids_pixels_labels_and_shape() -> None:
    base = images()
    x = base.x.copy()
    x[4, 0, 1, 2] ^= 1
    others = [
        images(x=x),
        images(ids=np.arange(5)),
        images(labels=None),
        images(labels=np.arange(5)[::-1]),
        Records(base.ids, base.x.reshape(5, 1, 3, 2), base.labels, Schema("image", (1, 3, 2))),
        base.take(np.array([1, 0, 2, 3, 4])),
    ]
    assert len({base.fingerprint(), *(o.fingerprint() for o in others)}) == len(others) + 1


def test_the_fingerprint_does_not_depend_on_the_memory_layout() -> None:
    strided = np.asfortranarray(images().x)
    assert images(x=strided).fingerprint() == images().fingerprint()


@pytest.mark.parametrize("schema", [IMAGE, TABLE], ids=str)
def test_a_schema_survives_json(schema: Schema) -> None:
    assert Schema.from_json(schema.to_json()) == schema
