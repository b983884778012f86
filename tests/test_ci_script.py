""".ci/run ends with the status of what it runs. Its programs are stand-ins here: nothing is installed or trained."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = ("python", "python3", "pip", "tox", "apt-get", "sudo", "chromium")
STAND_IN = """#!/bin/bash
if [ "$1" = "-c" ]; then exec "$PYTHON" "$@"; fi
echo "$(basename "$0") $*" >> "$CALLS"
if [[ "$(basename "$0") $*" == $FAILING ]]; then exit 3; fi
if [[ "$(basename "$0") $*" == $SLOW ]]; then sleep 60; fi
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin" && : > "$3/bin/activate"; fi
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / "checkout" / ".ci")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "checkout")
    for folder in ("programs", "temporary"):
        (tmp_path / folder).mkdir()
    for name in PROGRAMS:
        program = tmp_path / "programs" / name
        program.write_text(STAND_IN, encoding="utf-8")
        program.chmod(0o755)
    return tmp_path


def run(checkout: Path, failing: str = "none", slow: str = "none") -> tuple[int, list[str]]:
    """The script's exit status and the commands that it gave, where those that match ``failing`` end with 3."""
    calls = checkout / "calls"
    environment = {
        "PATH": os.pathsep.join([str(checkout / "programs"), "/usr/bin", "/bin"]),
        "TMPDIR": str(checkout / "temporary"),
        "CALLS": str(calls),
        "PYTHON": sys.executable,
        "FAILING": failing,
        "SLOW": slow,
    }
    script = checkout / "checkout" / ".ci" / "run"
    done = subprocess.run([script], env=environment, capture_output=True, timeout=30, check=False)
    assert not list((checkout / "temporary").iterdir()), "what it put aside is still there"
    return done.returncode, calls.read_text("utf-8").splitlines()


def test_all_that_succeeds_ends_with_zero(checkout: Path) -> None:
    status, calls = run(checkout)
    assert status == 0
    assert calls[-1] == "python -m bench verify results/quickstart"
    assert calls.count("tox ") == 1


@pytest.mark.parametrize(
    ("failing", "next_one"),
    [
        ("tox run --notest", "tox "),
        ("tox ", "pip install -e ."),
        ("pip install -e .", "python -m bench run matrix.yaml"),
        ("python -m bench run matrix.yaml", "python -m bench digest results/quickstart"),
        ("python -m bench digest results/quickstart", "python -m bench verify results/quickstart"),
        ("python -m bench verify results/quickstart", "nothing"),
    ],
)
def test_what_fails_ends_it_with_its_status(checkout: Path, failing: str, next_one: str) -> None:
    status, calls = run(checkout, failing)
    assert status == 3
    assert failing in calls
    assert next_one not in calls


def test_an_environment_that_cannot_be_installed_ends_it_before_the_tests(checkout: Path) -> None:
    status, calls = run(checkout, "pip install *torch*")
    assert status == 1
    assert "tox " not in calls


def test_what_still_installs_is_stopped(checkout: Path) -> None:
    """Takes no minute: the installation beside it is stopped."""
    status, calls = run(checkout, "tox run --notest", slow="pip install *torch*")
    assert status == 3
    assert "tox " not in calls
