"""Other words for the same figures, and tables that cannot be read or computed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_boards import edit_json, problems, rehash

from bench.published.open import open_results
from bench.stamp import make_stamp
from bench.verify import recompute, words
from bench.verify.check import verify
from bench.verify.report import Report
from bench.verify.same import Worded, same_number
from bench.verify.words import HEADING, other_code, settle, text_differences

OURS = {"leakboard": "1.2", "git": {"commit": "abc", "dirty": False}}


@pytest.mark.parametrize(
    ("stamp", "other"),
    [
        (OURS, False),
        ({**OURS, "git": {"commit": "abc", "dirty": True}}, False),
        ({**OURS, "git": {"commit": "abd"}}, True),
        ({**OURS, "git": {}}, True),
        ({**OURS, "git": None}, True),
        ({"git": OURS["git"]}, True),
        ({**OURS, "leakboard": "1.1"}, True),
    ],
)
def test_which_code_is_other_code(stamp: dict[str, Any], other: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "make_stamp", lambda: OURS)
    assert other_code(stamp) is other
    monkeypatch.setattr(words, "make_stamp", lambda: {**OURS, "git": None})
    assert other_code(stamp)


def test_words_are_a_note_only_where_nothing_else_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_other in (True, False):
        monkeypatch.setattr(words, "other_code", lambda stamp, answer=is_other: answer)
        report = Report()
        settle([Worded("one"), Worded("two")], {}, report)
        assert report.notes == ([f"{HEADING}: one", f"{HEADING}: two"] if is_other else [])
        assert report.problems == ([] if is_other else ["one", "two"])
        report = Report()
        settle([Worded("one"), "auc"], {}, report)
        assert (report.notes, report.problems) == ([], ["one", "auc"])
        report = Report(problems=["a file is missing"])
        settle([Worded("one")], {}, report)
        assert (report.notes, report.problems) == ([], ["a file is missing", "one"])


def test_texts_with_the_same_figures() -> None:
    assert [type(line) for line in text_differences("AUC 0.71 of 3", "an AUC 0.71 of 3", "t")] == [Worded]
    assert [type(line) for line in text_differences("AUC 0.71 of 3", "AUC 0.72 of 3", "t")] == [str]
    assert [type(line) for line in text_differences("AUC 0.71\nfine\n", "AUC 0.71\n", "t")] == [Worded]
    assert list(text_differences("a  \nb\n", "a\nb\n", "t")) == []


def reworded(text: str) -> str:
    """Another first word."""
    return re.sub(r"[A-Za-z]+", "Otherwise", text, count=1)


def test_an_honest_board_of_another_wording(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(payload: dict[str, Any]) -> None:
        row = payload["leaderboard"][0]
        old, row["verdict"] = row["verdict"], reworded(row["verdict"])
        table = board / "leaderboard.csv"
        assert old in table.read_text()
        table.write_text(table.read_text().replace(old, row["verdict"]))
        payload["flags"]["few_seeds"] = reworded(payload["flags"]["few_seeds"])

    edit_json(board, change)
    (board / "leaderboard.md").write_text("All is well.\n" + (board / "leaderboard.md").read_text())
    rehash(board)
    monkeypatch.setattr(words, "make_stamp", lambda: {**make_stamp(), "git": None})
    with open_results(board) as published:
        report, _ = verify(published)
    assert report.problems == []
    said = [note for note in report.notes if note.startswith(HEADING)]
    for place in (
        "leaderboard.json: leaderboard[",
        "leaderboard.json: flags.few_seeds",
        "leaderboard.csv",
        "leaderboard.md",
    ):
        assert any(note.startswith(f"{HEADING}: {place}") for note in said), place
    with open_results(board) as published:  # the same commit gives the same words
        monkeypatch.setattr(words, "make_stamp", lambda: published.payload["stamp"] | {"git": {"commit": "a"}})
        published.payload["stamp"]["git"] = {"commit": "a"}
        found = verify(published)[0].problems
    assert len(found) == len(said)
    assert any("verdict: stored 'Otherwise" in each for each in found)


def test_a_figure_in_a_verdict_is_no_wording(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "other_code", lambda stamp: True)

    def change(payload: dict[str, Any]) -> None:
        payload["leaderboard"][1]["verdict"] += " AUC 0.5."

    edit_json(board, change)
    (found,) = problems(board)
    assert "verdict: stored " in found


UNREADABLE: list[tuple[str, Callable[[Path], object], str]] = [
    (
        "long field",
        lambda b: (b / "sets.csv").write_text((b / "sets.csv").read_text() + "x" * 200_000),
        r"sets\.csv: expected a CSV table, which cannot be read: field larger than",
    ),
    (
        "no UTF-8",
        lambda b: (b / "leaderboard.csv").write_bytes(b"\xff\xfe"),
        r"leaderboard\.csv: expected text in UTF-8",
    ),
    (
        "no text",
        lambda b: (b / "leaderboard.txt").write_bytes(b"\xff\xfe"),
        r"leaderboard\.txt: expected text in UTF-8",
    ),
]


@pytest.mark.parametrize(("change", "match"), [c[1:] for c in UNREADABLE], ids=[c[0] for c in UNREADABLE])
def test_tables_that_cannot_be_read(board: Path, change: Callable[[Path], object], match: str) -> None:
    change(board)
    rehash(board)
    (found,) = problems(board)
    assert re.match(match, found)


def test_a_table_beyond_all_measure(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MAX_JSON", 100)
    report = Report()
    assert words.read_text(board / "sets.csv", report) is None
    assert re.fullmatch(r"sets\.csv: expected at most 100 bytes, got \d+", report.problems[0])


def test_integers_beyond_any_float() -> None:
    assert not same_number(10**400, 0.5)
    assert same_number(10**400, 10**400)


@pytest.mark.parametrize(
    "error", [AttributeError("no x"), OverflowError("too large"), IndexError("out"), MemoryError()]
)
def test_what_cannot_be_computed_is_a_problem(board: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(recompute, "trial_table", fail)
    (found,) = problems(board)
    assert re.match(
        rf"tables: cannot be recomputed from what is published: {type(error).__name__}: .*\(in test_verify", found
    )
    monkeypatch.setattr(recompute, "payload", fail)
    (found,) = problems(board)
    assert found.startswith("leaderboard.json: the tables cannot be recomputed from what is published: ")
