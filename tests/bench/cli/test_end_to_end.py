"""The whole path on real digits: run, run again, edit, kill, another number of workers."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from run_matrix import SMALL, TINY, bench, bench_here, write_matrix

from bench.identity import ROOT


@pytest.fixture(scope="module")
def ran(tiny_run: Path) -> Path:
    """A folder in which the tiny matrix was run with two workers."""
    return tiny_run


def digest(folder: Path) -> str:
    done = bench_here("digest", folder / "results" / "tiny")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def copied(ran: Path, folder: Path) -> Path:
    """The run's store, to go on from."""
    return Path(shutil.copytree(ran / "results" / ".store", folder / "results" / ".store"))


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / "results" / "tiny" / table).open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_says_how_far_it_is_and_where_the_board_lies(ran: Path) -> None:
    assert "index.html" in (ran / "stdout").read_text("utf-8")
    assert "ETA" in (ran / "stderr").read_text("utf-8")  # not a terminal: plain lines


def test_every_table_and_picture_is_there(ran: Path) -> None:
    board = ran / "results" / "tiny"
    for name in ("leaderboard.csv", "attacks.csv", "sets.csv", "trials.csv", "leaderboard.json", "leaderboard.md"):
        assert (board / name).stat().st_size > 0
    assert len(list((board / "exposure").glob("*.npz"))) == 2
    assert len(list((board / "plots").glob("exposed-*.png"))) == 2
    pages = [path.read_text("utf-8") for path in (board / "trials").glob("*.html")]
    assert ['id="exposed"' in page for page in pages] == [True, True]
    assert len(list((board / "scores").rglob("*.npz"))) == 2 * 7  # two defenses, three attacks, four controls
    assert list((board / "plots").rglob("*.png"))
    assert {p.stem.split("-")[0] for p in (board / "splits").rglob("*.npz")} >= {"members", "nonmembers", "holdout"}


def test_the_controls_read_what_they_must(ran: Path) -> None:
    read = {(row["defense"], row["attack"]): row for row in rows(ran, "attacks.csv")}
    for defense in ("none", "dropout"):
        assert float(read[defense, "constant"]["auc"]) == 0.5
        assert float(read[defense, "constant"]["accuracy"]) == pytest.approx(40 / 120)
        assert float(read[defense, "oracle"]["auc"]) == 1.0
        assert float(read[defense, "oracle"]["accuracy"]) == 1.0


def test_an_attack_says_what_its_models_cost(ran: Path) -> None:
    read = {row["attack"]: row for row in rows(ran, "attacks.csv") if row["defense"] == "none"}
    assert (read["logan_black_box"]["models_trained"], read["nearest_sample"]["models_trained"]) == ("1", "0")
    assert float(read["logan_black_box"]["models_s"]) > 0
    assert float(read["nearest_sample"]["models_s"]) == 0
    assert {row["known"] for row in read.values()} == {"0"}


def test_what_was_not_measured_is_empty(ran: Path) -> None:
    row = rows(ran, "attacks.csv")[0]
    assert row["tpr_at_1pct_fpr"] == ""  # 80 non-members cannot show 1 %
    assert row["auc_seed_low"] == ""  # one seed
    assert rows(ran, "leaderboard.csv")[0]["epsilon_claimed"] == ""


def test_trials_hold_quality_stability_and_cost(ran: Path) -> None:
    for row in rows(ran, "trials.csv"):
        assert row["status"] == "completed"
        for column in ("kid", "fid", "precision", "recall", "density", "coverage", "kid_best", "kid_final", "train_s"):
            assert row[column] != "", column


def test_the_second_run_computes_nothing(ran: Path) -> None:
    before = digest(ran)
    again = bench_here("run", ran / "tiny.yaml", "--results", ran / "results")
    assert again.returncode == 0, again.stderr
    assert "nothing to compute" in again.stderr
    assert digest(ran) == before


