"""A comparison as marks on the pages of a board."""

from __future__ import annotations

from dataclasses import replace

from planted_comparison import QUICKSTART, Row, board, changed, entry

from bench.compare.marks import cannot, marks
from bench.compare.run import compare_boards

PLACE = ("digits", "dcgan")


def rows(*defenses: str) -> list[tuple[str, str, str]]:
    return [(*PLACE, defense) for defense in defenses]


def test_a_mark_says_which_figure_became_what_and_by_how_much() -> None:
    base = board(QUICKSTART, (0, 1, 2), 0)
    new = board({**QUICKSTART, "dropout": Row(0.94, 3640)}, (0, 1, 2), 1)
    found = marks(compare_boards(base, new, ["auc:+0.02"]), rows(*QUICKSTART), "baseline")
    assert found.base == "baseline"
    assert found.summary.startswith("WORSE: 1 worse")
    worst = found.changes[*PLACE, "dropout"][0]
    assert (worst.figure.split()[0], worst.status) == ("auc", "worse")
    assert " -> 0.9" in worst.words
    assert "p < .001 over all comparisons" in worst.words
    assert {change.status for change in found.changes[*PLACE, "none"]} == {"same"}
    assert set(found.changes) == set(rows(*QUICKSTART))
    assert found.gone == ()


def test_rows_that_only_one_board_has() -> None:
    base = board({"none": Row(), "dropout": Row()}, (0, 1), 0)
    new = board({"none": Row(), "noise": Row()}, (0, 1), 1)
    found = marks(compare_boards(base, new), rows("none", "noise"), "baseline")
    assert found.gone == tuple(rows("dropout"))
    assert [(change.figure, change.status) for change in found.changes[*PLACE, "noise"]] == [("status", "new")]
    assert set(found.changes) == set(rows("none", "noise"))


def test_what_was_measured_otherwise_says_why() -> None:
    base = board({"none": Row()}, (0, 1), 0)
    new = changed(board({"none": Row()}, (0, 1), 1))
    new.payload["settings"]["samples"] = 10  # type: ignore[index]
    found = marks(compare_boards(base, new), rows("none"), "baseline")
    assert found.summary.startswith("NOT JUDGED")
    changes = found.changes[*PLACE, "none"]
    assert {change.status for change in changes if change.figure != "status"} == {"not comparable"}
    assert "number of generated samples 2000 in BASE, 10 in NEW" in changes[0].words


def test_words_of_others_cannot_turn_a_line() -> None:
    base = board({"none": Row()}, (0, 1), 0)
    new = changed(board({"none": Row()}, (0, 1), 1))
    entry(new, "leaderboard", defense="none").update(status="failed", reason="\u202eevil\n<b>")
    compared = compare_boards(base, new)
    found = marks(replace(compared, notes=("a\u202eb",)), rows("none"), "baseline")
    assert found.notes == ("a\ufffdb",)
    (change,) = found.changes[*PLACE, "none"]
    assert change.status == "worse"
    assert "\ufffdevil <b>" in change.words  # markup is the pages' business


def test_a_comparison_that_cannot_be_made_is_said() -> None:
    found = cannot("baseline", "BASE: no\nscores")
    assert found.summary == "Not compared: BASE: no scores"
    assert (found.changes, found.gone, found.notes) == ({}, (), ())
