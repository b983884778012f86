"""Loading a matrix: plugins with checked options, or every problem at once with its line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matrix_cases import Fail, Load, matrix_text

from bench.errors import InputError
from bench.matrix import Matrix, SplitOptions, dataset_labels, load_matrix, stack_label
from bench.registry import get


def test_resolves_plugins_with_their_options(load: Load, tmp_path: Path) -> None:
    found = load(
        "name: quick\n"
        "dataset: {name: npz, path: my.npz, members: mine.npz, split_seed: 3}\n"
        "targets: [dcgan, {name: vae, width: 8, schedule: {kind: cosine}}]\n"
        "defenses:\n"
        "  - none\n"
        "  - {name: dp_sgd, epsilon: 8, delta: 1e-4}\n"
        "  - [dropout, {name: dropout, rate: 0.25}]\n"
        "attacks: [logan, {name: nearest, centred: true}]\n"
        "seeds: [2, 0]\n"
    )
    assert found.datasets == ((get("datasets", "npz")(path="my.npz"), SplitOptions(members="mine.npz", split_seed=3)),)
    vae = get("targets", "vae")
    schedule = vae.Options.model_fields["schedule"].annotation
    assert schedule is not None
    assert found.targets == (get("targets", "dcgan")(), vae(width=8, schedule=schedule(kind="cosine")))
    dropout = get("defenses", "dropout")
    assert found.defenses == (
        (get("defenses", "none")(),),
        (get("defenses", "dp_sgd")(epsilon=8.0, delta=1e-4),),
        (dropout(), dropout(rate=0.25)),
    )
    assert found.attacks == (get("attacks", "logan")(), get("attacks", "nearest")(centred=True))
    assert found.seeds == (2, 0)
    assert found.path == tmp_path / "matrix.yaml"
    assert found.base_dir == tmp_path


def test_lists_become_tuples_in_options(load: Load) -> None:
    found = load(matrix_text(targets="[{name: dcgan, betas: [0, 0.9]}]"))
    assert found.targets[0].options.betas == (0.0, 0.9)


def test_every_problem_at_once_with_its_line(fail: Fail) -> None:
    problems = fail(
        "name: .x\n"
        "dataset: {name: digits, members: 0,\n"
        "  refrence: 3}\n"
        "targets:\n"
        "  - dcgann\n"
        "  - {name: vae, width: 3.5, widht: 3, even: 3,\n"
        "     schedule: {kind: quadratic, warmpu: 1}}\n"
        "  - {width: 3}\n"
        "defenses:\n"
        "  - null\n"
        "  - [dropout,\n"
        "     {name: dropout, rate: 2}]\n"
        "  - name: dp_sgd\n"
        "  - none\n"
        "  - none\n"
        "  - {name: dropout, rate: .nan}\n"
        "attacks:\n"
        "  - needs_extra\n"
        "  - {name: nearest, metric: l3}\n"
        "  - ./absent.py:X\n"
        "exclude: [{seed: 5}, {tagret: x}]\n"
        "name: again\n"
        "samples: 100\n"
        "frobnicate: 1\n"
    )
    expected = [
        (1, "name: expected letters, digits, '.', '_' and '-', not starting with '.', got '.x'"),
        (2, "dataset.members: expected a number above 0 or a text, got 0"),
        (3, "dataset.refrence: expected a key of data set 'digits' ("),
        (5, "targets[0]: expected one of the targets (dcgan, vae) or ./file.py:Class, got 'dcgann'; "),
        (6, "targets[1].even: expected an even number, got 3"),
        (6, "targets[1].widht: expected a key of target 'vae' (width, schedule, even), got 'widht'; did you"),
        (6, "targets[1].width: expected a whole number, got 3.5"),
        (7, "targets[1].schedule.kind: expected 'linear' or 'cosine', got 'quadratic'"),
        (7, "targets[1].schedule.warmpu: expected a key of targets[1].schedule (kind, warmup), got 'warmpu'"),
        (8, "targets[2]: expected the key 'name', got none"),
        (10, "defenses[0]: expected a name, or a mapping with a name and options, got nothing"),
        (12, "defenses[1][1].rate: expected a number below 1.0, got 2"),
        (13, "defenses[2]: expected the key 'epsilon' of defense 'dp_sgd', got none"),
        (15, "defenses[4]: expected each defense once, got none again (first on line 14)"),
        (16, "defenses[5].rate: expected a number, got '.nan'"),
        (18, "attacks[0]: attack 'needs_extra' ("),
        (19, "attacks[1].metric: expected 'l1' or 'l2', got 'l3'"),
        (20, "attacks[2]: expected a file with the class X, but there is no file "),
        (21, "exclude[0].seed: expected one of this matrix's (0), got 5, which excludes nothing"),
        (21, "exclude[1].tagret: expected a key of exclude[1] (dataset, target, defense, attack, seed)"),
        (22, "expected each key once, got 'name' again (first on line 1)"),
        (23, "samples: expected at most as many quality records as samples (100), got 1500"),
        (24, "frobnicate: expected a key of the matrix (name, description, dataset"),
    ]
    for problem, (line, message) in zip(problems, expected, strict=True):
        assert problem.startswith(f"matrix.yaml:{line}: {message}")
    assert problems[2].endswith("got 'refrence'; did you mean 'reference'?")
    assert problems[3].endswith("did you mean 'dcgan'?")
    assert "run 'pip install no_such_package'" in problems[15]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"targets": "[vae, {name: vae, width: 32}]"},
            "targets[1]: expected each target once, got vae again",
        ),
        ({"attacks": "[logan, logan]"}, "attacks[1]: expected each attack once, got logan again"),
        ({"defenses": "[dropout, [dropout]]"}, "defenses[1]: expected each defense once, got dropout again"),
        (
            {"dataset": None, "datasets": "[digits, {name: digits, split_seed: 0}]"},
            "datasets[1]: expected each data set once, got digits[default split] again",
        ),
        (
            {"defenses": "[{name: dropout, rate: 0.1234567}, {name: dropout, rate: 0.12345671}]"},
            "defenses[1]: expected each defense to have a label of its own, got dropout(rate=0.123457) for",
        ),
    ],
)
def test_what_is_listed_twice(fail: Fail, changes: dict[str, str | None], message: str) -> None:
    (problem,) = fail(matrix_text(**changes))
    assert message in problem
    assert "(first on line " in problem


def test_order_and_options_make_a_difference(load: Load) -> None:
    stacks = "[[none, dropout], [dropout, none], dropout, {name: dropout, rate: 0.1}]"
    found = load(matrix_text(defenses=stacks))
    assert [stack_label(stack) for stack in found.defenses] == [
        "none+dropout",
        "dropout+none",
        "dropout",
        "dropout(rate=0.1)",
    ]


def test_the_same_data_set_with_two_splits_has_two_labels(load: Load) -> None:
    found = load(matrix_text(dataset=None, datasets="[digits, {name: digits, members: 9}, npz]"))
    labels = [found.dataset_label(dataset) for dataset in found.datasets]
    assert labels == ["digits[default split]", "digits[members=9]", "npz"]


def test_what_changes_the_records_stands_in_the_label(load: Load) -> None:
    (single,) = load(matrix_text(dataset="{name: digits, fraction: 0.2, members: 9, grey: false}")).datasets
    assert dataset_labels([single]) == ["digits[fraction=0.2]"]
    several = (
        "[digits, {name: digits, resize: [14, 7], grey: true}, {name: digits, fraction: 0.1, top_classes: 3}, "
        "{name: digits, fraction: 0.1, top_classes: 3, members: 9}]"
    )
    assert dataset_labels(load(matrix_text(dataset=None, datasets=several)).datasets) == [
        "digits",
        "digits[resize=14x7,grey=True]",
        "digits[top_classes=3,fraction=0.1]",
        "digits[members=9,top_classes=3,fraction=0.1]",
    ]


def test_options_that_are_named_like_the_split(fail: Fail) -> None:
    (problem,) = fail(matrix_text(dataset="greedy"))
    assert "data set 'greedy' has options of the split's names (members)" in problem


AXES = {
    "dataset": None,
    "datasets": "[digits, {name: digits, members: 9}]",
    "targets": "[dcgan, {name: vae, width: 8}]",
    "defenses": "[none, dropout, {name: dropout, rate: 0.1}, [none, dropout]]",
    "attacks": "[logan, nearest]",
    "seeds": "[0, 1]",
}


@pytest.mark.parametrize(
    ("exclusion", "remaining"),
    [
        ("{target: vae}", 32),
        ("{target: vae(width=8)}", 32),
        ("{defense: dropout}", 32),
        ("{defense: dropout(rate=0.1)}", 48),
        ("{defense: none+dropout}", 48),
        ("{dataset: digits, seed: 1}", 32),
        ("{dataset: 'digits[members=9]', seed: 1}", 48),
        ("{attack: logan}", 32),
        ("{target: vae, defense: dropout, attack: logan, seed: 0, dataset: digits}", 60),
    ],
)
def test_exclusions(load: Load, exclusion: str, remaining: int) -> None:
    found = load(matrix_text(**AXES, exclude=f"[{exclusion}]"))
    cells = [
        (d, t, s, seed, a)
        for d in found.datasets
        for t in found.targets
        for s in found.defenses
        for seed in found.seeds
        for a in found.attacks
    ]
    assert len(cells) == 64
    assert sum(not found.excludes(*cell) for cell in cells) == remaining
    whole_trial = "attack" not in exclusion
    assert any(found.excludes(*cell[:4]) for cell in cells) is whole_trial


@pytest.mark.parametrize(
    ("exclusion", "message"),
    [
        ("{target: vea}", "expected one of this matrix's (dcgan, vae, vae(width=8)), got 'vea', which"),
        ("{defense: dropout+none}", "got 'dropout+none', which excludes nothing; did you mean"),
        ("{attack: needs_extra}", "expected one of this matrix's (logan, nearest)"),
        ("{seed: 2}", "expected one of this matrix's (0, 1), got 2"),
        ("{dataset: npz}", "got 'npz', which excludes nothing"),
    ],
)
def test_an_exclusion_that_matches_nothing(fail: Fail, exclusion: str, message: str) -> None:
    (problem,) = fail(matrix_text(**AXES, exclude=f"[{exclusion}]"))
    assert problem.startswith("matrix.yaml:7: exclude[0].")
    assert message in problem


def test_excluding_everything(fail: Fail) -> None:
    (problem,) = fail(matrix_text(exclude="[{target: dcgan}]"))
    assert "exclude: expected some combination to remain, but all are excluded" in problem


def test_plugin_files_are_relative_to_the_matrix(load: Load, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "mine.py").write_text(
        "from bench.plugin import Plugin\nclass Mine(Plugin):\n    name = 'mine'\n", "utf-8"
    )
    monkeypatch.chdir("/")
    found = load(matrix_text(defenses="[none, {name: ./mine.py:Mine}]"))
    assert stack_label(found.defenses[1]) == "mine"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"",
            "^matrix.yaml:1: expected a mapping with the keys name, dataset, targets, defenses, attacks",
        ),
        (b"# nothing\n", "got an empty file"),
        (b"- a\n", "^matrix.yaml:1: expected a mapping at the top, got a list"),
        (b"word\n", "^matrix.yaml:1: expected a mapping at the top, got 'word'"),
        (b"name: x\ndescription: \xe9\n", "^matrix.yaml:2: expected UTF-8, got the byte 0xe9"),
        (b"a: 1\n\tb: 2\n", r"^matrix.yaml:2:\d+: expected spaces as indentation, got a tab"),
        (b"*x\n", "^matrix.yaml:1: aliases are not supported"),
    ],
)
def test_files_that_hold_no_matrix(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_matrix(file)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*absent\.yaml"):
        load_matrix(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="is a folder"):
        load_matrix(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + matrix_text().encode())
    assert load_matrix(file).matrix.name == "quick"


def subset(*values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, unique_by=lambda value: json.dumps(value))


MATRICES = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,8}", fullmatch=True),
        "targets": subset("dcgan", {"name": "vae", "width": 7}, {"name": "dcgan", "betas": [0.25, 1e-7]}),
        "defenses": subset("none", {"name": "dp_sgd", "epsilon": 1e-3}, ["none", "dropout"]),
        "attacks": subset("logan", {"name": "nearest", "metric": "l1", "centred": True}),
        "dataset": st.sampled_from(["digits", {"name": "npz", "path": "no", "members": "off.txt"}]),
    },
    optional={
        "description": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
        "seeds": st.lists(st.integers(0, 2**40), min_size=1, unique=True),
        "samples": st.integers(1500, 10**6),
        "quality": st.fixed_dictionaries({"records": st.integers(50, 1500)}),
        "controls": st.booleans(),
        "precision": st.sampled_from(["float32", "bf16"]),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(MATRICES)
def test_round_trip(load: Load, content: dict[str, Any]) -> None:
    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(str, lambda d, text: d.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
    first = load(yaml.dump(content, Dumper=Dumper, allow_unicode=True)).matrix
    assert first == Matrix.model_validate_json(json.dumps(content))
    again = load(yaml.dump(first.model_dump(mode="json", exclude_none=True), Dumper=Dumper)).matrix
    assert again == first
    for key in ("description", "seeds", "samples", "controls", "precision"):
        if key in content:
            assert first.model_dump(mode="json")[key] == content[key]


def test_importing_and_loading_needs_no_heavy_package(plugin_root: Path, tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(matrix_text(), "utf-8")
    code = (
        "import sys; from pathlib import Path; import bench.matrix; from bench import registry\n"
        f"sys.path.insert(0, {str(plugin_root)!r}); registry.ROOT = Path({str(plugin_root)!r})\n"
        "registry.PACKAGES = {kind: f'fake_{kind}' for kind in registry.KINDS}\n"
        f"assert bench.matrix.load_matrix({str(file)!r}).seeds == (0,)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "print(*sorted(name for name in sys.modules if name.startswith('fake_')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    packages, plugins = (set(line.split()) for line in out.splitlines())
    assert not packages & {
        "torch",
        "numpy",
        "pandas",
        "scipy",
        "sklearn",
        "distributed",
        "dask",
        "rich",
        "typer",
    }
    assert {"bench", "pydantic", "yaml"} <= packages
    asked = {"fake_targets.dcgan", "fake_defenses.none", "fake_attacks.logan", "fake_datasets.digits"}
    assert {name for name in plugins if "." in name} == asked
