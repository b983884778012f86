"""Each field's validator with a value that passes and one that fails, and how fields are classified."""

from __future__ import annotations

import re
from typing import Any

import pytest
from matrix_cases import Fail, Load, matrix_text
from pydantic import ValidationError

from bench.matrix import Matrix, Quality, SplitOptions, model
from bench.matrix.model import Exclusion, PluginEntry, Strict

MODELS = [
    value
    for value in vars(model).values()
    if isinstance(value, type) and issubclass(value, Strict) and value is not Strict
]


def test_the_models_are_the_expected_ones() -> None:
    names = sorted(model.__name__ for model in MODELS)
    assert names == ["Exclusion", "Matrix", "PluginEntry", "Quality", "SplitOptions"]


@pytest.mark.parametrize("cls", MODELS)
def test_every_field_is_classified_once_and_documented(cls: type[Strict]) -> None:
    assert not cls.RESULT & cls.RUNTIME
    assert set(cls.model_fields) == cls.RESULT | cls.RUNTIME
    for name, field in cls.model_fields.items():
        assert field.description, f"{name} has no docstring"


def test_options_of_the_records_are_fields_that_change_results() -> None:
    assert set(SplitOptions.RECORDS) <= SplitOptions.RESULT


@pytest.mark.parametrize("cls", MODELS)
def test_models_are_frozen(cls: type[Strict]) -> None:
    fields: dict[type[Strict], dict[str, Any]] = {
        Matrix: {"name": "m", "dataset": "d", "targets": ("t",), "defenses": ("d",), "attacks": ("a",)},
        PluginEntry: {"name": "p"},
        Exclusion: {"seed": 0},
    }
    instance = cls(**fields.get(cls, {}))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(instance, next(iter(cls.model_fields)), None)


# key, a value that passes, what it becomes, a value that fails, what the message says
FIELDS = [
    ("name", "a-b_c.1", "a-b_c.1", ".hidden", "expected letters, digits"),
    ("name", "'1'", "1", "a/b", "expected letters, digits"),
    ("name", "_x", "_x", "2024", "expected a text, got 2024: put it in quotes"),
    ("description", "'many: words'", "many: words", "[x]", "expected a text"),
    ("seeds", "[3, 1]", (3, 1), "[1, 2, 1]", "expected each number once, got 1 again"),
    ("seeds", "[0]", (0,), "[-1]", "expected a number of at least 0, got -1"),
    ("seeds", "[7]", (7,), "[]", "expected a list of at least 1, got a list of 0"),
    ("seeds", "[7]", (7,), "7", "expected a list, got 7"),
    ("seeds", "[1]", (1,), "[true]", "expected a whole number, got true"),
    ("controls", "false", False, "off", "expected true or false, got 'off': write true or false"),
    ("samples", "1500", 1500, "0", "expected a number above 0, got 0"),
    ("samples", "2000", 2000, "2e3", "expected a whole number, got 2000.0"),
    ("samples", "1500", 1500, "1499", "at most as many quality records as samples .1499., got 1500"),
    ("sets", "2", (2,), "1", "expected a number of at least 2, got 1"),
    ("sets", "[20, 5]", (20, 5), "[5, 5]", "expected each number once, got 5 again"),
    ("sets", "[5]", (5,), "[]", "expected a list of at least 1, got a list of 0"),
    ("resamples", "40", 40, "39", "expected a number of at least 40, got 39"),
    ("device", "mps", "mps", "gpu", "expected 'cpu', 'cuda' or 'mps', got 'gpu'"),
    ("device", "cuda", "cuda", "cuda:0", "expected 'cpu', 'cuda' or 'mps', got 'cuda:0'"),
    ("precision", "bf16", "bf16", "fp16", "expected 'float32' or 'bf16', got 'fp16'"),
    ("quality", "{records: 50}", Quality(records=50), "{records: 49}", "expected a number of at least 50"),
    ("quality", "{extractor: e}", Quality(extractor="e"), "{extractor: ''}", "at least 1 characters"),
    ("quality", "{records: 10000}", Quality(records=10000), "{records: 10001}", "at most as many quality"),
    ("quality", "{}", Quality(), "{record: 7}", "got 'record'; did you mean 'records'"),
    ("quality", "{snapshot_records: 100}", Quality(snapshot_records=100), "5", "expected a mapping, got 5"),
    ("targets", "[vae]", (PluginEntry(name="vae"),), "[]", "expected a list of at least 1"),
    ("targets", "[vae]", (PluginEntry(name="vae"),), "vae", "expected a list, got 'vae'"),
    ("attacks", "[{name: nearest}]", (PluginEntry(name="nearest"),), "[{metric: l1}]", "the key 'name'"),
    ("defenses", "[[none]]", ((PluginEntry(name="none"),),), "[[]]", "expected a list of at least 1"),
    ("defenses", "[none]", ((PluginEntry(name="none"),),), "[[[none]]]", "expected a name, or a mapping"),
    ("exclude", "[]", (), "[{}]", "expected at least one of dataset, target, defense, attack, seed"),
    ("exclude", "[]", (), "[{seed: '0'}]", "expected a whole number, got '0'"),
]


