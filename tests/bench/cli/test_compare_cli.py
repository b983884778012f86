"""``bench compare`` from the command line: exit codes, formats, and what it imports."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from run_matrix import bench

from bench.board.rows import build
from bench.board.write import write_board
from bench.stamp import make_stamp

BOARD = Path(__file__).parents[1] / "board"
COMPARE = Path(__file__).parents[1] / "compare"


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``base``, an unchanged ``again``, a ``broken`` one and ``less``, with a row missing."""
    sys.path.append(str(COMPARE))
    from planted_comparison import Row, board, write

    folder = tmp_path_factory.mktemp("boards")
    rows = {"none": Row(0.9), "dropout": Row(0.55)}
    sizes = {"members": 60, "nonmembers": 100}
    write(board(rows, [0, 1], 0, **sizes), folder / "base")
    write(board(rows, [0, 1], 1, **sizes), folder / "again")
    write(board({**rows, "dropout": Row(0.95)}, [0, 1], 1, **sizes), folder / "broken")
    write(board({"none": rows["none"]}, [0, 1], 1, **sizes), folder / "less")
    return folder


@pytest.mark.parametrize(
    ("new", "code", "said"),
    [
        ("again", 0, "Nothing is worse: 8 same."),
        ("broken", 1, "WORSE: 1 worse, 7 same."),
        ("less", 3, "NOT JUDGED in full: 1 missing, 4 same."),
    ],
)
def test_exit_codes(boards: Path, new: str, code: int, said: str) -> None:
    done = bench("compare", boards / "base", boards / new)
    assert (done.returncode, done.stdout.rstrip().splitlines()[-1]) == (code, said), done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["base", "again", "--fail-on", "acu:+0.02"], 2, "did you mean 'auc'"),
        (["base", "again", "--fail-on", "coverage:+1%"], 2, "larger coverage is better"),
        (["base", "again", "--match", "x=y"], 2, "NEW has no row or defense 'x'"),
        (["base", "again", "--format", "yaml"], 2, "yaml"),
        (["base", "nowhere"], 3, "nowhere"),
        (["nowhere", "base"], 3, "nowhere"),
        (["base", "base/leaderboard.json"], 2, "leaderboard.json"),
        (["base", "again", "--out", "base"], 2, "expected a file that can be written"),
    ],
)
def test_wrong_input_is_one_message(boards: Path, arguments: list[str], code: int, said: str) -> None:
    done = bench("compare", *arguments, cwd=boards)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_malformed_board_is_wrong_input_and_not_worse(boards: Path, tmp_path: Path) -> None:
    shutil.copytree(boards / "again", tmp_path / "new")
    path = tmp_path / "new" / "leaderboard.json"
    payload = json.loads(path.read_text("utf-8"))
    for change in ({"seed": "x"}, {"kid": 10**400}, {"defense": "a\ud800"}, {"defense": "a\x00\x1b"}):
        trials = [{**payload["trials"][0], **change}, *payload["trials"][1:]]
        path.write_text(json.dumps({**payload, "trials": trials}), "utf-8")
        done = bench("compare", boards / "base", tmp_path / "new")
        assert (done.returncode, "Traceback" in done.stderr, done.stdout) == (2, False, ""), done.stderr


def test_formats_and_out(boards: Path, tmp_path: Path) -> None:
    said = {}
    for form in ("md", "json", "junit"):
        out = tmp_path / "deep" / form
        done = bench("compare", "base", "broken", "--format", form, "--out", out, cwd=boards)
        assert (done.returncode, done.stdout.startswith("WORSE: 1 worse")) == (1, True), done.stderr
        said[form] = out.read_text("utf-8")
    assert said["md"].startswith("**WORSE: 1 worse, 7 same.**")
    assert json.loads(said["json"])["base"] == "base"
    assert ElementTree.fromstring(said["junit"].encode()).attrib["failures"] == "1"


def test_it_imports_nothing_heavy(boards: Path) -> None:
    program = (
        "import sys, json\n"
        "from bench.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    print(json.dumps([end.code, sorted({'torch', 'pandas', 'distributed', 'sklearn', 'matplotlib', 'opacus'}"
        " & set(sys.modules)), 'scipy.stats' in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "compare", str(boards / "base"), str(boards / "broken"), "--format", "md"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.rstrip().splitlines()[-1]) == [1, [], False]


def test_a_board_as_it_is_written(tmp_path: Path) -> None:
    """The headline recomputed from stored scores is the one in the table, and tables and figures find each other."""
    sys.path.append(str(BOARD))
    from planted_board import cell, results, small, trial

    made = small()
    broken = results(
        tuple(trial(t.defense, t.seed) for t in made.trials),
        tuple(
            cell(c.attack, c.defense, c.seed, 3.0, access=c.access)
            if c.defense != "none" and c.attack == "logan_white_box"
            else c
            for c in made.cells
        ),
    )
    sources = {
        "targets": {t.target: "11" for t in made.trials},
        "attacks": {c.attack: "22" for c in made.cells},
        "defenses": {t.defense: ["33"] for t in made.trials},
    }
    configurations = {kind: {name: [{"name": name}] for name in names} for kind, names in sources.items()}
    settings = {"samples": 9, "device": "cpu", "precision": "float32", "configurations": configurations}
    for name, each in (("base", made), ("new", broken)):
        stamp = {**make_stamp(), "sources": sources}
        write_board(build(replace(each, stamp=stamp, settings={**settings, **each.settings})), tmp_path / name)
    done = bench("compare", "base", "new", "--format", "json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    found = {(f["defense"], f["figure"]): f for f in json.loads(done.stdout)["findings"]}
    worse = found["dropout(rate=0.5)", "auc"]
    assert worse["status"] == "worse"
    for side in ("base", "new"):
        rows = json.loads((tmp_path / side / "leaderboard.json").read_text("utf-8"))["leaderboard"]
        for row in rows:
            assert found[row["defense"], "auc"][side] == pytest.approx(row["auc"], abs=1e-12)
            assert found[row["defense"], "kid"][side] == pytest.approx(row["kid"], abs=1e-12)
    assert found["none", "auc"]["identical"]
    assert {f["status"] for f in found.values()} == {"worse", "same"}