def test_one_worker_that_was_killed_goes_on_to_the_digest_of_two(ran: Path, tmp_path: Path) -> None:
    matrix = write_matrix(tmp_path)
    arguments = ["run", str(matrix), "--results", str(tmp_path / "results"), "--workers", "1"]
    command = [sys.executable, "-m", "bench", *arguments]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert running.stderr is not None
    for line in running.stderr:  # kill it hard in the middle of the graph
        if "] done" in line:
            break
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    running.stderr.close()
    stored = list((tmp_path / "results" / ".store").glob("*/[0-9a-f]*/manifest.json"))
    assert len(stored) >= 2, "expected something beside the data to be finished before the kill"
    planned = bench_here("plan", matrix, "--results", tmp_path / "results")
    assert " new" in planned.stdout
    done = bench(*arguments)
    assert done.returncode == 0, done.stderr
    assert digest(tmp_path) == digest(ran)


def test_a_damaged_artifact_is_made_again(ran: Path, tmp_path: Path) -> None:
    victim = next((copied(ran, tmp_path) / "attack").glob("*/scores.npz"))
    victim.write_bytes(victim.read_bytes()[:-10])
    done = bench_here("run", write_matrix(tmp_path), "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert "1 steps to do" in done.stderr
    assert digest(tmp_path) == digest(ran)


def test_editing_a_defense_retrains_its_trials_alone(ran: Path, tmp_path: Path) -> None:
    """In a copy of the packages, so that the tree under test is not touched."""
    for package in ("bench", "targets", "defenses"):
        shutil.copytree(ROOT / package, tmp_path / "code" / package, ignore=shutil.ignore_patterns("__pycache__"))
    code = str(tmp_path / "code")
    before = bench("plan", ran / "tiny.yaml", "--results", ran / "results", PYTHONPATH=code, cwd=tmp_path)
    assert "14 cells: 14 cached" in before.stdout, before.stdout + before.stderr
    edited = tmp_path / "code" / "defenses" / "dropout.py"
    edited.write_text(edited.read_text() + "\n# edited\n")
    after = bench("plan", ran / "tiny.yaml", "--results", ran / "results", PYTHONPATH=code, cwd=tmp_path)
    states = {
        line.split()[1]: line.split()[0] for line in after.stdout.splitlines() if line.startswith(("new", "cach"))
    }
    assert {cell.split("/")[2] for cell, state in states.items() if state == "new"} == {"dropout"}
    assert {cell.split("/")[2] for cell, state in states.items() if state == "cached"} == {"none"}
    # The edited defense's own training, and the attacker's model that learns from its samples.
    assert " 2 train" in after.stdout


def test_show_says_where_a_number_comes_from(ran: Path) -> None:
    cell = "digits/dcgan/none/0/nearest_sample"
    shown = bench_here("show", cell, "--matrix", ran / "tiny.yaml", "--results", ran / "results")
    assert shown.returncode == 0, shown.stderr
    assert "AUC" in shown.stdout
    for part in ("attack digits", "sample digits", "train digits", "data digits", "key "):
        assert part in shown.stdout


def test_board_is_written_again_from_the_store(ran: Path, tmp_path: Path) -> None:
    copied(ran, tmp_path)
    done = bench_here("board", ran / "tiny.yaml", "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert digest(tmp_path) == digest(ran)


def test_the_board_carries_the_matrix_and_the_stamp(ran: Path) -> None:
    payload = json.loads((ran / "results" / "tiny" / "leaderboard.json").read_text())
    assert "torch" in json.dumps(payload)
    assert (ran / "results" / "tiny" / "matrix.yaml").read_bytes() == (ran / "tiny.yaml").read_bytes()


def test_a_failed_step_is_a_row_and_an_exit_code(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from bench.attacks.base import Attack\n\n\n"
        "class Broken(Attack):\n"
        '    """Fails on purpose."""\n\n'
        '    name = "broken"\n    access = "samples"\n\n'
        "    def score_chunk(self, chunk, state, view, rng):\n"
        '        raise RuntimeError("planted failure")\n'
    )
    text = SMALL.replace("[nearest_sample, ", '[nearest_sample, "./broken.py:Broken", ')
    text = text.replace("[none, {name: dropout, roles: [decoder]}]", "[none]")
    matrix = write_matrix(tmp_path, text)
    done = bench("run", matrix, "--results", tmp_path / "results", "--workers", "1")
    assert done.returncode == 1
    assert "planted failure" in done.stderr
    broken = [row for row in rows(tmp_path, "attacks.csv") if row["attack"] == "broken"]
    assert len(broken) == 1
    assert broken[0]["auc"] == ""
    others = [row for row in rows(tmp_path, "attacks.csv") if row["attack"] == "nearest_sample"]
    assert others[0]["auc"] != ""
    planned = bench_here("plan", matrix, "--results", tmp_path / "results")
    assert "planted failure" in planned.stdout


DEFENSES = """
from defenses.base import Defense


class Raises(Defense):
    \"\"\"Fails in its first training step.\"\"\"

    name = "raises"

    def transform_losses(self, losses, batch, step):
        raise TypeError("planted bug")


class Nothing(Defense):
    \"\"\"Does nothing at all.\"\"\"

    name = "nothing"
"""


def test_a_users_defense_is_attacked_by_every_access_and_one_that_raises_is_a_failed_row(
    ran: Path, tmp_path: Path
) -> None:
    copied(ran, tmp_path)  # the undefended trial
    (tmp_path / "mine.py").write_text(DEFENSES)
    text = TINY.replace("[none, dropout]", '[none, "./mine.py:Nothing", "./mine.py:Raises"]')
    done = bench_here("run", write_matrix(tmp_path, text), "--results", tmp_path / "results")
    assert done.returncode == 1
    assert "planted bug" in done.stderr
    boards = {row["defense"]: row for row in rows(tmp_path, "leaderboard.csv")}
    assert boards["raises"]["status"] == "failed"
    assert "defense_inert" in boards["nothing"]["flags"]
    assert "defense_inert" not in boards["none"]["flags"]
    white = {row["defense"]: row["auc"] for row in rows(tmp_path, "attacks.csv") if row["attack"] == "logan_white_box"}
    assert white["nothing"] == white["none"] != ""  # the defense lies in a file, and its networks are rebuilt from it
    assert white["raises"] == ""


def test_what_a_defense_cannot_do_is_a_row_with_its_reason(tmp_path: Path) -> None:
    text = TINY.replace("defenses: [none, dropout]", "defenses: [[{name: dp_sgd, noise_multiplier: 1.0}, dropout]]")
    planned = bench_here("plan", write_matrix(tmp_path, text), "--results", tmp_path / "results")
    assert planned.returncode == 0
    assert "not applicable" in planned.stdout
    assert "must come last" in planned.stdout


def test_an_interrupt_keeps_what_was_done(tmp_path: Path) -> None:
    # Preflights are done at once; the trainings would take many minutes, so the run cannot end before the signal.
    assert "steps: 30" in TINY
    matrix = write_matrix(tmp_path, TINY.replace("steps: 30", "steps: 200000"))
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        str(matrix),
        "--results",
        str(tmp_path / "results"),
        "--workers",
        "1",
    ]
    running = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        # What a shell starts in the background, this suite perhaps, ignores the signal, and so would the run.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stderr is not None
    said = []
    for line in running.stderr:
        said.append(line)
        if "] done" in line:
            running.send_signal(signal.SIGINT)
            break
    said += list(running.stderr)
    assert running.wait() == 130
    assert "run the same command to go on" in "".join(said)
    assert "Traceback" not in "".join(said)
    # The untrained models of the reference lines are built at once too; no training has come to its end.
    results = (tmp_path / "results" / ".store" / "train").glob("[0-9a-f]*/result.json")
    assert [facts["steps_done"] for path in results if (facts := json.loads(path.read_text()))["steps_done"]] == []
    assert len(list((tmp_path / "results" / ".store").glob("*/[0-9a-f]*/manifest.json"))) >= 2
