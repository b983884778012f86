"""``bench run --only``, and ``bench board`` as it publishes: on a real run, with the exit codes of each."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_matrix import SMALL, bench_here, write_matrix
from sketches import sketching

from bench.board.current import NOTE

NONE, DROPOUT = "wine/tvae/none", "wine/tvae/dropout"


@pytest.fixture(scope="module", autouse=True)
def sketched() -> Iterator[None]:
    """Which pictures there are matters here, not what they show."""
    with sketching():
        yield


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the undefended row alone was run."""
    folder = tmp_path_factory.mktemp("only")
    matrix = write_matrix(folder, SMALL)
    done = bench_here("run", matrix, "--results", folder / "results", "--only", "wine/*/none")
    assert done.returncode == 0, done.stderr  # the other row is missing, and was not asked for
    assert "have not been run" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def ran(half: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the rest run too."""
    folder = Path(shutil.copytree(half, tmp_path_factory.mktemp("whole") / "whole"))
    done = bench_here("run", folder / "tiny.yaml", "--results", folder / "results")
    assert done.returncode == 0, done.stderr
    return folder


def statuses(folder: Path, table: str = "leaderboard.csv") -> dict[str, set[str]]:
    with (folder / "results" / "tiny" / table).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: {row["status"] for row in rows if row["defense"] == name} for name in {r["defense"] for r in rows}}


def test_only_the_chosen_row_is_computed(half: Path) -> None:
    found = statuses(half, "attacks.csv")
    assert found.pop("none") <= {"completed", "not_applicable"}
    assert set().union(*found.values()) == {"missing"}
    assert statuses(half)["dropout"] == {"missing"}
    with (half / "results" / "tiny" / "leaderboard.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["defense"] == "none")
    assert row["marginal_distance"]
    assert row["marginal_distance_untrained"]  # the reference lines belong to it


def test_the_plan_of_a_row(half: Path) -> None:
    given = ("plan", half / "tiny.yaml", "--results", half / "results", "--only")
    done = bench_here(*given, NONE)
    assert "0 steps to do: none" in done.stdout
    assert "dropout" not in done.stdout
    rest = bench_here(*given, DROPOUT)
    assert "1 train" in rest.stdout
    assert f"new            {DROPOUT}/0/nearest_sample" in rest.stdout
    assert f"cached         {NONE}/0/nearest_sample" in rest.stdout  # the row that it is read beside


def test_the_exit_code_speaks_of_the_chosen_rows(half: Path, tmp_path: Path) -> None:
    given = ("run", half / "tiny.yaml", "--results", half / "results", "--only")
    assert bench_here(*given, "wine/tvae/none").returncode == 0
    assert bench_here("board", half / "tiny.yaml", "--results", half / "results").returncode == 3
    wrong = bench_here(*given, "wine/tvae/nome")
    assert wrong.returncode == 2
    assert "did you mean 'wine/tvae/none'" in wrong.stderr
    assert f"\n  {DROPOUT}" in wrong.stderr


def test_the_rest_is_run_later(ran: Path) -> None:
    assert set().union(*statuses(ran).values()) == {"completed"}


def test_marks_are_made_and_do_not_stay(ran: Path, half: Path, tmp_path: Path) -> None:
    matrix, results = ran / "tiny.yaml", ran / "results"
    board = results / "tiny"
    plain = json.loads((board / NOTE).read_text())["inputs"]
    base = half / "results" / "tiny"
    done = bench_here("board", matrix, "--results", results, "--compare", base)
    assert done.returncode == 0, done.stderr  # publishing is no gate
    assert "compared with tiny: Nothing is worse: " in done.stderr
    assert json.loads((board / NOTE).read_text())["inputs"] != plain
    again = bench_here("run", matrix, "--results", results)
    assert again.returncode == 0
    assert "nothing to compute" in again.stderr
    assert json.loads((board / NOTE).read_text())["inputs"] == plain
    written = bench_here("board", matrix, "--results", results, "--compare", board)
    assert written.returncode == 2
    assert "which this command writes again: keep the old one first" in written.stderr


def test_a_matrix_and_boards_of_others_as_one_site(ran: Path, half: Path, tmp_path: Path) -> None:
    theirs = Path(shutil.copytree(half / "results" / "tiny", tmp_path / "theirs"))
    given = ("board", ran / "tiny.yaml", theirs, "--results", ran / "results", "--out", tmp_path / "site")
    done = bench_here(*given, "--name", "Ours & theirs", "--compare", half / "results" / "tiny")
    assert done.returncode == 0, done.stderr
    assert f"The site: {tmp_path / 'site' / 'index.html'} (2 boards, 4 rows)" in done.stdout
    made = json.loads((tmp_path / "site" / "site.json").read_text())
    assert made["name"] == "Ours & theirs"
    assert [board["verified"] is not None for board in made["boards"]] == [True, True]
    assert "theirs: compared with tiny: " in done.stderr
    assert len(list((tmp_path / "site" / "trials").iterdir())) == 4

    path = theirs / "leaderboard.json"
    path.write_text(path.read_text().replace('"few_seeds"', '"more_seeds"', 1))
    tampered = bench_here(*given)
    assert tampered.returncode == 1
    assert "wrong: leaderboard.json: expected " in tampered.stderr
    assert f"{theirs}: in the site without the badge 'verified'" in tampered.stderr
    made = json.loads((tmp_path / "site" / "site.json").read_text())
    assert [board["verified"] is not None for board in made["boards"]] == [True, False]

    path.write_text("{}")
    before = (tmp_path / "site" / "site.json").read_bytes()
    unreadable = bench_here(*given)
    assert unreadable.returncode == 2
    assert "expected a board of format" in unreadable.stderr
    assert (tmp_path / "site" / "site.json").read_bytes() == before


def test_options_that_do_not_go_together(ran: Path, tmp_path: Path) -> None:
    matrix, board = ran / "tiny.yaml", ran / "results" / "tiny"
    for given, code, said in (
        ((board, "--bundle", tmp_path / "b.zip"), 2, "--bundle, --baseline: expected one matrix"),
        ((matrix, "--name", "x", "--across-versions"), 2, "--name: expected a site; give --out"),
        ((matrix, "--across-versions"), 2, "--across-versions: expected --compare"),
        ((matrix, matrix, "--results", ran / "results", "--out", tmp_path / "s"), 2, "given twice"),
        ((matrix, board, "--results", ran / "results", "--out", tmp_path / "s"), 2, "which are both"),
        ((matrix, matrix.parent / ".." / matrix.parent.name / matrix.name), 2, "which are both"),
        ((board, board / ".." / "tiny", "--out", tmp_path / "s"), 2, "which are both"),
        ((board, "--out", "/proc/x/y"), 2, "--out /proc/x/y: expected a folder that can be written"),
        ((tmp_path / "no", "--out", tmp_path / "s"), 3, "found nothing there"),
        ((board, "--out", tmp_path / "s", "--compare", tmp_path / "no.zip"), 3, "found nothing there"),
        ((board, "--out", ran), 2, "expected an empty folder or one with a site"),
    ):
        done = bench_here("board", *given)
        assert (done.returncode, said in done.stderr) == (code, True), (given, done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_site_that_is_ended_early_leaves_nothing(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM comes when scores lie in the temporary folder beside the site."""
    seen: list[Path] = []

    def ended(entries: object, folder: Path, name: str) -> None:
        seen.extend(folder.glob("*/scores/*.npz"))
        os.kill(os.getpid(), signal.SIGTERM)

    def unheard(number: int, frame: object) -> None:
        raise AssertionError("the signal was left to the process, which would have ended at once")

    before = signal.signal(signal.SIGTERM, unheard)
    try:
        monkeypatch.setattr("bench.site.publish.write_site", ended)
        done = bench_here("board", ran / "results" / "tiny", "--out", tmp_path / "site")
        assert signal.getsignal(signal.SIGTERM) is unheard  # as it was
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (done.returncode, len(seen) > 0) == (143, True), done.stderr
    assert list(tmp_path.iterdir()) == []
