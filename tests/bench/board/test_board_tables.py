"""Boards of tables: their own figures, flags and words, beside images and alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from planted_board import small, table_quality, tables, trial

from bench.board.digest import digest
from bench.board.markdown import leaderboard_markdown
from bench.board.payload import trial_table
from bench.board.rows import Board, build
from bench.board.terminal import leaderboard_text
from bench.board.trial_rows import is_collapsed
from bench.board.write import write_board


@pytest.fixture(scope="module")
def board() -> Board:
    return build(tables({"none": 0.1, "dp_sgd": 0.44, "dropout": 0.2}))


def test_rows_have_a_tables_columns_and_no_images(board: Board) -> None:
    found = board.rows[0].columns()
    assert (found["marginal_distance"], found["marginal_distance_low"]) == (0.1, pytest.approx(0.08))
    assert (found["marginal_distance_real"], found["marginal_distance_untrained"]) == (0.08, 0.45)
    assert (found["correlation_distance"], found["correlation_distance_untrained"]) == (0.05, 0.225)
    assert (found["utility"], found["utility_real"], found["quality_n"]) == (0.91, 0.95, 150)
    empty = ("kid", "kid_low", "fid", "precision", "coverage", "kid_real", "kid_untrained", "quality_extractor")
    assert [found[name] for name in empty] == [None] * len(empty)
    assert board.rows[1].columns()["undefended_marginal_distance"] == 0.1
    assert board.rows[1].columns()["undefended_kid"] is None
    image = build(small()).rows[0].columns()
    assert image["kid"] is not None
    assert [image[name] for name in ("marginal_distance", "correlation_distance", "utility")] == [None] * 3


def test_trials_say_which_column_is_worst(board: Board) -> None:
    found = trial_table(board.results)[0]
    assert (found["marginal_worst"], found["marginal_worst_column"], found["n"]) == (0.2, "age", 150)
    assert (found["extractor"], found["mode_count"], found["collapsed"]) == (None, None, None)
    assert is_collapsed(board.results.trials[0], board.results.lines[0]) is None


def test_a_table_as_bad_as_untrained_is_gone(board: Board) -> None:
    plain, dead, fine = board.rows
    assert [row.raised("quality_gone") for row in board.rows] == [False, True, False]
    assert (dead.rank, plain.rank is None, fine.rank is None) == (None, False, False)
    (flag,) = [flag for flag in dead.flags if flag.name == "quality_gone"]
    assert flag.seen == (
        "marginal distance 0.440, interval up to 0.460; untrained 0.450. "
        "correlation distance 0.220, interval up to 0.440; untrained 0.225."
    )


@pytest.mark.parametrize(
    ("changed", "gone"),
    [
        ({}, True),
        ({"correlation_distance": 0.1, "correlation_distance_low": 0.05, "correlation_distance_high": 0.2}, False),
        ({"marginal_distance": 0.2, "marginal_distance_low": 0.15, "marginal_distance_high": 0.25}, False),
    ],
)
def test_a_table_is_gone_only_where_nothing_is_better_than_untrained(changed: dict[str, float], gone: bool) -> None:
    """An untrained model of standardised columns may have the marginals right, and nothing else."""
    planted = tables({"none": 0.44})
    (only,) = planted.trials
    assert only.quality is not None
    quality = only.quality.model_copy(update=changed)
    (row,) = build(replace(planted, trials=(replace(only, quality=quality),))).rows
    assert row.raised("quality_gone") is gone


def test_the_verdict_speaks_of_the_tables_measure(board: Board) -> None:
    said = board.rows[0].columns()["verdict"]
    assert (
        "Samples: marginal distance 0.100 (95 % 0.080 to 0.120) against real records 0.080, untrained 0.450; "
        "correlation distance 0.050 against real records 0.040, untrained 0.225; a classifier trained on them is right "
        "on 0.910 of real records, one trained on as many real ones on 0.950."
    ) in said
    assert "KID" not in said
    assert "no better than untrained" in board.rows[1].columns()["verdict"]


def test_the_spread_over_seeds_is_of_the_tables_measure() -> None:
    made = tables({"none": 0.1})
    seeds = tuple(replace(made.trials[0], seed=s, quality=table_quality(0.1 + 0.02 * s)) for s in range(3))
    found = build(replace(made, trials=seeds)).rows[0].columns()
    assert found["quality_spread"] == pytest.approx(0.02)
    assert found["marginal_distance"] == pytest.approx(0.12)


def test_files_of_a_board_of_tables(board: Board, tmp_path: Path) -> None:
    made = write_board(board, tmp_path / "board")
    assert sum(f.startswith("plots/scatter") for f in made.files) == 2  # for the page, and for papers
    assert not [f for f in made.files if f.startswith("plots/samples")]
    page = (made.folder / "index.html").read_text()
    assert '<th scope="col" data-key="marginal_distance"' in page
    assert 'data-key="kid"' not in page
    assert "0.080 to 0.120" in page
    frame = pd.read_csv(made.folder / "trials.csv")
    assert frame["marginal_distance"].tolist() == [0.1, 0.44, 0.2]
    assert frame["kid"].isna().all()
    kept = json.loads((made.folder / "leaderboard.json").read_text())
    assert kept["trials"][0]["quality"]["kind"] == "table"
    assert kept["lines"][0]["untrained"]["marginal_distance"] == 0.45
    digest(made.folder)


def test_images_and_tables_stand_in_columns_of_their_own(board: Board) -> None:
    images = small()
    both = replace(
        images,
        trials=images.trials + board.results.trials,
        cells=images.cells + board.results.cells,
        lines=images.lines + board.results.lines,
    )
    made = build(both)
    assert [measure.head for measure in made.measures] == ["KID", "marginal"]
    head, _, *rows = [line for line in leaderboard_markdown(made).splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in head.split("|")]
    shown = [[cell.strip() for cell in row.split("|")] for row in rows]
    assert [row[names.index("KID")] for row in shown][-1] == "–"  # noqa: RUF001
    assert [row[names.index("marginal")] for row in shown][-1] == "0.200"
    assert "marginal" in leaderboard_text(made, width=150)
    assert "marginal" not in leaderboard_text(build(images), width=150)


def test_a_row_without_any_quality_is_shown_like_an_image() -> None:
    lost = trial(status="failed", reason="boom", quality=None, dataset="wine")
    assert build(replace(small(), trials=(lost,), cells=(), lines=())).measures[0].head == "KID"
