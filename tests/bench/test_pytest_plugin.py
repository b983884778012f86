"""The pytest plugin, in test suites of its own as a defense's author would write them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from run_matrix import write_matrix

HERE = Path(__file__).parent
# By module and not by its entry point, so that an environment without the package installed tests it too.
PLUGIN = ("-p", "leakboard_pytest", "-p", "no:leakboard", "-p", "no:cacheprovider")

Suite = Callable[..., tuple[int, str]]
"""Runs a test file, with arguments of pytest and lines of its ini file; gives the exit code and what it printed."""

USES = """\
def test_no_worse(bench_compare):
    found = bench_compare("{new}"{more})
    assert found.exit_code == 0
"""


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sys.path.append(str(HERE / "compare"))
    from planted_comparison import Row, board, write

    folder = tmp_path_factory.mktemp("boards")
    rows = {"none": Row(0.9), "dropout": Row(0.55)}
    sizes = {"members": 60, "nonmembers": 100}
    write(board(rows, [0, 1], 0, **sizes), folder / "base")
    write(board(rows, [0, 1], 1, **sizes), folder / "again")
    write(board({**rows, "dropout": Row(0.95)}, [0, 1], 1, **sizes), folder / "broken")
    write(board({"none": Row(0.9), "mine": Row(0.95)}, [0, 1], 1, **sizes), folder / "renamed")
    return folder


def write_suite(folder: Path, test: str, ini: str = "") -> None:
    (folder / "test_defense.py").write_text(test, "utf-8")
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}", "utf-8")


def alone(folder: Path, test: str, *arguments: str, ini: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the suite as its author would: in a process of its own."""
    write_suite(folder, test, ini)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *PLUGIN, *arguments, "test_defense.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Suite:
    """Runs the suite in this process, which has pytest and all packages loaded."""
    # Not pytester: it forgets what a suite imported, and numpy cannot be imported twice.

    def suite(test: str, *arguments: str, ini: str = "") -> tuple[int, str]:
        write_suite(tmp_path, test, ini)
        with monkeypatch.context() as patched:
            patched.chdir(tmp_path)
            patched.setattr(sys, "path", [*sys.path])
            scratch = ("-p", "no:faulthandler", "--basetemp", str(tmp_path / "scratch"))
            code = pytest.main(["-q", *PLUGIN, *scratch, *arguments, "test_defense.py"])
        del sys.modules["test_defense"]  # the next suite has a file of the same name
        return int(code), capfd.readouterr().out

    return suite


def test_an_unchanged_defense_passes(boards: Path, tmp_path: Path) -> None:
    test = USES.format(new=boards / "again", more="")
    done = alone(tmp_path, test, "--bench-baseline", str(boards / "base"))
    assert done.returncode == 0, done.stdout


def test_a_broken_defense_fails_with_the_report(boards: Path, tmp_path: Path, suite: Suite) -> None:
    test = USES.format(new=boards / "broken", more="")
    (tmp_path / "kept").symlink_to(boards / "base")
    code, said = suite(test, ini="bench_baseline = kept\n")
    assert code == 1
    assert "WORSE: 1 worse, 7 same." in said
    assert "digits / dcgan / dropout: auc" in said
    assert "Traceback" not in said
    code, said = suite(test, "--bench-fail-on", "auc:+0.6", ini="bench_baseline = kept\n")
    assert code == 0, said
    code, said = suite(test, ini="bench_baseline = kept\nbench_fail_on = kid:+5%\n")
    assert code == 0, said


def test_arguments_of_the_fixture(boards: Path, suite: Suite) -> None:
    more = f", baseline={str(boards / 'base')!r}, match='mine=dropout', fail_on=['auc:+0.02']"
    code, said = suite(USES.format(new=boards / "renamed", more=more))
    assert code == 1
    assert "mine (BASE: dropout): auc" in said
    _, said = suite(USES.format(new=boards / "renamed", more=more.replace("auc:+0.02", "acu:+1")))
    assert "did you mean 'auc'" in said


@pytest.mark.parametrize("new", ["again", "nowhere"])
def test_without_a_baseline_it_fails_and_says_what_to_do(boards: Path, suite: Suite, new: str) -> None:
    test = USES.format(new=boards / new, more="")
    code, said = suite(test)
    assert (code, "give --bench-baseline FOLDER" in said) == (1, True), said
    code, said = suite(test, "--bench-baseline", "gone")
    assert (code, "found nothing there" in said) == (1, True), said


def test_a_matrix_is_run_and_compared(tiny_run: Path, tmp_path: Path, suite: Suite) -> None:
    shutil.copytree(tiny_run / "results" / ".store", tmp_path / "results" / ".store")
    matrix = write_matrix(tmp_path)
    test = f"""\
def test_it(bench_compare):
    found = bench_compare.run({str(matrix)!r}, results={str(tmp_path / "results")!r})
    assert all(finding.status == "same" for finding in found.findings)


def test_what_is_no_matrix(bench_compare):
    bench_compare.run("nowhere.yaml")
"""
    _, said = suite(test, "--bench-baseline", str(tiny_run / "results" / "tiny"))
    assert "1 failed, 1 passed" in said, said
    assert "nowhere.yaml" in said


def test_a_run_that_breaks_is_not_judged_by_an_older_board(
    boards: Path, tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An uncaught error has the code of a failed cell, 1, and the board of the run before lies there still."""
    matrix = write_matrix(tmp_path)
    shutil.copytree(boards / "base", tmp_path / "results" / "tiny")
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys\nif sys.orig_argv[-4:-2] and 'run' in sys.orig_argv and '--results' in sys.orig_argv:\n"
        "    import bench.cli.run as run\n    def broken(*a, **k): raise MemoryError('no board')\n"
        "    run.make_plan = broken\n",
        "utf-8",
    )
    test = (
        f"def test_it(bench_compare):\n    bench_compare.run({str(matrix)!r}, results={str(tmp_path / 'results')!r})\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hook))
    code, said = suite(test, "--bench-baseline", str(boards / "base"))
    assert code == 1, said
    assert "ended with 1 and wrote no board" in said
    assert "MemoryError: no board" in said


def test_a_project_with_a_bench_of_its_own(boards: Path, tmp_path: Path) -> None:
    """pytest starts and its other tests run; the fixture says what hides the suite."""
    (tmp_path / "bench.py").write_text("MINE = 1\n", "utf-8")
    test = "import bench\n\n\ndef test_own():\n    assert bench.MINE\n\n\n" + USES.format(new=boards / "again", more="")
    done = alone(tmp_path, test, "--bench-baseline", str(boards / "base"))
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "which hides it: rename that file" in done.stdout
    assert str(tmp_path / "bench.py") in done.stdout


def test_it_imports_nothing_but_pytest() -> None:
    program = (
        "import pytest, sys, json\nbefore = set(sys.modules)\nimport leakboard_pytest\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name for name in json.loads(done.stdout) if name.split(".")[0] not in sys.stdlib_module_names}
    assert loaded == {"leakboard_pytest"}
