"""Every flag from planted results: one board that raises it, and the nearest innocent one that does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_board import cell, controls, idle, quality, results, table_quality, tables, trial

from bench.board import flags
from bench.board.rows import Row, build
from bench.metrics.quality import QualityRecord
from bench.results import Cell, Lines, Results, Trial
from bench.rng import generator

ROOT = Path(__file__).resolve().parents[3]


def last(found: Results) -> Row:
    """The last row: the defended one where there are two."""
    return build(found).rows[-1]


def one(*cells: Cell, **changed: Any) -> Results:
    return results((trial(**changed),), cells)


def reading(auc: float, members: int = 200, nonmembers: int = 300, **changed: Any) -> Cell:
    """A cell whose AUC is ``auc`` but for rounding: non-members are ranked at even steps, members among them."""
    made = cell(members=members, nonmembers=nonmembers, **changed)
    scores = np.empty(len(made.membership))
    scores[~made.membership] = np.arange(nonmembers)
    # Members spread evenly over all ranks, but for a share that stands above or below all.
    share = abs(2 * auc - 1)
    out = round(share * members)
    even = np.linspace(-0.4, nonmembers - 0.6, members - out)
    scores[made.membership] = np.concatenate([even, np.full(out, 2.0 * nonmembers if auc > 0.5 else -nonmembers)])
    return replace(made, scores=scores)


def with_p(p: float) -> tuple[Cell, ...]:
    return tuple(replace(c, diagnostics={"permutation_p": p}) if c.attack == "blind" else c for c in controls())


def tied(share: float) -> Cell:
    made = cell()
    scores = made.scores.copy()
    scores[: round(share * len(scores))] = 0.25
    return replace(made, scores=scores)


def defended(**changed: Any) -> Results:
    """An undefended trial and one with a defense that left its samples as they were."""
    trials = (trial(), trial("filter(rate=0)", artifacts={"sample": "sample-none-0"}, **changed))
    return results(trials, (cell(), replace(cell(), defense="filter(rate=0)")))


def other_attack_scores() -> Results:
    """The samples are the same, but a white-box attack reads something else: the defense changed a network."""
    found = defended()
    plain, same = cell("wb", access="white_box"), cell("wb", "filter(rate=0)", access="white_box")
    return replace(found, cells=(*found.cells, plain, same))


def other_samples() -> Results:
    found = defended()
    return replace(found, trials=(found.trials[0], trial("filter(rate=0)")))


def another_seed() -> Results:
    """The same samples at two seeds prove nothing of the defense."""
    found = defended()
    moved = replace(found.trials[1], seed=1)
    return replace(found, trials=(found.trials[0], moved), cells=(found.cells[0], replace(found.cells[1], seed=1)))


def of_quality(record: QualityRecord) -> Results:
    return one(cell(), quality=record)


def seeds(number: int) -> Results:
    return results(tuple(trial(seed=s) for s in range(number)), tuple(cell(seed=s) for s in range(number)))


UNCORRELATED = Lines("wine", "tvae", table_quality(0.08), table_quality(0.45, correlation_distance=0.6), None)
"""The untrained line of a table whose columns it has right one by one, but not together."""


def adaptive(ran: bool) -> Results:
    own = cell("mc", adaptive=True) if ran else idle("mc", "failed", "out of memory", adaptive=True)
    return one(cell(), own, adaptive=("mc",))


def not_named() -> Results:
    return one(cell(), adaptive=())


def box(white: float) -> Results:
    """One black-box attack at .75 and one white-box attack."""
    return one(reading(0.75), reading(white, attack="wb", access="white_box"))


CASES: dict[str, tuple[list[Callable[[], Results]], list[Callable[[], Results]]]] = {
    "sign_flipped": (
        [lambda: one(reading(0.40)), lambda: one(reading(0.40), cell("other", shift=1.0))],
        # .45 on 200 + 300 records lies within the interval; a control may read what it likes
        [lambda: one(reading(0.46)), lambda: one(cell(), reading(0.2, attack="blind", control=True, access="none"))],
    ),
    "black_box_beats_white_box": (
        [lambda: box(0.55)],
        [lambda: box(0.70), lambda: one(reading(0.75)), lambda: one(reading(0.75), reading(0.55, attack="wb2"))],
    ),
    "split_distinguishable": (
        [lambda: one(cell(), *with_p(0.0005))],
        [lambda: one(cell(), *with_p(0.001)), lambda: one(cell(), *controls())],
    ),
    "many_ties": ([lambda: one(tied(0.502))], [lambda: one(tied(0.5))]),
    "few_seeds": ([lambda: seeds(2)], [lambda: seeds(3)]),
    "quality_gone": (
        # the untrained line lies at 310
        [lambda: of_quality(quality(308.0, half_width=2.0)), lambda: tables({"none": 0.44})],
        [
            lambda: of_quality(quality(307.9, half_width=2.0)),
            lambda: one(cell(), quality=None),
            # a table keeps its use while one of its two distances is better
            lambda: replace(tables({"none": 0.44}), lines=(UNCORRELATED,)),
        ],
    ),
    "not_adaptive": ([lambda: adaptive(False)], [lambda: adaptive(True), not_named]),
    "underpowered": (
        [lambda: one(cell(nonmembers=999))],
        [lambda: one(cell(nonmembers=1000))],
    ),
    "tuned_on_labels": ([lambda: one(cell(tuned_on_labels=True))], [lambda: one(cell())]),
    "capped": ([lambda: one(cell(capped=True))], [lambda: one(cell())]),
    "defense_inert": ([defended], [other_attack_scores, other_samples, another_seed]),
    "control_failed": (
        [lambda: one(cell(), *(replace(c, scores=cell(shift=0.6).scores) for c in controls() if c.attack == "random"))],
        [lambda: one(cell(), *controls())],
    ),
}  # fmt: skip
"""What raises each flag, and what is nearest to it and does not."""


def _told(which: int) -> list[object]:
    return [
        pytest.param(name, made, id=f"{name}-{number}")
        for name, both in CASES.items()
        for number, made in enumerate(both[which])
    ]


@pytest.mark.parametrize(("name", "made"), _told(0))
def test_a_board_raises_the_flag(name: str, made: Callable[[], Results]) -> None:
    row = last(made())
    assert row.raised(name)
    assert name in str(row.columns()["flags"]).split(";")


@pytest.mark.parametrize(("name", "made"), _told(1))
def test_the_nearest_innocent_board_does_not(name: str, made: Callable[[], Results]) -> None:
    row = last(made())
    assert not row.raised(name)
    assert name not in str(row.columns()["flags"]).split(";")


def test_every_flag_has_its_cases() -> None:
    """The audit's own flag is tested with the audit."""
    assert set(CASES) | {"dp_violation"} == set(flags.EXPLANATIONS)


