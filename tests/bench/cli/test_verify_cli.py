"""``bench verify`` and ``bench board --bundle`` on a real run, as an auditor uses them."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from run_matrix import SMALL, bench, bench_here, write_matrix
from typer.testing import CliRunner, Result

from bench.board import bundle as bundles
from bench.board.bundle import in_bundle, write_baseline, write_bundle
from bench.cli.app import app
from bench.cli.verify import _rerun as rerun_cells
from bench.cli.verify import printable
from bench.errors import BenchError, InputError
from bench.published.open import open_results
from bench.verify import rerun
from bench.verify.check import verify
from bench.verify.report import Report


def invoke(*arguments: str | Path) -> Result:
    """A command in this process, which has the packages loaded; what `bench.cli.main` does with errors is not here."""
    return CliRunner().invoke(app, list(map(str, arguments)))


def refused(*arguments: str | Path) -> BenchError:
    """The error that a command ends with."""
    error = invoke(*arguments).exception
    assert isinstance(error, BenchError)
    return error


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the matrix was run, and its board passed on as a bundle and as a baseline."""
    folder = tmp_path_factory.mktemp("verify")
    matrix = write_matrix(folder, SMALL)
    done = bench_here("run", matrix, "--results", folder / "results")
    assert done.returncode == 0, done.stderr
    made = invoke(
        *("board", matrix, "--results", folder / "results", "--bundle", folder / "b.zip"),
        *("--baseline", folder / "baseline"),
    )
    assert made.exit_code == 0, made.output
    assert "The bundle: " in made.stdout
    assert "The baseline: " in made.stdout
    return folder


def test_what_a_run_wrote_is_verified(ran: Path) -> None:
    done = bench("verify", ran / "b.zip")
    assert done.returncode == 0, done.stderr
    assert f"{ran / 'b.zip'}: verified (" in done.stdout
    assert " 2 rows, 2 trials, " in done.stdout
    assert "taken as published, since only the models and records could tell" in done.stdout
    for other in ("results/tiny", "baseline"):
        with open_results(ran / other) as published:
            assert verify(published)[0].problems == []


