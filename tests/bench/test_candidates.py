"""Which candidates are judged, which are known, and what a model of an attack trains on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.attacks.base import Attack, Shares
from bench.candidates import candidates_of, judged_candidates, known_mask, model_records, too_few_judged
from bench.data.split import Split
from bench.errors import InputError
from bench.records import Records, Schema

N = 100
SCHEMA = Schema("table", (1,))


class Told(Attack):
    """An attack that is told some of the truth, or judges some candidates only."""

    name = "told"
    access = "samples"

    def __init__(self, members: float = 0, nonmembers: float = 0, cap: int | None = None) -> None:
        super().__init__()
        self.known, self.cap = Shares(members, nonmembers), cap


def split(members: int = 40, nonmembers: int = 60, reference: int = 30) -> Split:
    n = members + nonmembers + reference
    records = Records(np.arange(n), np.arange(n, dtype=np.float32)[:, None], None, SCHEMA)
    order = np.random.Generator(np.random.PCG64(0)).permutation(n)
    parts = np.split(order, [members, members + nonmembers])
    ids = dict(zip(("members", "nonmembers", "reference"), map(np.sort, parts), strict=True))
    return Split(records, ids, "fixed", members)


def test_without_shares_and_cap_all_candidates_are_judged() -> None:
    given = split()
    found = candidates_of(given, Told())
    assert np.array_equal(found.records.ids, np.sort(np.concatenate([given.ids["members"], given.ids["nonmembers"]])))
    assert np.array_equal(found.records.ids[found.membership], given.ids["members"])
    assert (len(found.known), found.capped) == (0, False)
    assert judged_candidates(given, Told()) == 100


@pytest.mark.parametrize(
    ("members", "nonmembers", "known"), [(0.5, 0, (20, 0)), (0, 0.25, (0, 15)), (0.3, 0.3, (12, 18))]
)
def test_known_candidates_are_shares_of_each_class_and_leave_the_evaluation(
    members: float, nonmembers: float, known: tuple[int, int]
) -> None:
    given, attack = split(), Told(members, nonmembers)
    found = candidates_of(given, attack)
    assert (int(found.known_membership.sum()), int((~found.known_membership).sum())) == known
    assert np.array_equal(np.isin(found.known.ids, given.ids["members"]), found.known_membership)
    assert not set(found.known.ids.tolist()) & set(found.records.ids.tolist())
    assert len(found.known) + len(found.records) == 100
    assert not found.capped
    assert judged_candidates(given, attack) == len(found.records) == 100 - sum(known)


def test_a_record_is_known_whoever_else_is_a_candidate() -> None:
    """A draw per record: without a third of the others, nearly all known ones stay known."""
    ids, membership = np.arange(N), np.arange(N) < 50
    whole = known_mask(ids, membership, Shares(0.5, 0.5))
    kept = np.arange(N) % 3 > 0
    assert np.mean(known_mask(ids[kept], membership[kept], Shares(0.5, 0.5)) == whole[kept]) > 0.85
    order = np.arange(N)[::-1]
    assert np.array_equal(known_mask(ids[order], membership[order], Shares(0.5, 0.5)), whole[order])


def test_more_known_candidates_hold_the_fewer() -> None:
    ids, membership = np.arange(N), np.arange(N) < 50
    few, many = (known_mask(ids, membership, Shares(share, share)) for share in (0.2, 0.6))
    assert not (few & ~many).any()


@pytest.mark.parametrize(
    ("cap", "judged"), [(2, (1, 1)), (3, (1, 1)), (10, (5, 5)), (90, (40, 50)), (100, (40, 60)), (500, (40, 60))]
)
def test_a_cap_takes_as_many_members_as_others_where_there_are_so_many(cap: int, judged: tuple[int, int]) -> None:
    given, attack = split(), Told(cap=cap)
    found = candidates_of(given, attack)
    assert (int(found.membership.sum()), int((~found.membership).sum())) == judged
    assert found.capped == (cap < 100)
    assert len(found.known) == 0
    assert judged_candidates(given, attack) == sum(judged)


def test_a_cap_counts_those_that_are_not_known() -> None:
    given, attack = split(), Told(0.5, 0.5, cap=10)
    found = candidates_of(given, attack)
    assert (len(found.records), len(found.known), found.capped) == (10, 50, True)
    assert not set(found.known.ids.tolist()) & set(found.records.ids.tolist())
    assert judged_candidates(given, attack) == 10


@pytest.mark.parametrize(("members", "nonmembers", "what"), [(0.99, 0, "member"), (0, 0.999, "non-member")])
def test_somebody_of_each_class_must_be_left(members: float, nonmembers: float, what: str) -> None:
    with pytest.raises(InputError, match=f"leave a {what} to judge, got none"):
        candidates_of(split(), Told(members, nonmembers))


def test_too_few_to_compare_are_known_when_planning() -> None:
    assert too_few_judged(split(), Told(0.5, 0.5, cap=10)) is None
    assert too_few_judged(split(), Told(0.97, 0)) == (
        "told would judge 1 members and 60 non-members, after those that it is told of or is capped by; at least 2 of "
        "each can be compared"
    )
    assert "1 members and 1 non-members" in str(too_few_judged(split(), Told(cap=2)))


def asked(source: str, size: int | None = None, **rest: Any) -> dict[str, Any]:
    return {"source": source, "size": size, "seed": 0, "part": 0, "known": [0, 0], "against": None, **rest}


SOURCES = {
    source: Records(np.arange(first, first + n), np.full((n, 1), first, np.float32), None, SCHEMA)
    for source, first, n in (("candidates", 0, 100), ("reference", 200, 30), ("samples", 300, 7))
}
MEMBERSHIP: NDArray[np.bool_] = np.arange(100) < 40


def records_of(**kwargs: Any) -> Records:
    return model_records(asked(**kwargs), SOURCES.__getitem__, SOURCES["candidates"], MEMBERSHIP)


def test_all_records_of_a_source() -> None:
    assert np.array_equal(records_of(source="reference").ids, np.arange(200, 230))


def test_parts_of_one_seed_are_disjoint_and_sorted() -> None:
    parts = [records_of(source="reference", size=10, part=k).ids.tolist() for k in range(3)]
    assert sorted(one for part in parts for one in part) == list(range(200, 230))
    assert all(part == sorted(part) for part in parts)
    assert records_of(source="reference", size=10, seed=1).ids.tolist() not in parts


def test_too_few_records_for_a_model() -> None:
    with pytest.raises(InputError, match="expected at least 40 records of reference for a model's 20 records, got 30"):
        records_of(source="reference", size=20, part=1)


def test_records_told_apart_are_labelled_real_and_fake() -> None:
    """Real: the samples and the known members; fake: the reference and the known non-members."""
    found = records_of(source="samples", known=[0.25, 0.1], against="reference")
    known = known_mask(SOURCES["candidates"].ids, MEMBERSHIP, Shares(0.25, 0.1))
    assert (int((known & MEMBERSHIP).sum()), int((known & ~MEMBERSHIP).sum())) == (10, 6)
    assert found.labels is not None
    assert found.schema.classes == 2
    assert found.x[found.labels == 1, 0].tolist() == [300] * 7 + [0] * 10
    assert found.x[found.labels == 0, 0].tolist() == [0] * 6 + [200] * 30
    assert found.ids.tolist() == list(range(53))