def test_the_documented_flags_are_those_that_exist() -> None:
    section = (ROOT / "docs" / "method.md").read_text("utf-8").split("\n## Flags\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(documented) == sorted(flags.EXPLANATIONS)


def test_planted_readings_are_what_they_say() -> None:
    for auc in (0.4, 0.46, 0.7, 0.75):
        row = last(one(reading(auc)))
        assert row.attacks[0].summary is not None
        assert row.attacks[0].summary.auc == pytest.approx(auc, abs=0.003)


def nulls(board: int, number: int = 20) -> tuple[Cell, ...]:
    return tuple(
        replace(cell(f"null {k}", nonmembers=200), scores=generator(board, "null attacks", k).normal(size=400))
        for k in range(number)
    )


def test_twenty_attacks_that_know_nothing_seldom_look_flipped() -> None:
    """Each alone would be called so in 1 of 40 cases: two rows in five."""
    boards = [last(replace(one(*nulls(b)), settings={"sets": [10], "resamples": 100})) for b in range(20)]
    alone = [any(a.interval is not None and a.interval.high < 0.5 for a in row.attacks) for row in boards]
    assert sum(alone) >= 3
    assert sum(row.raised("sign_flipped") for row in boards) <= 2  # half a row is expected


def test_flags_of_an_attack_behind_the_headline_are_the_rows() -> None:
    """The worst attack on all records is not the only one that the headline's number comes from."""
    found = None
    for attempt in range(40):
        near = [
            replace(c, scores=generator(attempt, c.attack).normal(size=500) + 0.5 * c.membership)
            for c in (cell("a"), cell("b"))
        ]
        row = last(one(*near))
        assert row.worst is not None
        h = row.worst.headline
        other = {"a": "b", "b": "a"}[h.worst_attack]
        if other in h.chosen:
            found = (near, other)
            break
    assert found is not None
    near, other = found
    marked = [replace(c, tuned_on_labels=c.attack == other) for c in near]
    assert last(one(*marked)).raised("tuned_on_labels")


def test_an_attack_away_from_the_headline_keeps_its_flags_to_itself() -> None:
    row = last(one(cell("strong", shift=2.0), cell("weak", shift=0.0, tuned_on_labels=True)))
    assert not row.raised("tuned_on_labels")
    assert row.attacks[1].columns()["flags"] is not None
    assert "tuned_on_labels" in str(row.attacks[1].columns()["flags"])


def test_few_seeds_counts_the_runs_behind_the_headline() -> None:
    """Three were trained, but the two attacks have two runs in common, and no interval over runs stands there."""
    trials: tuple[Trial, ...] = tuple(trial(seed=s) for s in range(3))
    cells = (*(cell("a", seed=s) for s in range(3)), *(cell("b", seed=s, shift=0.1) for s in (0, 2)))
    row = last(results(trials, cells))
    assert row.columns()["auc_seed_low"] is None
    assert row.raised("few_seeds")
