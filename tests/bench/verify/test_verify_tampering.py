"""Verification of a published board: an honest one passes, and each way of tampering has its own message."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_boards import edit_json, edit_npz, planted, problems, rehash, scores_of

from bench.board.bundle import write_baseline, write_bundle
from bench.board.current import NOTE
from bench.published.open import open_results
from bench.results import Cell, Results, Trial
from bench.verify import words
from bench.verify.check import TAKEN, verify
from bench.verify.facts import read_facts
from bench.verify.rebuild import rebuild
from bench.verify.report import Report


def test_an_honest_board_is_verified(written: Path) -> None:
    with open_results(written) as published:
        report, results = verify(published)
    assert report.problems == []
    assert report.notes[-1] == TAKEN
    assert results is not None
    counts = report.checked
    assert (counts["rows"], counts["trials"]) == (2, 4)
    assert counts["cells"] == 2 * 2 * 6 + 4  # 6 completed attacks on each of 4 trials, and one snapshot's 4
    assert counts["files"] == sum(path.is_file() for path in written.rglob("*")) - 1  # all but the list itself
    assert counts["numbers"] > 2000


def test_bundle_and_baseline_are_verified_too(written: Path, tmp_path: Path) -> None:
    write_bundle(written, tmp_path / "b.zip")
    write_baseline(written, tmp_path / "base")
    assert problems(tmp_path / "b.zip") == []
    assert problems(tmp_path / "base") == []
    with open_results(tmp_path / "base") as published:
        assert any("a baseline has none" in note for note in verify(published)[0].notes)


def test_what_is_rebuilt_is_what_was_published(written: Path) -> None:
    with open_results(written) as published:
        made = rebuild(published, read_facts(published.payload), Report())
    source = planted()
    assert made is not None
    not_published = {"samples", "sheet", "history", "candidates"}
    for part in fields(Results):
        if part.name not in {"trials", "cells", "snapshots", "splits", "stamp", "candidates"}:
            assert getattr(made, part.name) == getattr(source, part.name), part.name
    for one, other in zip(made.trials, source.trials, strict=True):
        for part in fields(Trial):
            if part.name not in not_published:
                assert getattr(one, part.name) == getattr(other, part.name), part.name
    by_place = {(c.defense, c.seed, c.attack): c for c in source.cells}
    for one in made.cells:
        _same_cell(one, by_place[one.defense, one.seed, one.attack])
    shown = [c for c in made.snapshots if c.scores.size]
    assert {c.at_step for c in shown} == {900}
    origin = {(c.seed, c.attack, c.at_step): c for c in source.snapshots}
    for one in shown:
        _same_cell(one, origin[one.seed, one.attack, one.at_step])
    for role, ids in source.splits["digits"].items():
        np.testing.assert_array_equal(made.splits["digits"][role], ids)


def _same_cell(one: Cell, other: Cell) -> None:
    for part in fields(Cell):
        a, b = getattr(one, part.name), getattr(other, part.name)
        if part.name == "set_scores":
            assert a.keys() == b.keys()
            assert all(np.array_equal(a[size], b[size]) for size in a)
        elif isinstance(b, np.ndarray):
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b, part.name


def test_foreign_files_are_named_and_no_error(board: Path) -> None:
    (board / "NOTES.md").write_text("mine")
    with open_results(board) as published:
        report, _ = verify(published)
    assert report.problems == []
    assert "not covered, since no part of the board: NOTES.md" in report.notes


CHANGED_FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("page", lambda b: (b / "index.html").write_text("x"), r"index\.html: expected \d+ bytes"),
    (
        "one byte",
        lambda b: (b / "attacks.csv").write_bytes(b"D" + (b / "attacks.csv").read_bytes()[1:]),
        r"attacks\.csv: expected sha256 [0-9a-f]{64}, got",
    ),
    ("gone", lambda b: next((b / "plots").iterdir()).unlink(), r"plots/.*: expected this file.*it is missing"),
    (
        "added",
        lambda b: (b / "scores" / "x.npz").write_bytes(b""),
        r"scores/x\.npz: expected only files that made-from",
    ),
    ("link", lambda b: (b / "splits" / "l").symlink_to("/etc/passwd"), "splits/l: expected only files that made-from"),
    ("no list", lambda b: (b / NOTE).unlink(), "expected the list of the board's files and their hashes, found none"),
    ("bad list", lambda b: (b / NOTE).write_text("[]"), "expected a list of files with bytes and sha256"),
]


@pytest.mark.parametrize(("change", "match"), [c[1:] for c in CHANGED_FILES], ids=[c[0] for c in CHANGED_FILES])
def test_files_that_are_not_as_listed(board: Path, change: Callable[[Path], object], match: str) -> None:
    change(board)
    assert any(re.search(match, each) for each in problems(board))


def test_a_linked_file_and_a_list_that_leaves_the_board(board: Path) -> None:
    target = board.parent / "elsewhere.csv"
    shutil.move(board / "sets.csv", target)
    (board / "sets.csv").symlink_to(target)
    assert any("expected files of the board only, it lists 'sets.csv'" in each for each in problems(board))
    note = json.loads((board / NOTE).read_text())
    note["files"]["../elsewhere.csv"] = note["files"].pop("sets.csv")
    (board / NOTE).write_text(json.dumps(note))
    found = problems(board)
    assert any("it lists '../elsewhere.csv'" in each for each in found)
    assert any("sets.csv is not in it" in each for each in found)


def first(payload: dict[str, Any]) -> dict[str, Any]:
    return payload["attacks"][0]


def twice(entries: list[Any]) -> None:
    entries.append(entries[0])


CHANGED_JSON: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    (
        "auc",
        lambda p: p["leaderboard"][0].update(auc=0.5),
        r"leaderboard\[digits / dcgan / none\]\.auc: stored 0\.5, rec",
    ),
    ("tiny", lambda p: first(p).update(auc=first(p)["auc"] * (1 + 1e-7)), r"attacks\[.*logan_white_box\]\.auc: stored"),
    ("interval", lambda p: first(p).update(auc_low=None), r"auc_low: stored None, recomputed 0\."),
    ("sets", lambda p: p["sets"][1].update(set_auc=0.1), r"sets\[.*/ 5\]\.set_auc: stored 0\.1"),
    ("trial", lambda p: p["trials"][1].update(kid=1.0), r"trials\[digits / dcgan / none / 1\]\.kid: stored 1\.0"),
    ("flag", lambda p: p["leaderboard"][0].update(flags=None), r"flags: stored None, recomputed 'few_seeds"),
    ("rank", lambda p: p["leaderboard"][0].update(rank=7), r"rank: stored 7, recomputed \d"),
    ("bool", lambda p: first(p).update(seeds=True), r"seeds: stored True, recomputed 2"),
    ("extra column", lambda p: first(p).update(best=1), r"best: expected no such key, got 1"),
    ("lost column", lambda p: first(p).pop("auc"), r"attacks\[.*\]\.auc: expected 0\.\d+, it is missing"),
    ("exposure", lambda p: p["exposures"][0].update(members_mean=0.5), r"members_mean: stored 0\.5"),
    (
        "equal kid",
        lambda p: p["leaderboard"][1].update(equal_kid_step=500),
        "equal_kid_step: stored 500, recomputed 900",
    ),
    ("fewer rows", lambda p: p["sets"].pop(), r"sets: stored \d+ entries, recomputed \d+"),
    ("extra key", lambda p: p.update(more=1), r"leaderboard\.json: more: Extra inputs are not permitted"),
    ("text", lambda p: p["trials"][0].update(seed="0"), r"trials\[0\]\.seed: Input should be a valid integer"),
    (
        "lost kid",
        lambda p: p["trials"][0]["quality"].pop("kid"),
        r"leaderboard\.json: trials\[0\]\.quality\.image\.kid: Field required",
    ),
    (
        "odd status",
        lambda p: first(p)["cells"][0].update(status="fine"),
        r"attacks\[0\]\.cells\[0\]\.status: Input sho",
    ),
    ("extra fact", lambda p: first(p)["cells"][0].update(x=1), r"attacks\[0\]\.cells\[0\]\.x: Extra inputs"),
    ("resamples", lambda p: p["settings"].update(resamples=10**9), r"settings\.resamples: Input should be less than"),
    ("no stamp", lambda p: p["stamp"].pop("python"), "stamp: expected python"),
    ("package", lambda p: p["stamp"]["packages"].pop("torch"), "stamp: expected the version of torch"),
    ("row twice", lambda p: twice(p["leaderboard"]), "leaderboard: expected digits / dcgan / none once, found it 2"),
    ("trial twice", lambda p: twice(p["trials"]), "trials: expected digits / dcgan / none / 0 once, found it 2"),
    (
        "cell twice",
        lambda p: twice(first(p)["cells"]),
        "cells: expected digits / dcgan / none / logan_white_box / 0 once",
    ),
    (
        "file twice",
        lambda p: first(p)["cells"][1].update(scores=first(p)["cells"][0]["scores"]),
        r"scores: expected scores/.*npz once, found it 2",
    ),
    (
        "no key",
        lambda p: p["trials"][0].update(key=""),
        "dcgan / none / 0: expected the key of its training, found none",
    ),
    (
        "one training for two seeds",
        lambda p: p["trials"][1].update(key=p["trials"][0]["key"]),
        "expected a training per seed, got the key key-none-0 at several seeds",
    ),
    (
        "no artifact",
        lambda p: first(p)["cells"][0].update(artifact=""),
        "expected the key and the hash of its artifact",
    ),
    ("no scores", lambda p: first(p)["cells"][0].update(scores=None), "expected a file of scores of a completed cell"),
    (
        "idle with scores",
        lambda p: first(p)["cells"][0].update(status="failed"),
        "expected no scores of a cell that is f",
    ),
    (
        "row without trials",
        lambda p: p.update(trials=[t for t in p["trials"] if t["defense"] == "none"]),
        "leaderboard: digits / dcgan / dropout: expected a trial behind each row",
    ),
    (
        "trials without row",
        lambda p: p["leaderboard"].pop(),
        "trials: digits / dcgan / dropout: expected a row of the leaderboard for each trial",
    ),
    ("cell without trial", lambda p: p["trials"].pop(), "/ logan_white_box / 1: expected the trial that it attacked"),
    ("no data set", lambda p: p["datasets"].clear(), "datasets: expected digits, which has trials"),
    ("cell gone", lambda p: first(p)["cells"].pop(), r"scores/.*: expected files that leaderboard\.json names"),
    (
        "other file",
        lambda p: first(p)["cells"][0].update(scores="leaderboard.csv"),
        "expected the scores of digits / dcg",
    ),
    (
        "snapshot gone",
        lambda p: [s.update(scores=None) for s in p["snapshots"]],
        r"undefended_auc_at_equal_kid: stored 0\.\d+, recomputed None",
    ),
    (
        "other split",
        lambda p: p["datasets"]["digits"]["splits"]["members"].update(file="splits/x.npz"),
        r"members: expected the file splits/digits-.*/members-.*npz, got 'splits/x\.npz'",
    ),
    (
        "split size",
        lambda p: p["datasets"]["digits"]["splits"]["members"].update(records=41),
        r"members-.*npz: expected 41 records as leaderboard\.json says, got 40",
    ),
]


@pytest.mark.parametrize(("change", "match"), [c[1:] for c in CHANGED_JSON], ids=[c[0] for c in CHANGED_JSON])
def test_a_changed_json_is_found_behind_right_hashes(
    board: Path, change: Callable[[dict[str, Any]], object], match: str
) -> None:
    edit_json(board, change)
    found = problems(board)
    assert any(re.search(match, each) for each in found), found[:10]


@pytest.mark.parametrize("name", ["leaderboard.csv", "attacks.csv", "sets.csv", "trials.csv"])
def test_each_cell_of_each_table_is_compared(board: Path, name: str) -> None:
    lines = (board / name).read_text().splitlines()
    cells = lines[2].split(",")
    place = next(i for i, cell in enumerate(cells) if re.fullmatch(r"-?\d+\.\d+", cell))
    column = lines[0].split(",")[place]
    cells[place] = str(float(cells[place]) + 1e-6)
    (board / name).write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n")
    rehash(board)
    (found,) = problems(board)
    assert re.match(
        rf"{name}: row 2 \(digits / dcgan.*\), column {column}: stored '{cells[place]}', recomputed ", found
    )


def test_columns_rows_and_cells_of_a_table(board: Path) -> None:
    path = board / "trials.csv"
    text = path.read_text()
    path.write_text(text.replace("dataset,target", "target,dataset", 1))
    rehash(board)
    assert any("trials.csv: expected the columns dataset" in each for each in problems(board))
    path.write_text("\n".join(text.splitlines()[:-1]) + "\n")
    rehash(board)
    assert "trials.csv: stored 3 rows, recomputed 4" in problems(board)
    path.write_text(text + "digits\n")
    rehash(board)
    assert "trials.csv: stored 5 rows, recomputed 4" in problems(board)
    path.write_text(text.replace("\n", ",\n"))
    rehash(board)
    assert any(re.match(r"trials\.csv: expected the columns", each) for each in problems(board))


@pytest.mark.parametrize("name", ["leaderboard.md", "leaderboard.txt"])
def test_the_tables_for_people_are_compared(board: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "other_code", lambda stamp: False)
    text = (board / name).read_text()
    (board / name).write_text(re.sub(r"0\.\d\d\d", "0.501", text, count=1))
    rehash(board)
    assert any(re.match(rf"{name}: line \d+: stored", each) for each in problems(board))
    (board / name).write_text(text + "All is well.\n")
    rehash(board)
    assert any(re.match(rf"{name}: stored \d+ lines", each) for each in problems(board))


def raised(arrays: dict[str, Any], name: str, place: int, by: float) -> None:
    arrays[name] = arrays[name].copy()
    arrays[name][place] += by


CHANGED_SCORES: list[tuple[str, str, Callable[[dict[str, Any]], object], str]] = [
    ("score", "nearest_sample", lambda a: raised(a, "score", 0, 9), r"\.auc: stored 0\.\d+, recomputed"),
    ("set score", "nearest_sample", lambda a: raised(a, "set_score_5", 0, 99), r"sets\[.*5\]\.set_auc: stored"),
    ("nan", "nearest_sample", lambda a: raised(a, "score", 3, np.nan), r"score\.npy: expected finite numbers, got NaN"),
    ("inf", "nearest_sample", lambda a: raised(a, "score", 3, np.inf), "got NaN or infinity in 1 of 100"),
    ("side", "nearest_sample", lambda a: a.update(membership=~a["membership"]), "expected the membership of the split"),
    (
        "missing",
        "nearest_sample",
        lambda a: a.update({n: v[:-1] for n, v in a.items() if not n.startswith("set_score")}),
        r"expected 100 records .* got 99: records are missing",
    ),
    ("twice", "nearest_sample", lambda a: a["record_id"].put(1, 0), r"expected each record once, 1 are judged twice"),
    ("order", "nearest_sample", lambda a: a["record_id"].put([0, 1], [3, 0]), "expected records by ascending id"),
    ("stranger", "nearest_sample", lambda a: a["record_id"].put(99, 5000), "expected candidates of the split only, 1"),
    (
        "sets",
        "nearest_sample",
        lambda a: a["set_id_5"].put(0, 7),
        "expected the sets of 5 that the instrument composes",
    ),
    (
        "lost array",
        "nearest_sample",
        lambda a: a.pop("set_id"),
        "expected the arrays membership, record_id, score, set",
    ),
    ("new array", "nearest_sample", lambda a: a.update(x=a["score"]), "expected the arrays membership, record_id"),
    ("dtype", "nearest_sample", lambda a: a.update(score=a["score"].astype("f4")), "score: expected float64 of shape"),
    ("shape", "nearest_sample", lambda a: a.update(score=a["score"][:5]), r"score: expected float64 of shape \(100,\)"),
    (
        "set scores",
        "nearest_sample",
        lambda a: a.update(set_score_5=a["set_score_5"][:3]),
        r"set_score_5: expected float64 of shape \(20,\)",
    ),
    (
        "object",
        "nearest_sample",
        lambda a: a.update(score=a["score"].astype(object)),
        "Python objects are pickles, which can run code",
    ),
    ("part", "told", lambda a: a["part"].put(np.flatnonzero(a["part"] >= 0)[:9], 1), r"part_accuracy: stored 1\.0"),
    (
        "capped",
        "capped",
        lambda a: a.update({n: v[:-1] for n, v in a.items()}),
        "cannot be computed from what is published: PluginError|expected the sets of",
    ),
]


@pytest.mark.parametrize(
    ("attack", "change", "match"), [c[1:] for c in CHANGED_SCORES], ids=[c[0] for c in CHANGED_SCORES]
)
def test_changed_scores_are_found_behind_right_hashes(
    board: Path, attack: str, change: Callable[[dict[str, Any]], object], match: str
) -> None:
    edit_npz(board, scores_of(board, attack), change)
    found = problems(board)
    assert any(re.search(match, each) for each in found), found[:10]


def test_an_attack_that_judges_what_it_knows(board: Path) -> None:
    def lie(payload: dict[str, Any]) -> None:
        for row in payload["attacks"]:
            if row["attack"] == "told":
                row["cells"][0]["known"] = 12

    edit_json(board, lie)
    assert any("got 90: it judges records that it knows" in each for each in problems(board))


CHANGED_SPLITS: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    (
        "moved",
        lambda a: a["indices"].put(0, 900),
        r"expected disjoint roles, members and holdout share 1 records \(id 900",
    ),
    ("twice", lambda a: a["indices"].put(1, a["indices"][0]), "expected each record once, 1 are there twice"),
    (
        "floats",
        lambda a: a.update(indices=a["indices"] * 1.0),
        "expected one array `indices` of int64, got indices float64",
    ),
    ("other", lambda a: a.update(indices=a["indices"] + 1), "expected candidates of the split only"),
]


@pytest.mark.parametrize(("change", "match"), [c[1:] for c in CHANGED_SPLITS], ids=[c[0] for c in CHANGED_SPLITS])
def test_changed_splits(board: Path, change: Callable[[dict[str, Any]], object], match: str) -> None:
    name = json.loads((board / "leaderboard.json").read_text())["datasets"]["digits"]["splits"]["members"]["file"]
    edit_npz(board, name, change)
    found = problems(board)
    assert any(re.search(match, each) for each in found), found[:10]


def test_exposed_records_are_compared(board: Path) -> None:
    name = json.loads((board / "leaderboard.json").read_text())["exposures"][0]["file"]
    edit_npz(board, name, lambda arrays: raised(arrays, "exposure", 0, 0.5))
    assert problems(board) == [f"{name}: exposure: the stored array differs from the recomputed one"]
    edit_npz(board, name, lambda arrays: arrays.pop("exposure"))
    assert any("expected the arrays" in each for each in problems(board))


def test_a_note_of_refuted_claims_is_compared(board: Path) -> None:
    edit_json(board, lambda note: note["violations"].append("dp_sgd"), NOTE)
    assert any("stored the refuted claims ['dp_sgd'], recomputed []" in each for each in problems(board))


def test_seeds_that_are_left_out_are_said(board: Path) -> None:
    def plan_more(payload: dict[str, Any]) -> None:
        payload["settings"]["seeds"].append(7)
        payload["matrix"] = payload["matrix"].replace("[0, 1]", "[0, 1, 7]")

    edit_json(board, plan_more)
    with open_results(board) as published:
        report, _ = verify(published)
    assert report.problems == []
    assert "digits / dcgan / none has no trial at seeds 7 of the matrix" in report.notes
