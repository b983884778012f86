"""Which candidates are judged where coins decided who is a member: a choice that does not look at the coins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.attacks.base import Attack, Shares
from bench.candidates import candidates_of, judged_candidates, too_few_judged
from bench.data.split import Split
from bench.errors import InputError
from bench.records import Records, Schema

N = 120


class Capped(Attack):
    """Judges some candidates only."""

    name = "capped"
    access = "samples"

    def __init__(self, cap: int | None, known: Shares | None = None) -> None:
        super().__init__()
        self.cap, self.known = cap, known or Shares()


def tossed(seed: int, membership: str = "coin") -> Split:
    records = Records(np.arange(N), np.arange(N, dtype=np.float32)[:, None], None, Schema("table", (1,)))
    joins = np.random.Generator(np.random.PCG64(seed)).random(N) < 0.5
    ids = {"members": np.flatnonzero(joins), "nonmembers": np.flatnonzero(~joins)}
    return Split(records, ids, membership, N // 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("cap", [20, 60, 119])
def test_a_cap_takes_the_same_records_whatever_the_coins_say(cap: int) -> None:
    found = [candidates_of(tossed(seed), Capped(cap)) for seed in (1, 2, 3)]
    for seed, each in enumerate(found, start=1):
        np.testing.assert_array_equal(each.records.ids, found[0].records.ids)
        np.testing.assert_array_equal(each.membership, np.isin(each.records.ids, tossed(seed).ids["members"]))
        assert (len(each.records), each.capped) == (cap, True)
    assert judged_candidates(tossed(1), Capped(cap)) == cap


def test_one_more_member_moves_no_other_record_into_the_judged_ones() -> None:
    split = tossed(1)
    moved = split.ids["nonmembers"][:1]
    flipped = replace(
        split,
        ids={"members": np.union1d(split.ids["members"], moved), "nonmembers": split.ids["nonmembers"][1:]},
    )
    before, after = (candidates_of(each, Capped(40)) for each in (split, flipped))
    np.testing.assert_array_equal(before.records.ids, after.records.ids)
    others = before.records.ids != moved[0]
    np.testing.assert_array_equal(before.membership[others], after.membership[others])


def test_the_judged_coins_stay_independent() -> None:
    """Were members and non-members balanced, their number among the judged would never vary."""
    counts = np.array([candidates_of(tossed(seed), Capped(50)).membership.sum() for seed in range(100)])
    assert abs(counts.mean() - 25) < 4 * np.sqrt(50 / 4 / 100)
    assert abs(counts.var() / (50 / 4) - 1) < 4 * np.sqrt(2 / 100)
    fixed = np.array([candidates_of(tossed(seed, "fixed"), Capped(50)).membership.sum() for seed in range(5)])
    assert set(fixed.tolist()) == {25}


@pytest.mark.parametrize("known", [Shares(), Shares(0.5, 0.25)], ids=str)
@pytest.mark.parametrize("cap", [None, 30, 1000])
def test_the_plan_counts_what_is_judged(cap: int | None, known: Shares) -> None:
    split, attack = tossed(4), Capped(cap, known)
    found = candidates_of(split, attack)
    assert judged_candidates(split, attack) == len(found.records)
    assert not np.isin(found.records.ids, found.known.ids).any()
    assert found.capped == (cap == 30)


def test_too_few_of_a_class_are_still_found_when_planning() -> None:
    seen = set()
    for seed in range(30):
        split, attack = tossed(seed), Capped(4)
        reason = too_few_judged(split, attack)
        try:
            members = int(candidates_of(split, attack).membership.sum())
        except InputError:
            assert reason is not None  # nobody of one class
            continue
        seen.add(members)
        assert (reason is None) == (members == 2)
        assert reason is None or f"judge {members} members and {4 - members} non-members" in reason
    assert seen == {1, 2, 3}
