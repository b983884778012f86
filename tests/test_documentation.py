"""What the documents tell a reader to do works, word for word."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml

from bench.identity import ROOT
from bench.matrix import load_matrix

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MATRICES = [ROOT / "matrix.yaml", *sorted((ROOT / "bench" / "matrices").glob("*.yaml"))]


def test_the_example_defense_of_contributing_works(tmp_path: Path) -> None:
    from bench import contracts
    from bench.registry import get

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "flooding.py").write_text(blocks[0], "utf-8")
    assert len(blocks[0].splitlines()) <= 25
    # A level that every loss of the first few steps is below, so that the defense has something to do.
    contracts.check_defense(get("defenses", "./flooding.py:Flooding", tmp_path)(level=2.0))


def test_ci_runs_the_readme_word_for_word() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    for command in ("pip install -e . && python -m bench run matrix.yaml", "pip install tox && tox"):
        assert f"    {command}" in readme
        assert f"  {command}\n" in script


def test_the_readme_speaks_of_the_attacker_that_the_matrix_trains() -> None:
    (attack,) = [a for a in load_matrix(ROOT / "matrix.yaml").attacks if a.name == "logan_black_box"]
    assert f"trains for {attack.options.steps} steps" in (ROOT / "README.md").read_text("utf-8")


def test_tox_runs_every_check() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "tox.ini")
    commands = parser["testenv:check"]["commands"]
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        assert tool in commands


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_commands_and_files_that_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    known = {"run", "plan", "list", "show", "board", "compare", "verify", "digest", "new", "store"}
    named = set(re.findall(r"^ {4}(?:python -m )?bench (\w+)", text, re.MULTILINE)) | set(
        re.findall(r"`bench (\w+)", text)
    )
    assert named <= known, named - known
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", MATRICES, ids=lambda path: path.name)
def test_every_matrix_of_the_project_loads(path: Path) -> None:
    load_matrix(path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_matrices_in_documents_load(path: Path, tmp_path: Path) -> None:
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text("utf-8"), re.DOTALL)):
        if "targets" in yaml.safe_load(block):
            file = tmp_path / f"{number}.yaml"
            file.write_text(block, "utf-8")
            load_matrix(file)