def test_a_bundle_holds_data_only_and_the_same_bytes(ran: Path, tmp_path: Path) -> None:
    board = ran / "results" / "tiny"
    write_bundle(board, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (ran / "b.zip").read_bytes()
    with zipfile.ZipFile(ran / "b.zip") as archive:
        names = archive.namelist()
        assert {Path(name).suffix for name in names} == {".json", ".csv", ".npz", ".png"}
        for name in names:
            if name != "made-from.json":
                assert archive.read(name) == (board / name).read_bytes()
    every = {path.relative_to(board).as_posix() for path in board.rglob("*") if path.is_file()}
    assert set(names) == {name for name in every if in_bundle(name)}
    assert names == sorted(names)


def test_a_baseline_is_small_and_keeps_what_is_beside(ran: Path, tmp_path: Path) -> None:
    folder = tmp_path / "baseline"
    write_baseline(ran / "results" / "tiny", folder)
    (folder / "README.md").write_text("how to make it again")
    (folder / "scores" / "old.npz").write_bytes(b"")
    count = write_baseline(ran / "results" / "tiny", folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert len(files) == count + 1
    assert not [name for name in files if name.startswith(("plots", "exposure")) or name.endswith(".html")]
    assert {"README.md", "leaderboard.json", "leaderboard.csv", "made-from.json"} <= files
    assert "scores/old.npz" not in files


def test_where_a_bundle_cannot_be(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = ran / "results" / "tiny"
    with pytest.raises(InputError, match=r"expected a file name that ends in \.zip"):
        write_bundle(board, tmp_path / "b.tar")
    with pytest.raises(InputError, match=r"expected a folder at .*no, found none"):
        write_bundle(board, tmp_path / "no" / "b.zip")
    (tmp_path / "d.zip").mkdir()
    with pytest.raises(InputError, match=r"--bundle: expected a file to write, but .*d\.zip is a folder"):
        write_bundle(board, tmp_path / "d.zip")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(bundles.os, "replace", full)
        with pytest.raises(InputError, match=r"--bundle: expected a place to write to, got .*b\.zip: .*No space left"):
            write_bundle(board, tmp_path / "b.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["d.zip"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_bundle_has_the_permissions_of_a_new_file(ran: Path, tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_bundle(ran / "results" / "tiny", tmp_path / "b.zip")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.zip").stat().st_mode) == mode


def test_where_a_baseline_cannot_be(ran: Path, tmp_path: Path) -> None:
    board = ran / "results" / "tiny"
    for inside in (board, board / "plots" / "sub"):
        with pytest.raises(InputError, match="expected a folder other than the board's own and outside of it"):
            write_baseline(board, inside)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex and no leaderboard\.json"):
        write_baseline(board, tmp_path)
    with pytest.raises(InputError, match=r"--baseline: expected a folder to write to, got .*thesis\.tex/x: "):
        write_baseline(board, tmp_path / "thesis.tex" / "x")


@pytest.mark.parametrize("part", ["index.html", "plots", "exposure"])
def test_a_baseline_replaces_no_whole_board(ran: Path, tmp_path: Path, part: str) -> None:
    shutil.copytree(ran / "baseline", tmp_path / "b")
    write_baseline(ran / "results" / "tiny", tmp_path / "b")  # an older baseline may be replaced
    (tmp_path / "b" / part).mkdir()
    with pytest.raises(InputError, match=rf"holds a whole board \({part}\), which would be lost"):
        write_baseline(ran / "results" / "tiny", tmp_path / "b")
    assert (tmp_path / "b" / part).exists()


@pytest.mark.parametrize("text", ['{"name": "another"}', "[]", "no JSON"])
def test_a_baseline_replaces_none_of_another_name(ran: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "leaderboard.json").write_text(text)
    with pytest.raises(InputError, match=r"expected an older baseline of 'tiny', but .* holds one of ('another'|None)"):
        write_baseline(ran / "results" / "tiny", tmp_path)
    assert (tmp_path / "leaderboard.json").read_text() == text


def test_tampering_fails_and_says_where(ran: Path, tmp_path: Path) -> None:
    shutil.copytree(ran / "baseline", tmp_path / "b")
    path = tmp_path / "b" / "leaderboard.json"
    payload = json.loads(path.read_text())
    payload["leaderboard"][0]["auc"] = 0.5001
    path.write_text(json.dumps(payload))
    (tmp_path / "b" / "x\x1b[2J").write_text("a name that clears the terminal")
    done = invoke("verify", tmp_path / "b")
    assert done.exit_code == 1
    assert "wrong: leaderboard.json: expected " in done.stderr
    assert "leaderboard[wine / tvae / none].auc: stored 0.5001, recomputed" in done.stderr
    assert "problems (" in done.stderr
    assert "no part of the board: x\\x1b[2J" in done.stdout
    assert "\x1b" not in done.output


def test_wrong_input_has_its_exit_code(ran: Path, tmp_path: Path) -> None:
    assert refused("verify", tmp_path / "no").exit_code == 3
    error = refused("verify", ran / "b.zip", "--rerun", "1")
    assert error.exit_code == 2
    assert "--rerun: expected --matrix with your own copy of the matrix: a bundle's is never run" in str(error)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as made:
        made.writestr("model.pkl", b"x")
    done = bench("verify", tmp_path / "b.zip")
    assert done.returncode == 2
    assert "expected no pickles" in done.stderr
    other = write_matrix(tmp_path, SMALL.replace("steps: 20", "steps: 21").replace("samples: 120", "samples: 130"))
    error = refused("verify", ran / "b.zip", "--rerun", "1", "--matrix", other)
    assert error.exit_code == 2
    assert "expected the board's settings, configurations differs" in str(error)
    assert "expected the board's settings, samples differs: the matrix has 130, the board 120" in str(error)


def test_what_is_printed_cannot_steer_a_terminal() -> None:
    assert printable("auc 0.5 \xe9\n\x1b[2J\x9b\u202e\udcff") == "auc 0.5 \xe9" + r"\n\x1b[2J\x9b\u202e\udcff"


def test_a_cell_that_is_run_again_gives_the_same_bytes(ran: Path) -> None:
    done = bench("verify", ran / "b.zip", "--rerun", "1", "--matrix", ran / "tiny.yaml", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the same scores, to the byte") == 1
    assert done.stdout.count("the same sample quality") == 1
    assert "1 cells run again" in done.stdout
    assert re.search(r"The cells to run again are drawn with --seed \d+", done.stdout)


def test_nobody_can_foresee_the_cells_to_run_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A seed that is not given is a fresh one, which is said; one that is given is used."""

    class DrawnError(Exception):
        pass

    drawn: list[int] = []

    def draw(found: object, count: int, seed: int) -> None:
        drawn.append(seed)
        raise DrawnError

    monkeypatch.setattr(rerun, "load_same", lambda *_: None)
    monkeypatch.setattr("bench.plan.build.build_plan", lambda *_: None)
    monkeypatch.setattr(rerun, "draw", draw)
    anything: Any = None
    for seed in (None, None, None, 7):
        with pytest.raises(DrawnError):
            rerun_cells(anything, anything, Report(), Path(), 1, seed, None)
    assert drawn[3] == 7
    assert len(set(drawn[:3])) == 3  # three equal ones of 2^32 are no accident
    assert capsys.readouterr().out.splitlines() == [
        f"The cells to run again are drawn with --seed {seed}" for seed in drawn
    ]
