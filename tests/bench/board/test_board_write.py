"""Files of a board: whole, safe, the same for the same results."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_board import MATRIX, cell, controls, cost, idle, results, small, trial

from bench.board import tables, write
from bench.board.digest import digest
from bench.board.markdown import escape
from bench.board.names import slug
from bench.board.payload import plain
from bench.board.rows import build
from bench.board.terminal import leaderboard_text
from bench.board.write import BoardFiles, write_board
from bench.errors import InputError, MissingError, StoreError
from bench.results import Results

NASTY = "<script>alert('x')</script>"


def tiny(**changed: object) -> Results:
    return replace(results((trial(),), (cell(), *controls())), **changed)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> BoardFiles:
    return write_board(build(small()), tmp_path_factory.mktemp("board") / "planted")


def test_all_files_are_there(written: BoardFiles) -> None:
    top = {"leaderboard.csv", "attacks.csv", "trials.csv", "leaderboard.json", "leaderboard.md", "index.html"}
    assert top <= set(written.files)
    assert set(written.files) == {
        p.relative_to(written.folder).as_posix() for p in written.folder.rglob("*") if p.is_file()
    }
    kinds = [re.sub(r"-.*", "", f) for f in written.files if f.startswith("plots/")]
    assert {k: kinds.count(k) for k in kinds} == {
        "plots/scatter": 2, "plots/roc": 2, "plots/samples": 6, "plots/training": 2,
    }  # fmt: skip
    assert sum((written.folder / f).stat().st_size for f in written.files if f.startswith("plots/")) < 1_000_000
    assert not [p for p in written.folder.parent.iterdir() if p != written.folder]


def test_csv_holds_numbers_and_leaves_out_what_was_not_measured(written: BoardFiles) -> None:
    frame = pd.read_csv(written.folder / "leaderboard.csv")
    assert frame["auc"].dtype == np.float64
    assert frame["rank"].tolist() == [2, 1]
    with (written.folder / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["epsilon_lower_bound"] for row in rows} == {""}
    assert rows[0]["seeds"] == "3"  # a whole number, not 3.0
    made = json.loads((written.folder / "leaderboard.json").read_text())
    assert float(rows[0]["auc"]) == made["leaderboard"][0]["auc"]  # full precision


def test_every_auc_can_be_recomputed_from_the_scores(written: BoardFiles) -> None:
    from sklearn.metrics import roc_auc_score

    made = json.loads((written.folder / "leaderboard.json").read_text())
    for row in made["attacks"]:
        each = []
        for entry in row["cells"]:
            if entry["scores"]:
                with np.load(written.folder / entry["scores"], allow_pickle=False) as kept:
                    assert sorted(kept.files) == ["membership", "record_id", "score", "set_id"]
                    each.append(roc_auc_score(kept["membership"], kept["score"]))
        assert (row["auc"] is None) == (not each)
        if each:
            assert row["auc"] == pytest.approx(np.mean(each), abs=1e-12)


def test_index_files_hold_the_ids(written: BoardFiles) -> None:
    made = json.loads((written.folder / "leaderboard.json").read_text())
    entry = made["datasets"]["digits"]["splits"]["members"]
    with np.load(written.folder / entry["file"]) as kept:
        ids = kept["indices"]
    np.testing.assert_array_equal(ids, small().splits["digits"]["members"])


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_board(build(tiny()), tmp_path / name) for name in ("a", "b"))
    assert first.files == second.files
    for name in first.files:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


def test_an_old_board_leaves_no_file_and_other_peoples_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "board"
    write_board(build(results((trial("old"),), (cell(defense="old"),))), folder)
    (folder / "notes.md").write_text("mine")
    (folder / "more").mkdir()
    (folder / "more" / "x").write_text("also mine")
    made = write_board(build(tiny()), folder)
    assert not list(folder.rglob("*old*"))
    assert (folder / "notes.md").read_text() == "mine"
    assert (folder / "more" / "x").read_text() == "also mine"
    assert "notes.md" not in made.files


@pytest.mark.parametrize("where", ["page", "swap"])
def test_an_interrupted_write_leaves_the_old_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    folder = tmp_path / "board"
    write_board(build(tiny()), folder)
    before = digest(folder)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if where == "page":
        monkeypatch.setattr(write, "write_site", stop)
    else:
        real = write.os.rename
        monkeypatch.setattr(write.os, "rename", lambda a, b: stop() if Path(a).name == "new" else real(a, b))
    with pytest.raises(KeyboardInterrupt):
        write_board(build(results((trial("new"),), (cell(defense="new"),))), folder)
    assert digest(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["board"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex and no leaderboard\.json"):
        write_board(build(tiny()), tmp_path)
    with pytest.raises(InputError, match="is a file"):
        write_board(build(tiny()), tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_labels_are_text_everywhere(tmp_path: Path) -> None:
    found = results(
        (trial(NASTY), trial("../../up"), trial("A"), trial("a")),
        (
            cell(NASTY, NASTY),
            *(cell(defense=d) for d in ("../../up", "A", "a")),
            idle("x", "failed", NASTY, "a"),
        ),
        name=NASTY,
    )
    made = write_board(build(found), tmp_path / "in" / "board")
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["board"]
    assert sum(f.startswith("scores/") for f in made.files) == 4
    assert (made.folder / "matrix.yaml").read_text() == MATRIX  # verbatim
    assert "<script" not in (made.folder / "leaderboard.md").read_text()
    assert NASTY in leaderboard_text(build(found), width=300)


def test_a_fault_of_the_instrument_heads_the_page(tmp_path: Path) -> None:
    broken = tuple(replace(c, scores=cell("x", shift=1.0).scores) for c in controls() if c.attack == "constant")
    found = results((trial(),), (cell(), *broken))
    made = write_board(build(found), tmp_path / "board")
    for name in ("index.html", "leaderboard.md"):
        assert "The instrument is at fault" in (made.folder / name).read_text()
    assert "The instrument is at fault" in leaderboard_text(build(found))
    assert 'role="alert"' not in (write_board(build(tiny()), tmp_path / "fine").folder / "index.html").read_text()


def test_a_board_without_any_number_can_be_written(tmp_path: Path) -> None:
    none = trial(status="failed", reason="out of memory", quality=None, stability=None, history={}, sheet=None)
    made = write_board(build(results((none,), (idle("lira", "blocked", "its trial failed"),))), tmp_path / "board")
    assert not [f for f in made.files if f.startswith(("plots/", "scores/")) and "/real-" not in f]
    assert "out of memory" in (made.folder / "index.html").read_text()
    digest(made.folder)


# digest


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_board(build(tiny()), tmp_path_factory.mktemp("digest") / "base").folder


def test_digest_ignores_cost_stamp_and_the_words_of_the_matrix(base: Path, tmp_path: Path) -> None:
    slow = replace(
        tiny(),
        trials=(trial(costs={"train": cost(999.0), "sample": cost(9.0, 3)}),),
        cells=tuple(replace(c, cost=cost(99.0)) for c in tiny().cells),
        stamp={"version": "9"},
        matrix_text=MATRIX + "# a comment\n",
    )
    assert digest(write_board(build(slow), tmp_path / "slow").folder) == digest(base)


@pytest.mark.parametrize(
    "changed",
    [
        {"trials": (trial(quality=trial().quality.model_copy(update={"precision": 0.71})),)},
        {"trials": (trial(artifacts={"sample": "other"}),)},
        {"splits": {"digits": {"members": np.arange(3)}}},
        {"fingerprints": {"digits": "cd" * 32}},
        {"settings": {"sets": [5], "resamples": 200}},
        {"cells": (cell(shift=0.51), *controls())},
    ],
    ids=["precision", "artifact", "splits", "fingerprint", "settings", "scores"],
)
def test_digest_sees_every_result(base: Path, tmp_path: Path, changed: dict[str, object]) -> None:
    assert digest(write_board(build(tiny(**changed)), tmp_path / "other").folder) != digest(base)


@pytest.mark.parametrize("pattern", ["scores/*.npz", "splits/*/*.npz", "attacks.csv", "trials.csv"])
def test_digest_sees_a_file_changed_afterwards(base: Path, tmp_path: Path, pattern: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    assert digest(copy) == digest(base)
    path = sorted(copy.glob(pattern))[0]
    if path.suffix == ".npz":
        with np.load(path) as kept:
            arrays = dict(kept)
        np.savez(path, **arrays)
        assert digest(copy) == digest(base)  # packed in another way, the same arrays
        if "score" in arrays:
            arrays["score"][0] += 1e-12
        else:
            arrays["indices"][0] += 1
        np.savez(path, **arrays)
    else:
        path.write_text(path.read_text().replace("3", "4", 1))
    assert digest(copy) != digest(base)


def test_digest_does_not_read_pictures_and_pages(base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    (copy / "index.html").write_text("")
    shutil.rmtree(copy / "plots")
    assert digest(copy) == digest(base)


def test_digest_of_what_is_no_board(base: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no leaderboard\.json: run the matrix first"):
        digest(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    next(copy.glob("scores/*.npz")).write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(StoreError, match="cannot be read"):
        digest(copy)
    (copy / "trials.csv").unlink()
    with pytest.raises(MissingError, match=r"trials\.csv"):
        digest(copy)


# small parts


@given(st.text(), st.text())
def test_slugs_are_safe_and_differ(a: str, b: str) -> None:
    assert re.fullmatch(r"[a-z0-9_][a-z0-9_-]*", slug(a))
    assert len(slug(a * 50)) <= 107
    assert (slug(a) == slug(b)) == (a == b)
    assert slug(a, b) != slug(a + b)


def test_markdown_cells_stay_cells() -> None:
    assert escape("a|b\n<i>`*") == "a\\|b &lt;i&gt;\\`\\*"


def test_csv_refuses_undeclared_columns(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="undeclared or missing columns"):
        tables.write_csv(tmp_path / "x.csv", [{"a": 1, "c": 2}], ["a", "b"])


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-1+2", "'-1+2"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'=1"),
        ("\r\n", None),
        ("a=1", "a=1"),
        (-1.5, -1.5),
        (-3, -3),
    ],
)
def test_a_text_is_never_a_formula(value: object, cell: object) -> None:
    assert tables.csv_cell(value) == cell


def test_plain_values_have_no_nan() -> None:
    value = {"a": np.array([1.5, np.nan]), "b": (np.int64(3), True, None), "c": float("inf")}
    assert plain(value) == {"a": [1.5, None], "b": [3, True, None], "c": None}


def test_terminal_table_fits_and_says_all() -> None:
    text = leaderboard_text(build(small()), width=140)
    assert max(map(len, text.splitlines())) <= 140
    assert "logan_white_box" in text
    assert "Leaks:" in text
    assert "\x1b" not in text
    assert "Leaks:" not in leaderboard_text(build(small()), width=140, verdicts=False)
