"""Ranks: only what the records can tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from bench.errors import InputError
from bench.metrics.headline import RowReplicates, headline
from bench.metrics.ranks import difference_p, holm, rank_rows
from bench.rng import generator

MEMBER = np.arange(400) < 200
IDS = np.arange(400)


def row(shift: float, seed: int, noise: float = 1.0, resamples: int = 200) -> RowReplicates:
    """A row whose two attacks see records that all rows share, plus noise of their own."""
    shared = generator(0, "shared").normal(size=400)
    rng = generator(seed, "own")
    attacks = {
        name: shared + noise * rng.normal(size=400) + strength * shift * MEMBER
        for name, strength in (("weak", 0.5), ("strong", 1.0))
    }
    return headline(attacks, MEMBER, IDS, 0, resamples)[1]


def made(auc: float, spread: float, seed: int = 0) -> RowReplicates:
    return RowReplicates(auc, auc + spread * generator(seed, "made").normal(size=500), "same")


def test_p_is_the_normal_tail_of_the_paired_difference() -> None:
    a, b = row(0.6, 1), row(0.2, 2)
    z = abs(a.auc - b.auc) / (a.replicates - b.replicates).std(ddof=1)
    assert difference_p(a, b) == pytest.approx(2 * norm.sf(z), rel=1e-9)
    assert difference_p(a, b) == difference_p(b, a)


def test_pairing_finds_what_separate_intervals_would_not() -> None:
    a, b = row(1.0, 1, noise=0.1), row(0.75, 2, noise=0.1)
    apart = np.hypot(a.replicates.std(), b.replicates.std())
    assert abs(a.auc - b.auc) / apart < 1.96
    assert difference_p(a, b) < 0.01


def test_rows_without_spread() -> None:
    assert difference_p(made(1.0, 0.0), made(1.0, 0.0)) == 1
    assert difference_p(made(1.0, 0.0), made(0.5, 0.0)) == 0
    same = row(0.5, 1)
    assert difference_p(same, same) == 1


def test_equal_rows_are_seldom_told_apart() -> None:
    different = 0
    for run in range(60):
        rng = generator(run, "equal")
        attacks = [{name: rng.normal(size=400) + 0.4 * MEMBER for name in "abc"} for _ in range(2)]
        rows = [headline(row_attacks, MEMBER, IDS, run, 100)[1] for row_attacks in attacks]
        different += difference_p(*rows) < 0.05
    assert different <= 7  # 60 x .05 = 3; more than 7 has probability .01


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_equals_its_definition(p: list[float]) -> None:
    ordered = sorted(range(len(p)), key=lambda i: p[i])
    expected = [0.0] * len(p)
    running = 0.0
    for place, i in enumerate(ordered):
        running = max(running, (len(p) - place) * p[i])
        expected[i] = min(1.0, running)
    assert holm(np.array(p)).tolist() == pytest.approx(expected)


def test_ranks_count_the_significantly_better_rows() -> None:
    rows = {
        "leaky": made(0.9, 0.01, 1),
        "middle": made(0.7, 0.01, 2),
        "middle_too": made(0.705, 0.01, 3),
        "private": made(0.5, 0.01, 4),
    }
    assert rank_rows(rows) == {"leaky": 4, "middle": 2, "middle_too": 2, "private": 1}


def test_holm_holds_over_all_pairs() -> None:
    # a difference of 2.2 deviations counts alone and not among the 45 pairs of ten rows
    rows = {"a": made(0.5, 0.01, 1), "b": made(0.5 + 2.2 * 0.01 * np.sqrt(2), 0.01, 2)}
    assert rank_rows(rows) == {"a": 1, "b": 2}
    crowd = rows | {f"c{i}": made(0.51, 0.01, 3 + i) for i in range(8)}
    assert set(rank_rows(crowd).values()) == {1}


def test_excluded_rows_have_no_rank_and_enter_no_comparison() -> None:
    rows = {"useless": made(0.5, 0.001, 1), "good": made(0.6, 0.001, 2), "bad": made(0.8, 0.001, 3)}
    assert rank_rows(rows) == {"useless": 1, "good": 2, "bad": 3}
    assert rank_rows(rows, excluded=["useless"]) == {"useless": None, "good": 1, "bad": 2}
    assert rank_rows(rows, excluded=["useless", "bad"]) == {"useless": None, "good": 1, "bad": None}
    assert rank_rows({}) == {}


def test_rows_that_cannot_be_paired_are_refused() -> None:
    scores = {"a": generator(0, "other").normal(size=400)}
    here = headline(scores, MEMBER, IDS, 0, 20)[1]
    for other in (
        headline(scores, MEMBER, IDS + 1, 0, 20)[1],
        headline(scores, MEMBER, IDS, 1, 20)[1],
        headline(scores, MEMBER, IDS, 0, 30)[1],
        headline(scores, ~MEMBER, IDS, 0, 20)[1],
    ):
        with pytest.raises(InputError, match="measured on the same candidates"):
            rank_rows({"here": here, "other": other})
    with pytest.raises(InputError, match="excluded rows to be among the rows, got typo"):
        rank_rows({"here": here}, excluded=["typo"])
