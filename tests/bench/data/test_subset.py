"""The most frequent classes and a random fraction of a data set, against plain counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.images import Pictures
from bench.data.subset import choose
from bench.errors import InputError
from bench.matrix import SplitOptions
from bench.records import Records, Schema


def labelled(labels: list[int], classes: int | None = None) -> Records:
    y = np.array(labels, dtype=np.int64)
    x = np.zeros((len(y), 1, 2, 2), np.uint8)
    return Records(np.arange(len(y)), x, y, Schema("image", (1, 2, 2), classes or int(y.max()) + 1))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.data())
def test_the_most_frequent_classes_ties_to_the_smaller(labels: list[int], data: st.DataObject) -> None:
    counts = Counter(labels)
    k = data.draw(st.integers(1, len(counts)))
    kept = sorted(sorted(counts, key=lambda label: (-counts[label], label))[:k])
    records = labelled(labels, classes=9)
    subset = choose(records, SplitOptions(top_classes=k))
    assert subset.ids.tolist() == [i for i, label in enumerate(labels) if label in kept]
    found = subset.relabelled(records.by_id(subset.ids))
    assert found.schema.classes == k
    assert found.ids.tolist() == subset.ids.tolist()
    assert found.labels is not None
    assert [kept[label] for label in found.labels] == [labels[i] for i in subset.ids]


def test_everything_by_default() -> None:
    records = labelled([0, 2, 2])
    subset = choose(records, SplitOptions())
    assert subset.ids.tolist() == [0, 1, 2]
    assert subset.relabelled(records) is records
    assert choose(None, SplitOptions()).of == 0


def test_a_fraction_is_random_seeded_and_nested() -> None:
    records = labelled([0, 1] * 500)
    tenth, again, third = (choose(records, SplitOptions(fraction=f, split_seed=3)).ids for f in (0.1, 0.1, 0.3))
    assert len(tenth) == 100
    assert len(third) == 300
    assert np.array_equal(tenth, again)
    assert np.array_equal(tenth, np.sort(tenth))
    assert np.isin(tenth, third).all()
    assert not np.array_equal(tenth, choose(records, SplitOptions(fraction=0.1, split_seed=4)).ids)
    assert len(choose(records, SplitOptions(fraction=1e-9)).ids) == 1
    hits = np.zeros(1000)
    for seed in range(200):
        hits[choose(records, SplitOptions(fraction=0.3, split_seed=seed)).ids] += 1
    assert abs(hits[:500].mean() - 60) < 1.5  # 0.3 x 200, in either half: a prefix would give 200 and 0
    assert np.abs(hits - 60).max() < 5 * np.sqrt(200 * 0.3 * 0.7)


def test_the_fraction_is_of_the_kept_classes() -> None:
    records = labelled([0] * 50 + [1] * 100 + [2] * 200)
    subset = choose(records, SplitOptions(top_classes=2, fraction=0.5))
    assert len(subset.ids) == 150
    assert subset.ids.min() >= 50


def test_pictures_are_chosen_without_decoding() -> None:
    def read(i: int) -> np.ndarray:  # type: ignore[type-arg]
        raise AssertionError("nothing is to be decoded")

    pictures = Pictures([str(i) for i in range(6)], read, np.array([0, 1, 1, 2, 2, 2]), 3)
    assert choose(pictures, SplitOptions(top_classes=2)).ids.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 1, 1], {"top_classes": 3}, r"at least 3 classes \(top_classes: 3\), got 2"),
        ([], {"top_classes": 1}, r"records with labels to choose from \(top_classes: 1\)"),
        (None, {"fraction": 0.5}, r"a data set to choose from \(fraction: 0.5\), but every role comes from a file"),
    ],
)
def test_what_cannot_be_chosen(labels: list[int] | None, options: dict[str, float], message: str) -> None:
    unlabelled = Records(np.arange(2), np.zeros((2, 1, 2, 2), np.uint8), None, Schema("image", (1, 2, 2)))
    loaded = None if labels is None else labelled(labels) if labels else unlabelled
    with pytest.raises(InputError, match=message):
        choose(loaded, SplitOptions.model_validate(options))
