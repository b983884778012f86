"""``bench new`` writes plugins that work: their tests pass, and a matrix takes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.new import KINDS, new
from bench.errors import InputError
from bench.matrix import load_matrix
from bench.plan.build import build_plan

MATRIX = """
name: mine
dataset: {name: digits, members: 100, nonmembers: 100, reference: 200, validation: 50, holdout: 100}
targets: [dcgan, {name: "./my_target.py:MyTarget", width: 16}]
defenses: [none, {name: "./my_defense.py:MyDefense", strength: 0.2}]
attacks: [nearest_sample, {name: "./my_attack.py:MyAttack", neighbours: 2}]
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for kind in KINDS:
        new(kind, f"my_{kind}", tmp_path)
    return tmp_path


def test_the_written_tests_pass(written: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(written)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(written), str(written)],
        capture_output=True, text=True, check=False, env=environment, cwd=written,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "7 passed" in run.stdout


def test_a_matrix_takes_them(written: Path) -> None:
    (written / "matrix.yaml").write_text(MATRIX, "utf-8")
    plan = build_plan(load_matrix(written / "matrix.yaml"))
    cells = {cell.id for cell in plan.cells if cell.step is not None}
    for target in ("dcgan", "my_target"):
        for defense in ("none", "my_defense"):
            for attack in ("nearest_sample", "my_attack"):
                assert f"digits/{target}/{defense}/0/{attack}" in cells
    assert not any(trial.refused for trial in plan.trials)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_passes_the_linter(written: Path, kind: str) -> None:
    pytest.importorskip("ruff", reason="part of the extra `lint`")
    config = Path(__file__).resolve().parents[3] / "pyproject.toml"
    for command in (["check"], ["format", "--check"]):
        files = [str(written / f"my_{kind}.py"), str(written / f"test_my_{kind}.py")]
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(config), *files],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_short_and_every_placeholder_is_filled(written: Path, kind: str) -> None:
    for name in (f"my_{kind}.py", f"test_my_{kind}.py"):
        text = (written / name).read_text("utf-8")
        assert "$" not in text
        assert len(text.splitlines()) <= 110
    assert f"class My{kind.capitalize()}(" in (written / f"my_{kind}.py").read_text("utf-8")


def test_nothing_is_overwritten(written: Path) -> None:
    before = (written / "my_attack.py").read_text("utf-8")
    (written / "test_my_attack.py").unlink()
    with pytest.raises(InputError, match=r"expected to write .*my_attack\.py, but that exists"):
        new("attack", "my_attack", written)
    assert (written / "my_attack.py").read_text("utf-8") == before
    assert not (written / "test_my_attack.py").exists()


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("atack", "mine", "expected one of target, defense, attack, got 'atack'; did you mean 'attack'"),
        ("attack", "MyAttack", "expected a name in snake_case, such as my_attack, got 'MyAttack'"),
        ("attack", "my-attack", "expected a name in snake_case"),
        ("attack", "class", "expected a name in snake_case"),
        ("defense", "dropout", "expected a name of your own, but the suite has a defense named 'dropout'"),
    ],
)
def test_names_that_do_not_do(tmp_path: Path, kind: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        new(kind, name, tmp_path)
    assert list(tmp_path.iterdir()) == []
