"""The undefended model at equal quality: which snapshot is read beside a defense, and what of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from planted_board import cell, quality, results, stability, trial

from bench.board.rows import Board, build
from bench.results import Cell, Results
from bench.rng import generator

STEPS = (250, 500, 750, 1000)
KIDS = {0: (90.0, 60.0, 30.0, 20.0), 1: (110.0, 80.0, 10.0, 22.0)}  # means 100, 70, 20, 21
SHIFTS = {250: 0.0, 500: 0.4, 750: 1.2}


def steady(kids: tuple[float, ...], steps: tuple[int, ...] = STEPS) -> Any:
    values = {"snapshots": steps, "snapshot_kid": kids, "kid_final": kids[-1], "kid_best": min(kids)}
    return stability().model_copy(update=values)


def at(step: int, seed: int, attack: str = "nearest_sample", shift: float | None = None) -> Cell:
    made = cell(attack, seed=seed, shift=SHIFTS[step] if shift is None else shift)
    noise = generator(seed, "planted snapshot", attack, step).normal(size=len(made.scores)) / 4
    return replace(made, at_step=step, scores=made.scores + noise, key=f"{made.key}@{step}", artifact="")


def planted(own: dict[int, float], snapshots: tuple[Cell, ...] | None = None, **changed: Any) -> Results:
    """An undefended row with a curve of two seeds, and a defended one that ends at these KIDs."""
    plain = [trial(seed=seed, stability=steady(kids)) for seed, kids in KIDS.items()]
    defended = [trial("dropout", seed, stability=steady((99.0, kid), (500, 1000))) for seed, kid in own.items()]
    cells = [
        cell(attack, defense, seed, shift=1.5 if defense == "none" else 0.2)
        for defense in ("none", "dropout")
        for seed in (0, 1)
        for attack in ("nearest_sample", "logan_black_box")
    ]
    judged = tuple(at(step, seed) for step in SHIFTS for seed in (0, 1))
    return results((*plain, *defended), tuple(cells), snapshots=judged if snapshots is None else snapshots, **changed)


def dropout(board: Board) -> dict[str, Any]:
    (row,) = [row for row in board.rows if row.defense == "dropout"]
    return row.columns()


@pytest.mark.parametrize(
    ("own", "step", "kid"),
    [
        ({0: 300.0, 1: 500.0}, 250, 100.0),
        ({0: 100.0, 1: 100.0}, 250, 100.0),  # equal is as good
        ({0: 99.0, 1: 99.9}, 500, 70.0),
        ({0: 20.0, 1: 30.0}, 750, 20.0),
        ({0: 20.0, 1: 20.0}, 750, 20.0),  # the first that is as good, although the last is not
    ],
)
def test_the_first_snapshot_that_is_as_good(own: dict[int, float], step: int, kid: float) -> None:
    found = dropout(build(planted(own)))
    assert (found["equal_kid_step"], found["equal_kid"]) == (step, pytest.approx(kid))
    assert found["equal_kid_attack"] == "nearest_sample"


def test_its_auc_is_the_headline_of_the_attacks_on_that_snapshot() -> None:
    source = planted({0: 99.0, 1: 99.0})
    found = dropout(build(source))
    alone = results(
        (trial(seed=0), trial(seed=1)), tuple(replace(c, at_step=None) for c in source.snapshots if c.at_step == 500)
    )
    (plain,) = build(alone).rows
    assert plain.worst is not None
    assert found["undefended_auc_at_equal_kid"] == plain.worst.headline.auc
    assert found["undefended_auc_at_equal_kid_low"] == plain.worst.headline.auc_low
    assert found["undefended_auc_at_equal_kid_high"] == plain.worst.headline.auc_high
    assert 0.5 < found["undefended_auc_at_equal_kid"] < found["undefended_auc"]


def test_at_the_end_of_training_it_is_the_undefended_row_under_the_same_attacks() -> None:
    curve = {0: (90.0, 60.0, 30.0, 20.0), 1: (90.0, 60.0, 30.0, 20.0)}
    source = planted({0: 25.0, 1: 25.0})
    plain = tuple(trial(seed=seed, stability=steady(kids)) for seed, kids in curve.items())
    source = replace(source, trials=(*plain, *source.trials[2:]))
    found = dropout(build(source))
    only = replace(source, cells=tuple(c for c in source.cells if c.attack == "nearest_sample"))
    assert found["equal_kid_step"] == 1000
    assert found["undefended_auc_at_equal_kid"] == dropout(build(only))["undefended_auc"]
    assert "trained to its end, is about as good" in found["verdict"]


def test_a_board_that_published_only_what_it_used_says_the_same() -> None:
    """The scores of the other snapshots are not published; what names the attacks is."""
    source = planted({0: 99.0, 1: 99.0})
    bare = tuple(
        c
        if c.at_step == 500
        else replace(c, record_ids=c.record_ids[:0], membership=c.membership[:0], scores=c.scores[:0])
        for c in source.snapshots
    )
    assert dropout(build(replace(source, snapshots=bare))) == dropout(build(source))


def empty(found: dict[str, Any]) -> bool:
    names = ("undefended_auc_at_equal_kid", "equal_kid_step", "equal_kid", "equal_kid_attack")
    return all(found[name] is None for name in names) and "as good" not in found["verdict"]


def test_empty_where_nothing_can_be_said() -> None:
    fine = {0: 99.0, 1: 99.0}
    assert not empty(dropout(build(planted(fine))))
    assert empty(dropout(build(planted({0: 5.0, 1: 5.0}))))  # better than every snapshot
    assert empty(dropout(build(planted(fine, snapshots=()))))
    assert empty(dropout(build(replace(planted(fine), trials=planted(fine).trials[2:]))))  # no undefended row
    unmeasured = tuple(replace(t, stability=None) if t.defense == "none" else t for t in planted(fine).trials)
    assert empty(dropout(build(replace(planted(fine), trials=unmeasured))))
    failed = tuple(replace(c, status="failed") for c in planted(fine).snapshots)
    assert empty(dropout(build(planted(fine, snapshots=failed))))
    (plain, _) = build(planted(fine)).rows
    assert empty(plain.columns())


@pytest.mark.parametrize("defense", ["none", "dropout"])
def test_a_seed_that_diverged_counts_on_neither_side(defense: str) -> None:
    source = planted({0: 65.0, 1: 500.0})
    lost = tuple(replace(t, status="diverged") if (t.defense, t.seed) == (defense, 1) else t for t in source.trials)
    found = dropout(build(replace(source, trials=lost)))
    assert (found["equal_kid_step"], found["equal_kid"]) == (500, 60.0)  # both of seed 0 alone
    alone = tuple(c for c in source.snapshots if c.seed == 0)
    only = replace(source, trials=lost, snapshots=alone)
    assert dropout(build(only))["undefended_auc_at_equal_kid"] == found["undefended_auc_at_equal_kid"]
    gone = tuple(t for t in source.trials if (t.defense, t.seed) != (defense, 1))  # or was left out of the matrix
    again = dropout(build(replace(source, trials=gone)))
    assert again["equal_kid_step"] == 500
    neither = tuple(t for t in source.trials if t.seed == (0 if t.defense == defense else 1))
    assert empty(dropout(build(replace(source, trials=neither))))


def test_a_defense_that_holds_samples_back_is_not_what_its_snapshots_show() -> None:
    source = planted({0: 99.0, 1: 99.0})
    held = tuple(replace(t, filtered=t.defense == "dropout") for t in source.trials)
    assert empty(dropout(build(replace(source, trials=held))))


def test_the_snapshots_kid_is_not_mistaken_for_that_of_all_samples() -> None:
    source = planted({0: 99.0, 1: 99.0})
    changed = tuple(replace(t, quality=quality(5.0)) for t in source.trials)
    assert dropout(build(replace(source, trials=changed)))["equal_kid_step"] == 500
