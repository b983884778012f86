"""Commands that compute nothing, and every kind of wrong input: one clear message and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_matrix import TINY, bench, write_matrix


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("defenses: [none, dropout]", "defenses: [none, dropuot]", ["tiny.yaml:5", "did you mean 'dropout'"]),
        ("seeds: [0]", "sedes: [0]", ["tiny.yaml:10", "sedes", "seeds"]),
        ("members: 40", "members: 4000", ["1797 records", "members 4000"]),
        ("steps: 30", "steps: 3e1x", ["tiny.yaml:4", "steps"]),
        ("name: tiny", "name: tiny\nname: again", ["tiny.yaml:2", "name"]),
        ("- nearest_sample", "- {name: logan_black_box, lr: 1}", ["tiny.yaml:9", "lr"]),
        ("samples: 120", "samples: off", ["tiny.yaml:11", "off"]),
        ("name: digits", "name: npz, path: nowhere.npz", ["nowhere.npz", "found nothing"]),
        ("extractor: efficientnet_lite0-64", "extractor: inception", ["inception", "efficientnet_lite0-96"]),
    ],
)
def test_wrong_matrix_is_one_message_and_exit_2(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    assert old in TINY
    done = bench("plan", write_matrix(tmp_path, TINY.replace(old, new)), "--results", tmp_path / "results")
    assert done.returncode == 2, done.stdout + done.stderr
    for part in said:
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_every_error_at_once(tmp_path: Path) -> None:
    text = TINY.replace("none, dropout", "none, dropuot").replace("seeds: [0]", "seeds: [-1]")
    done = bench("plan", write_matrix(tmp_path, text))
    assert done.returncode == 2
    assert "tiny.yaml:5" in done.stderr
    assert "tiny.yaml:10" in done.stderr


def test_a_corrupt_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=np.zeros((400, 8, 8), np.uint8))
    (tmp_path / "own.npz").write_bytes((tmp_path / "own.npz").read_bytes()[:300])
    done = bench("plan", write_matrix(tmp_path, TINY.replace("name: digits", "name: npz, path: own.npz")))
    assert done.returncode == 2
    assert "own.npz" in done.stderr
    assert "damaged" in done.stderr


def test_a_missing_extra_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text(
        "import nosuchflows\n\nfrom bench.attacks.base import Attack\n\n\n"
        'class Flows(Attack):\n    """Needs an extra."""\n\n    name = "flows"\n    access = "samples"\n'
    )
    done = bench("plan", write_matrix(tmp_path, TINY.replace("- nearest_sample", '- "./flows.py:Flows"')))
    assert done.returncode == 2
    assert "nosuchflows" in done.stderr
    assert "install" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["run", "nowhere.yaml"], ["plan", "nowhere.yaml"], ["board", "nowhere.yaml"]])
def test_a_matrix_that_is_not_there(tmp_path: Path, command: list[str]) -> None:
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    import torch

    matrix = write_matrix(tmp_path)
    assert bench("run", matrix, "--device", "tpu").returncode == 2
    if not torch.cuda.is_available():
        done = bench("run", matrix, "--device", "cuda", "--results", tmp_path / "results")
        assert done.returncode == 2
        assert "--device cpu" in done.stderr


def test_what_is_missing_is_exit_3(tmp_path: Path) -> None:
    matrix = write_matrix(tmp_path)
    assert bench("digest", tmp_path).returncode == 3
    assert bench("board", matrix, "--results", tmp_path / "results").returncode == 3
    cell = "digits/dcgan/none/0/nearest_sample"
    assert bench("show", cell, "--matrix", matrix, "--results", tmp_path / "results").returncode == 3


def test_an_unknown_cell_suggests_one(tmp_path: Path) -> None:
    done = bench("show", "digits/dcgan/none/0/nearest_sampel", "--matrix", write_matrix(tmp_path))
    assert done.returncode == 2
    assert "nearest_sample" in done.stderr


@pytest.mark.parametrize("command", ["run", "plan", "list", "show", "board", "digest", "new", "store"])
def test_help_has_examples(command: str) -> None:
    done = bench(command, "--help")
    assert done.returncode == 0
    if command != "store":
        assert f"bench {command}" in done.stdout


def test_unknown_commands_and_options_are_exit_2() -> None:
    assert bench("rnu").returncode == 2
    assert bench("plan", "--wrong").returncode == 2


def test_list_prints_every_plugin_with_its_source() -> None:
    from bench.registry import names

    done = bench("list", "attacks")
    assert done.returncode == 0
    for name in names("attacks"):
        assert f"  {name}: " in done.stdout
    assert "LOGAN" in done.stdout
    assert "access: white_box" in done.stdout
    assert bench("list", "atacks").returncode == 2


def test_store_du_and_gc(tmp_path: Path) -> None:
    from bench.store import Store, write_json

    store = Store(tmp_path / ".store")
    with store.write("train", "a" * 64) as folder:
        write_json(folder / "result.json", {"status": "completed"})
    (tmp_path / ".store" / "train" / ".tmp-left").mkdir()
    done = bench("store", "du", "--results", tmp_path)
    assert "train" in done.stdout
    assert "1 temporary" in done.stdout
    assert bench("store", "gc", "--dry-run", "--results", tmp_path).stdout.startswith("would remove 1 ")
    assert bench("store", "gc", "--results", tmp_path).stdout.startswith("removed 1 ")
    assert store.find("train", "a" * 64) is not None
    assert bench("store", "gc", write_matrix(tmp_path), "--results", tmp_path).stdout.startswith("removed 1 ")
    assert store.find("train", "a" * 64) is None


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["plan", "MATRIX"]])
def test_planning_imports_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    matrix = write_matrix(tmp_path)
    code = (
        "import sys\nfrom bench.cli.app import app\n"
        f"try:\n    app({[str(matrix) if a == 'MATRIX' else a for a in arguments]!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'distributed', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "HEAVY []" in done.stdout
