"""Membership by coins: what a coin moves, who is trained on whatever it says, and what of it is public."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.split import ALWAYS, ROLES, Split, make_split
from bench.errors import InputError
from bench.matrix import SplitOptions
from bench.records import Records, Schema
from bench.rng import generator
from bench.steps.data import _write, load_split
from bench.store import Artifact, Store

HERE = Path()


def loaded(n: int) -> Records:
    x = generator(0, "test coins").integers(0, 256, (n, 1, 8, 8), np.uint8)
    return Records(np.arange(n, dtype=np.int64), x, np.arange(n) % 10, Schema("image", (1, 8, 8), 10))


def tossed(n: int = 200, folder: Path = HERE, **asked: Any) -> Split:
    options: dict[str, Any] = {"membership": "coin", "members": 30, "nonmembers": 30, "reference": 40, **asked}
    return make_split(loaded(n), SplitOptions.model_validate(options), folder)


def stored(split: Split, folder: Path) -> Artifact:
    store = Store(folder)
    with store.write("data", "d" * 64) as place:
        _write(place, split)
    found = store.find("data", "d" * 64)
    assert found is not None
    return found


def test_half_of_a_large_pool_joins_and_neighbours_do_not_matter() -> None:
    """One outcome of 4,000 coins: their number, and the runs of equal ones, within 4 standard deviations."""
    split = tossed(4100, members=2000, nonmembers=2000, reference=0, validation=0, holdout=100)
    _, joins = split.candidates()
    assert abs(joins.sum() - 2000) < 4 * np.sqrt(4000 / 4)
    changes = int((joins[1:] != joins[:-1]).sum())  # of independent fair coins a binomial of 3,999 and 1/2
    assert abs(changes - 3999 / 2) < 4 * np.sqrt(3999 / 4)
    assert split.expected_members == 2000 != joins.sum()


def test_a_records_coin_is_its_own_whoever_else_is_in_the_pool() -> None:
    few, many = (tossed(members=n, nonmembers=n, validation=5, holdout=20) for n in (20, 50))
    coins = []
    for split in (few, many):
        candidates, joins = split.candidates()
        coins.append(dict(zip(candidates.ids.tolist(), joins.tolist(), strict=True)))
    shared = coins[0].keys() & coins[1].keys()
    assert len(shared) >= 15
    assert all(coins[0][record] == coins[1][record] for record in shared)


def test_records_that_are_always_trained_on_are_nobodys_candidates() -> None:
    without, split = tossed(holdout=20, validation=10), tossed(holdout=20, validation=10, always=25)
    for role in ROLES:
        np.testing.assert_array_equal(split.ids[role], without.ids[role])  # they take nothing from the others
    assert ALWAYS not in without.ids
    assert (without.always, split.always) == (0, 25)
    everyone = np.concatenate(list(split.ids.values()))
    assert len(np.unique(everyone)) == len(everyone) == 60 + 40 + 10 + 20 + 25
    assert not np.isin(split.ids[ALWAYS], split.candidates()[0].ids).any()
    trained = split.training()
    np.testing.assert_array_equal(trained.ids, np.sort(np.concatenate([split.ids["members"], split.ids[ALWAYS]])))
    np.testing.assert_array_equal(without.training().ids, without.ids["members"])
    assert (without.expected_training, split.expected_training) == (30, 55)
    assert split.expected_members == 30


def test_roles_that_are_not_given_share_what_those_leave() -> None:
    split = tossed(members=30, nonmembers=30, reference=None, always=40)
    left = 200 - 60 - 40
    assert [len(split.ids[role]) for role in ("reference", "validation", "holdout")] == [
        left * share // 7 for share in (3, 1, 3)
    ]


def test_an_index_file_names_them(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("7\n3\n", "utf-8")
    split = tossed(folder=tmp_path, always="mine.txt")
    assert split.ids[ALWAYS].tolist() == [3, 7]
    assert split.always == 2
    assert not np.isin([3, 7], np.concatenate([split.ids[role] for role in ROLES])).any()


def test_they_may_be_images_of_the_users_own(tmp_path: Path) -> None:
    images = generator(1, "test images").integers(0, 256, (4, 8, 8), np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(4))
    split = tossed(folder=tmp_path, always="mine.npz")
    assert split.ids[ALWAYS].tolist() == [200, 201, 202, 203]
    np.testing.assert_array_equal(split.role(ALWAYS).x[:, 0], images)
    assert split.expected_training == 34


def test_a_file_that_shares_records_with_another_role(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.txt").write_text("5\n6\n", "utf-8")
    with pytest.raises(InputError, match="reference and always share 2 records"):
        tossed(folder=tmp_path, reference="one.txt", always="other.txt")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"always": 5}, "always: expected `membership: coin` beside it: on a fixed split all members"),
        ({"canaries": "blank"}, "canaries: expected `membership: coin` beside `blank`"),
        ({"canaries": "mislabelled"}, "canaries: expected `membership: coin` beside `mislabelled`"),
    ],
)
def test_what_only_an_audit_has(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tossed(membership="fixed", **asked)


def test_more_than_there_is() -> None:
    with pytest.raises(InputError, match=r"it asks for 230 \(members 30 .* always 100\)"):
        tossed(validation=10, holdout=20, always=100)


def test_public_sizes_do_not_tell_how_many_joined() -> None:
    outcomes = [tossed(split_seed=seed, validation=10, holdout=20, always=7) for seed in range(6)]
    assert len({len(split.ids["members"]) for split in outcomes}) > 1
    expected = {"members": 30, "nonmembers": 30, "reference": 40, "validation": 10, "holdout": 20, "always": 7}
    assert all(split.public_sizes() == expected for split in outcomes)
    asked = SplitOptions(members=20, nonmembers=50)
    fixed = make_split(loaded(200), asked, HERE)
    assert fixed.public_sizes() == {role: len(ids) for role, ids in fixed.ids.items()}


@pytest.mark.parametrize("asked", [{}, {"always": 12}, {"always": 12, "canaries": "blank"}], ids=str)
def test_a_stored_split_comes_back(tmp_path: Path, asked: dict[str, Any]) -> None:
    split = tossed(**asked)
    artifact = stored(split, tmp_path)
    again = load_split(artifact)
    assert list(again.ids) == list(split.ids)
    assert all(np.array_equal(again.ids[role], split.ids[role]) for role in split.ids)
    np.testing.assert_array_equal(again.training().x, split.training().x)
    assert (again.membership, again.expected_training, again.canaries) == (
        "coin",
        30 + asked.get("always", 0),
        asked.get("canaries", "none"),
    )
    assert ("canaries" in artifact.json("split.json")) == ("canaries" in asked)  # other splits are stored as ever
    assert ("role_always" in artifact.arrays("records.npz")) == ("always" in asked)


@pytest.mark.parametrize(("canaries", "like"), [("none", ["members", ALWAYS]), ("blank", [ALWAYS])])
def test_samples_are_compared_with_what_looks_like_the_data(canaries: str, like: list[str]) -> None:
    split = tossed(always=12, canaries=canaries)
    np.testing.assert_array_equal(split.imitated(), np.sort(np.concatenate([split.ids[role] for role in like])))