@pytest.mark.parametrize(("key", "good", "value", "bad", "message"), FIELDS)
def test_fields(load: Load, fail: Fail, key: str, good: str, value: Any, bad: str, message: str) -> None:
    assert getattr(load(matrix_text(**{key: good})).matrix, key) == value
    problems = fail(matrix_text(**{key: bad}))
    assert len(problems) == 1
    assert re.search(message, problems[0])
    line = matrix_text(**{key: bad}).split("\n").index(f"{key}: {bad}") + 1
    assert problems[0].startswith(f"matrix.yaml:{line}: {key}")


SPLITS = [
    ("members", "1", 1, "0", "expected a number above 0"),
    ("members", "ids/my.npz", "ids/my.npz", "'500'", "the path of a file, such as members.npz, got '500'"),
    ("nonmembers", "7", 7, "1e3", "expected a whole number or a text, got 1000.0"),
    ("reference", "0", 0, "-1", "expected a number of at least 0"),
    ("validation", "0", 0, "010", "got '010'"),
    ("holdout", "out.txt", "out.txt", "0", "expected a number above 0"),
    ("split_seed", "3", 3, "-3", "expected a number of at least 0"),
    ("membership", "coin", "coin", "coins", "expected 'fixed' or 'coin', got 'coins'"),
    ("always", "40", 40, "-1", "expected a number of at least 0"),
    ("always", "ids/more.npy", "ids/more.npy", "'40'", "the path of a file, such as members.npz, got '40'"),
    ("canaries", "blank", "blank", "grey", "expected 'none', 'mislabelled' or 'blank', got 'grey'"),
    ("crop", "108", 108, "0", "expected a number above 0, got 0"),
    ("resize", "32", 32, "0", "expected pixels a side, or [height, width], got 0"),
    ("resize", "[32, 48]", (32, 48), "[32, 0]", "expected pixels a side, or [height, width], got [32, 0]"),
    ("resize", "null", None, "[32]", "expected pixels a side, or [height, width], got [32]"),
    ("resize", "32", 32, "half", "expected pixels a side, or [height, width], got 'half'"),
    ("grey", "true", True, "1", "expected true or false, got 1"),
    ("top_classes", "10", 10, "0", "expected a number above 0, got 0"),
    ("fraction", "0.1", 0.1, "0", "expected a number above 0"),
    ("fraction", "1", 1.0, "1.01", "expected a number of at most 1"),
]


@pytest.mark.parametrize(("key", "good", "value", "bad", "message"), SPLITS)
def test_split_options(load: Load, fail: Fail, key: str, good: str, value: Any, bad: str, message: str) -> None:
    ((_, split),) = load(matrix_text(dataset=f"{{name: digits, {key}: {good}}}")).datasets
    assert split == SplitOptions(**{key: value})
    (problem,) = fail(matrix_text(dataset=f"{{name: digits, {key}: {bad}}}"))
    assert problem.startswith(f"matrix.yaml:2: dataset.{key}: ")
    assert message in problem


def test_one_of_dataset_and_datasets(load: Load, fail: Fail) -> None:
    assert load(matrix_text()).matrix.all_datasets == (PluginEntry(name="digits"),)
    several = load(matrix_text(dataset=None, datasets="[digits, npz]"))
    assert [entry.name for entry in several.matrix.all_datasets] == ["digits", "npz"]
    assert fail(matrix_text(dataset=None)) == ["matrix.yaml:1: expected either 'dataset' or 'datasets', got neither"]
    assert fail(matrix_text(datasets="[npz]")) == [
        "matrix.yaml:6: datasets: expected either 'dataset' or 'datasets', got both"
    ]


def test_cross_checks_also_guard_models_made_in_python() -> None:
    with pytest.raises(ValidationError, match="at most as many quality records as samples"):
        Matrix(name="m", dataset="d", targets=("t",), defenses=("d",), attacks=("a",), samples=10)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["name", "targets", "defenses", "attacks"])
def test_required_keys(fail: Fail, key: str) -> None:
    assert fail(matrix_text(**{key: None})) == [f"matrix.yaml:1: expected the key {key!r} of the matrix, got none"]
