"""The five-way split: disjoint, of the asked sizes, the same again; and whatever files users may bring."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.data.images import Pictures
from bench.data.split import ROLES, SHARES, Split, make_split
from bench.errors import InputError
from bench.matrix import SplitOptions
from bench.records import Records, Schema
from bench.rng import generator

HERE = Path()
Membership = Literal["fixed", "coin"]


def loaded(n: int, seed: int = 0) -> Records:
    x = generator(seed, "test split").integers(0, 256, (n, 1, 4, 4), np.uint8)
    return Records(np.arange(n, dtype=np.int64), x, np.arange(n) % 10, Schema("image", (1, 4, 4)))


def request(**asked: Any) -> SplitOptions:
    return SplitOptions.model_validate(asked)


def sizes(split: Split) -> dict[str, int]:
    return {role: len(split.ids[role]) for role in ROLES}


def assert_disjoint(split: Split) -> None:
    together = np.concatenate([split.ids[role] for role in ROLES])
    assert len(np.unique(together)) == len(together)
    assert np.isin(together, split.records.ids).all()
    assert all(np.array_equal(ids, np.sort(ids)) for ids in split.ids.values())


@settings(deadline=None)
@given(st.lists(st.integers(2, 30), min_size=5, max_size=5), st.integers(0, 20), st.integers(0, 2**31))
def test_asked_sizes_are_kept_and_roles_are_disjoint(counts: list[int], spare: int, seed: int) -> None:
    asked = dict(zip(ROLES, counts, strict=True))
    split = make_split(loaded(sum(counts) + spare), request(**asked, split_seed=seed), HERE)
    assert sizes(split) == asked
    assert_disjoint(split)
    assert split.expected_members == asked["members"]
    assert split.membership == "fixed"


@given(st.integers(20, 400), st.sets(st.sampled_from(ROLES), max_size=4))
def test_silent_roles_share_what_is_left(n: int, spoken: set[str]) -> None:
    asked = dict.fromkeys(spoken, 2)
    split = make_split(loaded(n), request(**asked), HERE)
    left, shares = n - 2 * len(spoken), sum(SHARES[role] for role in ROLES if role not in spoken)
    for role in ROLES:
        assert len(split.ids[role]) == (2 if role in spoken else left * SHARES[role] // shares)
    assert_disjoint(split)


def test_by_default_a_data_set_is_shared_as_1_2_3_1_3() -> None:
    expected = {"members": 100, "nonmembers": 200, "reference": 300, "validation": 100, "holdout": 300}
    assert sizes(make_split(loaded(1000), request(), HERE)) == expected


def test_the_seed_decides_and_nothing_else() -> None:
    first, again = (make_split(loaded(200), request(split_seed=4), HERE) for _ in range(2))
    other = make_split(loaded(200), request(split_seed=5), HERE)
    assert all(np.array_equal(first.ids[role], again.ids[role]) for role in ROLES)
    assert not np.array_equal(first.ids["members"], other.ids["members"])


def test_every_record_is_as_likely_a_member() -> None:
    """Sorted data sets are the trap: the first records must not be the members."""
    hits = np.zeros(60)
    for seed in range(400):
        hits[make_split(loaded(60), request(members=15, split_seed=seed), HERE).ids["members"]] += 1
    expected = 400 * 15 / 60
    assert np.abs(hits - expected).max() < 4.5 * np.sqrt(expected * (1 - 15 / 60))


def test_candidates_are_members_and_nonmembers_by_id() -> None:
    split = make_split(loaded(50), request(members=10, nonmembers=20), HERE)
    candidates, membership = split.candidates()
    assert np.array_equal(candidates.ids, np.sort(candidates.ids))
    assert np.array_equal(candidates.ids[membership], split.ids["members"])
    assert np.array_equal(candidates.ids[~membership], split.ids["nonmembers"])
    assert np.array_equal(candidates.x, split.records.x[candidates.ids])
    assert np.array_equal(split.role("reference").ids, split.ids["reference"])


def test_more_than_there_is() -> None:
    asked = request(members=5, nonmembers=5, reference=5, validation=5, holdout=5)
    message = r"within the 20 records that are there, but it asks for 25 \(members 5 \+ nonmembers 5 \+"
    with pytest.raises(InputError, match=message):
        make_split(loaded(20), asked, HERE)


def test_too_little_for_a_share_each() -> None:
    with pytest.raises(InputError, match="at least 2 records as members, got 0"):
        make_split(loaded(5), request(), HERE)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_coins_move_records_between_members_and_nonmembers_only(seed: int) -> None:
    asked: dict[str, Any] = {"members": 20, "nonmembers": 20, "reference": 10, "split_seed": seed}
    fixed = make_split(loaded(100), request(**asked), HERE)
    coin = make_split(loaded(100), request(**asked, membership="coin"), HERE)
    assert_disjoint(coin)
    assert coin.expected_members == 20
    assert len(coin.ids["members"]) + len(coin.ids["nonmembers"]) == 40
    for role in ("reference", "validation", "holdout"):
        assert np.array_equal(fixed.ids[role], coin.ids[role])
    pool = [np.sort(np.concatenate([s.ids["members"], s.ids["nonmembers"]])) for s in (fixed, coin)]
    assert np.array_equal(*pool)


def test_coins_are_fair_and_independent() -> None:
    joins = []
    for seed in range(300):
        asked = request(
            members=20, nonmembers=20, reference=0, validation=0, holdout=1, split_seed=seed, membership="coin"
        )
        split = make_split(loaded(41), asked, HERE)
        joins.append(split.candidates()[1])
    tossed = np.array(joins, dtype=float)
    assert abs(tossed.mean() - 0.5) < 4 * 0.5 / np.sqrt(tossed.size)
    counts = tossed.sum(axis=1)  # a binomial's variance; drawing exactly half would give 0
    assert abs(counts.var() / (40 / 4) - 1) < 4 * np.sqrt(2 / 300)
    correlation = np.corrcoef(tossed.T)[np.triu_indices(40, 1)]
    assert abs(correlation.mean()) < 4 / np.sqrt(300 * len(correlation))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"members": 10, "nonmembers": 12}, "as many members as nonmembers .* got 10 and 12"),
        ({"members": "m.txt", "nonmembers": 2}, "members and nonmembers cannot be files"),
    ],
)
def test_coins_that_cannot_be_tossed(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    (tmp_path / "m.txt").write_text("1\n2\n", "utf-8")
    with pytest.raises(InputError, match=message):
        make_split(loaded(50), request(**asked, membership="coin"), tmp_path)


def test_duplicates_across_roles_are_counted() -> None:
    records = loaded(60)
    split = make_split(records, request(split_seed=1), HERE)
    assert split.duplicates() == 0
    x = records.x.copy()
    a, b = split.ids["members"][:2], split.ids["nonmembers"][:1]
    x[b] = x[a[:1]]  # a member and a non-member alike: two records
    x[split.ids["reference"][0]] = x[split.ids["reference"][1]]  # alike within a role: no leak
    twins = make_split(Records(records.ids, x, records.labels, records.schema), request(split_seed=1), HERE)
    assert twins.duplicates() == 2


# Files of users.


def as_npz(path: Path, ids: list[int]) -> None:
    np.savez(path.with_suffix(".npz"), indices=np.array(ids))


def as_npy(path: Path, ids: list[int]) -> None:
    np.save(path.with_suffix(".npy"), np.array(ids, dtype=np.uint16))


def as_text(path: Path, ids: list[int]) -> None:
    path.with_suffix(".txt").write_text("\n".join(map(str, ids)) + "\n", "utf-8")


@pytest.mark.parametrize(("write", "suffix"), [(as_npz, "npz"), (as_npy, "npy"), (as_text, "txt")])
def test_a_role_from_an_index_file(tmp_path: Path, write: Callable[[Path, list[int]], None], suffix: str) -> None:
    write(tmp_path / "mine", [9, 3, 5])
    split = make_split(loaded(40), request(members=f"mine.{suffix}", nonmembers=10), tmp_path)
    assert split.ids["members"].tolist() == [3, 5, 9]
    assert split.expected_members == 3
    assert len(split.ids["nonmembers"]) == 10
    assert_disjoint(split)


def images(path: Path, n: int, shape: tuple[int, ...] = (4, 4), seed: int = 1, **more: Any) -> None:
    np.savez(path, images=generator(seed, "test images").integers(0, 256, (n, *shape), np.uint8), **more)


def test_members_as_images_of_the_users_own(tmp_path: Path) -> None:
    images(tmp_path / "mine.npz", 6, labels=np.arange(6, dtype=np.int32))
    base = loaded(30)
    split = make_split(base, request(members="mine.npz", nonmembers=10, reference=10), tmp_path)
    assert split.ids["members"].tolist() == list(range(30, 36))
    assert_disjoint(split)
    with np.load(tmp_path / "mine.npz") as archive:
        assert np.array_equal(split.role("members").x[:, 0], archive["images"])
    assert split.role("members").labels is not None
    assert np.array_equal(split.role("nonmembers").x, base.x[split.ids["nonmembers"]])


def test_labels_are_kept_only_where_every_part_has_them(tmp_path: Path) -> None:
    images(tmp_path / "mine.npz", 6)
    found = make_split(labelled(30, 10), request(members="mine.npz"), tmp_path).records
    assert found.labels is None
    assert found.schema == Schema("image", (1, 4, 4))


def labelled(n: int, classes: int) -> Records:
    records = loaded(n)
    return Records(records.ids, records.x, records.ids % classes, Schema("image", (1, 4, 4), classes))


def member_labels(split: Split) -> list[int]:
    labels = split.role("members").labels
    assert labels is not None
    return [int(label) for label in labels]


@pytest.mark.parametrize(("largest", "classes"), [(3, 5), (8, 9)])
def test_classes_are_the_most_that_any_part_has(tmp_path: Path, largest: int, classes: int) -> None:
    images(tmp_path / "mine.npz", 4, labels=np.array([0, 1, 1, largest]))
    split = make_split(labelled(30, 5), request(members="mine.npz"), tmp_path)
    assert split.records.schema.classes == classes
    assert member_labels(split) == [0, 1, 1, largest]


# The data set's records and those of users are chosen and prepared alike.


@pytest.mark.parametrize("asked", [{"resize": 3}, {"crop": 2}, {"grey": True}, {"crop": 3, "resize": [5, 4]}])
def test_no_role_is_prepared_differently(tmp_path: Path, asked: dict[str, Any]) -> None:
    """A user's members that are the data set's own images must come out as those: else preparation tells members."""
    colour = generator(2, "test images").integers(0, 256, (20, 3, 4, 6), np.uint8)
    whole = Records(np.arange(20), colour, None, Schema("image", (3, 4, 6)))
    np.savez(tmp_path / "mine.npz", images=colour[:7].transpose(0, 2, 3, 1))
    options = SplitOptions.model_validate_json(json.dumps({**asked, "members": "mine.npz"}))
    split = make_split(whole, options, tmp_path)
    again = make_split(whole, options.model_copy(update={"members": None}), tmp_path)
    assert np.array_equal(split.role("members").x, again.records.x[:7])
    assert split.records.schema == again.records.schema
    assert split.records.schema != whole.schema


def test_users_images_of_another_size_fit_once_all_are_resized(tmp_path: Path) -> None:
    images(tmp_path / "mine.npz", 6, (9, 7))
    split = make_split(loaded(30), request(members="mine.npz", resize=5), tmp_path)
    assert split.records.x.shape == (36, 1, 5, 5)
    with pytest.raises(
        InputError, match=r"members: .*mine.npz: expected images of at least 8 x 8 to `crop`, got 9 x 7"
    ):
        make_split(labelled_large(30), request(members="mine.npz", crop=8), tmp_path)


def labelled_large(n: int) -> Records:
    return Records(np.arange(n), np.zeros((n, 1, 10, 10), np.uint8), None, Schema("image", (1, 10, 10)))


def test_tables_cannot_be_resized() -> None:
    table = Records(np.arange(30), np.ones((30, 3), np.float32), None, Schema("table", (3,)))
    with pytest.raises(InputError, match="expected images to resize, got table 3"):
        make_split(table, request(resize=5), HERE)


def test_pictures_are_decoded_by_the_split() -> None:
    records = labelled(160, 4)
    pictures = Pictures([str(i) for i in range(160)], lambda i: records.x[i], records.labels, 4)
    asked = request(top_classes=2, fraction=0.5, resize=3)
    found = make_split(pictures, asked, HERE)
    assert len(found.records) == 40
    assert found.records.schema == Schema("image", (1, 3, 3), 2)
    assert set((found.records.ids % 4).tolist()) == {0, 1}
    assert found.records.fingerprint() == make_split(records, asked, HERE).records.fingerprint()


def test_pictures_of_no_role_are_not_decoded(tmp_path: Path) -> None:
    records, decoded = labelled(160, 4), []

    def read(i: int) -> NDArray[np.uint8]:
        decoded.append(i)
        return records.x[i]

    pictures = Pictures([str(i) for i in range(160)], read, records.labels, 4)
    (tmp_path / "mine.txt").write_text("9\n150\n", "utf-8")
    asked = request(members="mine.txt", nonmembers=10, reference=5, validation=0, holdout=3, fraction=1)
    found, same = make_split(pictures, asked, tmp_path), make_split(records, asked, tmp_path)
    assert decoded == sorted(np.concatenate(list(found.ids.values())).tolist())
    assert len(decoded) == 20
    for role in ROLES:
        assert found.role(role).fingerprint() == same.role(role).fingerprint()
    for number, role in enumerate(ROLES):
        images(tmp_path / f"{role}.npz", 3, seed=number)
    decoded.clear()
    make_split(pictures, request(**{role: f"{role}.npz" for role in ROLES}), tmp_path)
    assert decoded == []


def test_roles_are_drawn_from_the_subset(tmp_path: Path) -> None:
    split = make_split(labelled(200, 5), request(fraction=0.3, split_seed=1), tmp_path)
    assert len(split.records) == 60
    assert sizes(split)["holdout"] == 18
    assert_disjoint(split)
    assert np.array_equal(split.role("members").x, loaded(200).x[split.ids["members"]])  # ids still count through all


def test_index_files_count_through_the_whole_data_set(tmp_path: Path) -> None:
    """Of labels 0, 1, …, 4, 0, 1, … the top two classes are 0 and 1: ids 0, 1, 5, 6, 10, …"""
    (tmp_path / "in.txt").write_text("5\n11\n96\n", "utf-8")
    (tmp_path / "out.txt").write_text("5\n7\n8\n", "utf-8")
    split = make_split(labelled(100, 5), request(members="in.txt", top_classes=2), tmp_path)
    assert split.ids["members"].tolist() == [5, 11, 96]
    assert member_labels(split) == [0, 1, 1]
    message = r"out.txt: expected indices of the 40 records that top_classes: 2 keeps, but 2 of 3 .* \(7 first\)"
    with pytest.raises(InputError, match=message):
        make_split(labelled(100, 5), request(members="out.txt", top_classes=2), tmp_path)


def test_users_labels_are_numbered_like_the_kept_classes(tmp_path: Path) -> None:
    base = labelled(100, 5)
    base = Records(base.ids, base.x, np.where(base.ids < 20, 1, np.where(base.ids < 90, 3, 0)), base.schema)
    images(tmp_path / "mine.npz", 3, labels=np.array([3, 1, 3]))
    images(tmp_path / "other.npz", 3, labels=np.array([3, 1, 4]))
    split = make_split(base, request(members="mine.npz", top_classes=2), tmp_path)
    assert member_labels(split) == [1, 0, 1]
    assert split.ids["members"].tolist() == [100, 101, 102]
    assert split.records.schema.classes == 2
    with pytest.raises(InputError, match=r"other.npz: expected labels of the 2 classes .* \(1, 3\), got 4"):
        make_split(base, request(members="other.npz", top_classes=2), tmp_path)


def test_every_role_from_files_needs_no_data_set(tmp_path: Path) -> None:
    for number, role in enumerate(ROLES):
        images(tmp_path / f"{role}.npz", 3 + number, (5, 6, 3), seed=number)
    split = make_split(None, request(**{role: f"{role}.npz" for role in ROLES}), tmp_path)
    assert sizes(split) == {role: 3 + number for number, role in enumerate(ROLES)}
    assert split.records.schema == Schema("image", (3, 5, 6))
    assert_disjoint(split)


def pickled(path: Path) -> None:
    np.savez(path, images=np.array([{"a": 1}], dtype=object))


def corrupt(path: Path) -> None:
    images(path, 20)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def truncated(path: Path) -> None:
    images(path, 20)
    path.write_bytes(path.read_bytes()[:-50])


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("gone.npz", lambda p: None, "expected an npz file there, found nothing"),
    ("gone.txt", lambda p: None, "expected an index file there, found nothing"),
    ("folder.npz", lambda p: p.mkdir(), "expected an npz file there, found a folder"),
    ("pickled.npz", pickled, "expected an npz archive of plain arrays, but it holds pickled objects"),
    ("corrupt.npz", corrupt, "expected an npz archive of plain arrays, but it is damaged"),
    ("truncated.npz", truncated, "expected an npz archive of plain arrays, but it is damaged"),
    ("text.npz", lambda p: p.write_text("hello"), "expected an npz archive of plain arrays, but it is damaged"),
    ("other.npz", lambda p: np.savez(p, data=np.zeros(3)), r"expected an array `images` .* got \['data'\]"),
    ("floats.npz", lambda p: np.savez(p, images=np.zeros((2, 4, 4))), "expected `images` as uint8 .* got float64"),
    ("flat.npz", lambda p: images(p, 3, (16,)), "expected `images` as uint8 .* got uint8"),
    ("five.npz", lambda p: images(p, 3, (4, 4, 5)), "expected 1 or 3 channels last, got 5"),
    ("large.npz", lambda p: images(p, 3, (8, 8)), "expected records like the others, image 1x4x4, got image 1x8x8"),
    ("labels.npz", lambda p: images(p, 3, labels=np.zeros(3)), "expected `labels` as 3 integers, got float64"),
    ("none.npz", lambda p: images(p, 0), "expected `images` as uint8"),
    ("far.txt", lambda p: p.write_text("1\n30\n"), "index 30 is beyond the 30 records of the data set"),
    ("minus.txt", lambda p: p.write_text("-1\n"), "expected distinct record indices from 0"),
    ("twice.txt", lambda p: p.write_text("4\n4\n"), "expected distinct record indices from 0"),
    ("words.txt", lambda p: p.write_text("one\n"), "expected one record index per line"),
    ("huge.txt", lambda p: p.write_text("9" * 30), "expected one record index per line"),
    ("empty.txt", lambda p: p.write_text(""), "expected a list of record indices"),
    ("floats.npy", lambda p: np.save(p, np.zeros(3)), "expected a list of record indices, got float64"),
    ("square.npy", lambda p: np.save(p, np.zeros((2, 2), int)), r"expected a list of record indices, got int64 of"),
    ("broken.npy", lambda p: p.write_bytes(b"\x93NUMPY"), "expected a npy file of integers"),
    ("objects.npy", lambda p: np.save(p, np.array([{}])), "expected a npy file of integers"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "write", "message"), BAD, ids=[name for name, _, _ in BAD])
def test_files_that_do_not_fit_say_so(tmp_path: Path, name: str, write: Callable[[Path], object], message: str) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match=f"members: .*{message}") as caught:
        make_split(loaded(30), request(members=name), tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_every_bad_file_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n", "utf-8")
    (tmp_path / "b.txt").write_text("2\n3\n", "utf-8")
    asked = request(members="a.txt", nonmembers="b.txt", reference="c.txt", holdout="d.txt")
    with pytest.raises(InputError) as caught:
        make_split(loaded(30), asked, tmp_path)
    assert [p.split(":")[0] for p in caught.value.problems[:2]] == ["reference", "holdout"]
    assert caught.value.problems[2] == "members and nonmembers share 1 records (id 2 first); make them disjoint"


@pytest.mark.parametrize(("one", "other"), itertools.combinations(ROLES, 2))
def test_any_two_roles_that_overlap_are_refused(tmp_path: Path, one: str, other: str) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n", "utf-8")
    (tmp_path / "b.txt").write_text("2\n3\n", "utf-8")
    with pytest.raises(InputError, match=f"{one} and {other} share 1 records"):
        make_split(loaded(30), request(**{one: "a.txt", other: "b.txt"}), tmp_path)


def test_records_drawn_leave_the_given_ones_alone(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("\n".join(map(str, range(10))), "utf-8")
    for seed in range(20):
        split = make_split(loaded(40), request(validation="v.txt", split_seed=seed), tmp_path)
        assert split.ids["validation"].tolist() == list(range(10))
        assert_disjoint(split)


def test_nothing_to_split() -> None:
    with pytest.raises(InputError, match="expected records to split: give the data set a `path`"):
        make_split(None, request(), HERE)
