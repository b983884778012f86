"""What a board could lose without a figure of it changing: runs, attacks, figures, claims."""

from __future__ import annotations

from typing import Any

import pytest
from planted_comparison import Planted, Row, board, changed, entry

from bench.compare.findings import Comparison
from bench.compare.run import compare_boards

ROWS = {"none": Row(0.9, 1000), "dropout": Row(0.55, 2000)}
ATTACKS = ("logan_white_box", "nearest_sample")
RULES = ["auc:+0.02,kid:+5%"]


def make(draw: int = 0, seeds: int = 3, rows: dict[str, Row] = ROWS) -> Planted:
    return changed(board(rows, range(seeds), draw, members=60, nonmembers=100, attacks=ATTACKS))


BASE = make()


def statuses(found: Comparison) -> set[tuple[str, str, str]]:
    return {(f.row.defense, f.figure, f.status) for f in found.findings if f.status not in ("same", "better")}


def all_rows(given: Planted, **values: Any) -> Planted:
    for row in given.payload["leaderboard"]:
        row.update(values)
    return given


def no_cells(given: Planted, status: str, *defenses: str) -> Planted:
    for attack in given.payload["attacks"]:
        if attack["defense"] in defenses:
            attack["status"] = status
            for cell in attack["cells"]:
                cell.update(status=status, scores=None)
    return given


@pytest.mark.parametrize("rules", [RULES, []])
@pytest.mark.parametrize("figure", ["diverged_runs", "collapsed_runs"])
def test_dying_runs_are_worse_whatever_was_asked_for(rules: list[str], figure: str) -> None:
    new = make(1)
    entry(new, "leaderboard", defense="dropout")[figure] = 2
    found = compare_boards(BASE, new, rules)
    assert (found.exit_code, statuses(found)) == (1, {("dropout", figure, "worse")})
    assert compare_boards(BASE, new, [*RULES, f"{figure}:+2"]).exit_code == 0


def test_figures_that_no_row_has_are_missing_only_when_named() -> None:
    boards = [all_rows(make(draw), collapsed_runs=None) for draw in (0, 1)]
    assert compare_boards(*boards, RULES).exit_code == 0
    assert compare_boards(*boards, ["collapsed_runs:+0"]).exit_code == 3


def test_runs_without_the_figure_are_missing() -> None:
    new = make(1)
    for seed in (1, 2):
        entry(new, "trials", defense="dropout", seed=seed).update(kid=None, kid_low=None, kid_high=None)
    found = compare_boards(BASE, new, RULES)
    assert (found.exit_code, statuses(found)) == (3, {("dropout", "kid of seed 1, 2", "missing")})
    assert compare_boards(new, make(1), RULES).exit_code == 0, "nor has BASE, so it is as it was"


@pytest.mark.parametrize("how", ["absent", "diverged"])
def test_trainings_that_an_attack_did_not_judge_are_missing(how: str) -> None:
    new = make(1)
    attack = entry(new, "attacks", defense="dropout", attack="logan_white_box")
    if how == "absent":
        attack["cells"] = attack["cells"][:1]
    for cell in attack["cells"][1:]:
        cell.update(status="diverged", scores=None)
    found = compare_boards(BASE, new, RULES)
    assert (found.exit_code, statuses(found)) == (3, {("dropout", "auc of logan_white_box", "missing")})


def test_attacks_on_trainings_that_diverged_are_not_missed() -> None:
    new = make(1)
    entry(new, "trials", defense="dropout", seed=2)["status"] = "diverged"
    for attack in new.payload["attacks"]:
        if attack["defense"] == "dropout":
            attack["cells"][2].update(status="diverged", scores=None)
    assert compare_boards(BASE, new, RULES).exit_code == 0, "which is for diverged_runs to say"


def test_fewer_seeds_are_said() -> None:
    found = compare_boards(BASE, make(1, seeds=1), RULES)
    assert found.exit_code == 0
    assert "digits / dcgan / dropout (1 of 3)" in found.notes[0]


def test_a_row_that_nobody_attacked_is_missing() -> None:
    for status in ("failed", "not_applicable"):
        boards = [no_cells(make(draw), status, "dropout") for draw in (0, 1)]
        for rules in (RULES, []):
            found = compare_boards(*boards, rules)
            assert (found.exit_code, statuses(found)) == (3, {("dropout", "auc", "missing")})
    assert compare_boards(*boards, ["auc_samples:+0.02"]).exit_code == 0, "no such attack applies to dropout"


@pytest.mark.parametrize("status", ["diverged", "not_applicable"])
def test_rows_that_are_there_are_not_judged(status: str) -> None:
    found = compare_boards(*[all_rows(make(draw), status=status) for draw in (0, 1)])
    assert (found.exit_code, found.judged, statuses(found)) == (3, False, set())


def test_counts_alone_are_not_judged_unless_named() -> None:
    boards = [make(), make(1)]
    for given in boards:
        given.payload["attacks"] = []
        for trial in given.payload["trials"]:
            trial.update(kid=None, kid_low=None, kid_high=None)
    assert compare_boards(*boards).exit_code == 3
    assert compare_boards(*boards, ["diverged_runs:+0"]).exit_code == 0


CLAIM = {"delta": 1e-4, "claim_unit": "record", "epsilon_claimed": 8.0, "epsilon_lower_bound": 0.0}


def claiming(draw: int, **values: Any) -> Planted:
    given = make(draw)
    entry(given, "leaderboard", defense="dropout").update({**CLAIM, **values})
    return given


@pytest.mark.parametrize("rules", [RULES, [], ["epsilon_claimed:+0"]])
@pytest.mark.parametrize(
    ("values", "figure"),
    [
        ({"flags": "underpowered;dp_violation", "epsilon_lower_bound": 11.0}, "dp_violation"),
        ({"epsilon_claimed": None, "claim_void_reason": "noise off"}, "epsilon_claimed"),
        ({"epsilon_claimed": None}, "epsilon_claimed"),
    ],
)
def test_a_refuted_or_withdrawn_claim_is_worse(rules: list[str], values: dict[str, Any], figure: str) -> None:
    found = compare_boards(claiming(0), claiming(1, **values), rules)
    assert (found.exit_code, statuses(found)) == (1, {("dropout", figure, "worse")})
    again = compare_boards(claiming(0, **values), claiming(1, **values), RULES)
    assert again.exit_code == 0, "as in BASE"


def test_a_larger_claim_is_another_setting() -> None:
    assert compare_boards(claiming(0), claiming(1, epsilon_claimed=9.0), RULES).exit_code == 0


def test_a_new_row_with_a_refuted_claim_is_worse() -> None:
    base = make(rows={"none": ROWS["none"]})
    found = compare_boards(base, claiming(1, flags="dp_violation", epsilon_lower_bound=11.0), RULES)
    assert ("dropout", "dp_violation", "worse") in statuses(found)
