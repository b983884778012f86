"""Which intervals stand beside which figures of the tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted_board import cell, results, small, trial

from bench.board.attack_rows import bootstrap_seed
from bench.board.columns import ACCESS_COLUMNS, INTERVALS, MEASURES, SET_MEASURES
from bench.board.rows import Row, build
from bench.metrics.headline import headline
from bench.results import Cell, Results
from bench.rng import generator


def seeds(number: int, **changed: Any) -> Results:
    return results(
        tuple(trial(seed=s) for s in range(number)), tuple(cell(seed=s, shift=0.5, **changed) for s in range(number))
    )


def complete(columns: dict[str, Any], measures: tuple[str, ...]) -> dict[str, list[bool]]:
    return {m: [columns[m + end] is not None for end in INTERVALS] for m in measures}


@pytest.mark.parametrize(("number", "over_runs"), [(2, False), (3, True)])
def test_every_privacy_measure_has_both_intervals_from_three_seeds_on(number: int, over_runs: bool) -> None:
    """10,000 non-members, so that none of the measures is empty."""
    found = seeds(number, members=100, nonmembers=10_000)
    board = build(replace(found, settings={"sets": [10], "resamples": 20}))
    (attack,) = board.attacks
    expected = [True, True, True, over_runs, over_runs]
    assert complete(attack.columns(), MEASURES) == dict.fromkeys(MEASURES, expected)
    (sets,) = attack.set_columns()
    assert complete(sets, SET_MEASURES) == dict.fromkeys(SET_MEASURES, expected)
    (row,) = board.rows
    assert [row.columns()[f"auc{end}"] is not None for end in INTERVALS] == expected


def test_intervals_hold_their_value_in_every_table() -> None:
    board = build(small())
    found = 0
    for attack in board.attacks:
        if attack.summary is None:
            continue
        for columns, measures in ((attack.columns(), MEASURES), *((s, SET_MEASURES) for s in attack.set_columns())):
            for m in measures:
                if columns[m] is not None:
                    ends = [columns[f"{m}{end}"] for end in ("_low", "_high", "_seed_low", "_seed_high")]
                    assert ends[0] <= columns[m] <= ends[1]
                    assert ends[2] <= columns[m] <= ends[3]
                    found += 1
    assert found > 100


def with_parts(number: int) -> list[Cell]:
    made = []
    for seed in range(number):
        each = cell(seed=seed)
        part = np.where(each.membership, np.arange(500) % 2, -1)
        wrong = generator(seed, "wrong parts").random(500) < 0.2
        made.append(replace(each, part=part, named_part=np.where(wrong, 1 - part, part)))
    return made


def test_a_named_part_has_both_intervals() -> None:
    for number in (2, 3):
        found = results(tuple(trial(seed=s) for s in range(number)), tuple(with_parts(number)))
        columns = build(found).attacks[0].columns()
        assert columns["part_accuracy_low"] < columns["part_accuracy"] < columns["part_accuracy_high"]
        ends = (columns["part_accuracy_seed_low"], columns["part_accuracy_seed_high"])
        if number < 3:
            assert ends == (None, None)
        else:
            assert ends[0] < columns["part_accuracy_low"]
            assert ends[1] > columns["part_accuracy_high"]


LEVELS = {"samples": ("s1", "s2", "s3"), "latent": ("l1",), "white_box": ("w1", "w2")}


@pytest.fixture(scope="module")
def by_access() -> Row:
    """Attacks of three levels; the white-box ones leak, the samples' leak less."""
    cells = tuple(
        cell(name, access=access, shift={"samples": 0.3, "latent": 0.0, "white_box": 0.9}[access])
        for access, names in LEVELS.items()
        for name in names
    )
    (row,) = build(results((trial(),), cells)).rows
    return row


@pytest.mark.parametrize("access", LEVELS)
def test_each_access_level_has_its_own_headline(by_access: Row, access: str) -> None:
    """Point and interval are corrected for the choice among the attacks of that level and no others."""
    own = {a.attack: a.scores for a in by_access.attacks if a.attack in LEVELS[access]}
    first = by_access.attacks[0]
    expected, _ = headline(own, first.membership, first.record_ids, bootstrap_seed("digits"), 200)
    columns = by_access.columns()
    assert expected.attacks == LEVELS[access]
    assert columns[f"auc_{access}"] == expected.auc
    assert columns[f"auc_{access}_low"] == expected.auc_low
    assert columns[f"auc_{access}_high"] == expected.auc_high
    assert expected.auc_low <= expected.auc <= expected.auc_high


def test_levels_without_an_attack_are_empty(by_access: Row) -> None:
    columns = by_access.columns()
    for access in set(ACCESS_COLUMNS) - set(LEVELS):
        assert [columns[f"auc_{access}{end}"] for end in ("", "_low", "_high")] == [None] * 3


def test_a_row_of_one_level_has_one_headline() -> None:
    (row,) = build(results((trial(),), (cell("a"), cell("b")))).rows
    columns = row.columns()
    for end in ("", "_low", "_high"):
        assert columns[f"auc_samples{end}"] == columns[f"auc{end}"]


def test_fewer_attacks_cost_less() -> None:
    """Among three attacks of one level the interval is narrower than among those and twenty more."""
    three = tuple(cell(f"s{k}", shift=0.3) for k in range(3))
    more = tuple(cell(f"w{k}", access="white_box", shift=0.0) for k in range(20))
    (row,) = build(results((trial(),), (*three, *more))).rows
    columns = row.columns()
    assert columns["auc_samples_low"] > columns["auc_low"]
