"""YAML's traps are closed, and every value knows its line."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import InputError
from bench.matrix import yaml_lines
from bench.matrix.yaml_lines import parse_yaml, resolve


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds with libyaml and with the parser in pure Python."""
    monkeypatch.setattr(yaml_lines, "_PARSER", getattr(yaml, request.param))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-5", 1e-5),
        ("1.0e-4", 1e-4),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("0.0", 0.0),
        ("+7", 7),
        ("-0", 0),
        ("0", 0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_numbers_booleans_and_null(word: str, value: Any) -> None:
    found = resolve(word)
    assert found == value
    assert type(found) is type(value)


WORDS = """off no yes on y n True FALSE Null none 010 0o17 0x1F 0b1 1_000 1:30 190:20:30.15 2024-01-01
2001-12-14t21:59:43.10-05:00 .inf .nan nan inf = << 1e e5 . - +. 01.5 1.2.3"""


@pytest.mark.parametrize("word", WORDS.split())
def test_words_stay_words(word: str) -> None:
    assert resolve(word) == word
    if word != "-":  # a list item where a value stands
        assert parse_yaml(f"key: {word}\n", "m.yaml").data == {"key": word}


def test_pyyaml_has_the_traps_that_are_closed_here() -> None:
    text = "a: off\nb: 1e-5\nc: 010\nd: 1:30\na: 2\n"
    assert yaml.safe_load(text) == {"a": 2, "b": "1e-5", "c": 8, "d": 90}
    document = parse_yaml(text, "m.yaml")
    assert document.data == {"a": "off", "b": 1e-5, "c": "010", "d": "1:30"}
    assert document.problems == [(5, "expected each key once, got 'a' again (first on line 1)")]


def test_quoted_scalars_are_text() -> None:
    assert parse_yaml("['1', \"true\", '']\n", "m").data == ["1", "true", ""]
    assert parse_yaml("a: |\n  5\nb: >-\n  null\n", "m").data == {"a": "5\n", "b": "null"}


def test_keys_are_never_converted() -> None:
    assert parse_yaml("{on: 1, 1: 2, true: 3, 2024-01-01: 4}\n", "m").data == {
        "on": 1,
        "1": 2,
        "true": 3,
        "2024-01-01": 4,
    }


def test_lines_of_keys_and_items() -> None:
    document = parse_yaml("a: 1\n# comment\nb:\n  - x\n\n  - {c: 2,\n     d: 3}\n", "m")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 3,
        ("b", 0): 4,
        ("b", 1): 6,
        ("b", 1, "c"): 6,
        ("b", 1, "d"): 7,
    }
    assert document.line(("b", 1, "int", "d")) == 7
    assert document.line(("b", 1, "missing")) == 6
    assert document.known(("b", 0, 0, "name")) == ("b", 0)


def test_nested_duplicates_are_found_and_the_rest_is_read() -> None:
    document = parse_yaml("a: {x: 1, x: [2, {y: 1, y: 2}], z: 3}\nb: 4\n", "m")
    assert document.data == {"a": {"x": 1, "z": 3}, "b": 4}
    assert [line for line, _ in document.problems] == [1, 1]
    assert "'x' again" in document.problems[0][1]
    assert "'y' again" in document.problems[1][1]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [echo]\n", 2, "tags are not supported"),
        ("a: !!int '3'\n", 1, "tags are not supported"),
        ("a: !mine {}\n", 1, "tags are not supported, got '!mine'"),
        ("a: &x 1\n", 1, "anchors are not supported, got &x"),
        ("a: 1\nb: *x\n", 2, r"aliases are not supported, got \*x"),
        ("&k a: 1\n", 1, "anchors and tags are not supported, got one on the key 'a'"),
        ("? [1, 2]\n: 3\n", 1, "expected a word as key"),
        ("a: 1\n---\nb: 2\n", 2, "expected one document"),
        ("a: 1\nb: 1e999\n", 2, "expected a number between 5e-324 and 1.8e308 in size, got 1e999"),
        ("a: -1e-999\n", 1, "expected a number between"),
        ("a: " + "9" * 400 + "\n", 1, "expected a number between"),
    ],
)
def test_what_is_not_allowed_is_a_problem_with_its_line(text: str, line: int, message: str) -> None:
    (problem,) = parse_yaml(text, "m.yaml").problems
    assert problem[0] == line
    assert re.search(message, problem[1])


def test_nothing_is_executed(capfd: pytest.CaptureFixture[str]) -> None:
    parse_yaml("a: !!python/object/apply:os.system ['echo executed']\n", "m")
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n\t- x\n", r"^m\.yaml:3:\d+: expected spaces as indentation, got a tab"),
        ("a: 1\nb: c: d\n", r"^m\.yaml:2:\d+: not valid YAML.*put text that contains ': ' in quotes"),
        ("a: @x\n", r"^m\.yaml:1:4: not valid YAML"),
        ("a: [1,\n", r"^m\.yaml:\d:1: not valid YAML"),
        ("a: 'x\n", r"^m\.yaml:\d:1: not valid YAML"),
        ("a: 1\nb: x\x07\n", r"^m\.yaml:2:5: expected printable text, got '\\x07'"),
        ("[" * 50 + "]" * 50, r"^m\.yaml:1:\d+: expected at most 20 levels"),
    ],
)
def test_what_cannot_be_read_is_one_error_with_line_and_column(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_yaml(text, "m.yaml")
    assert len(caught.value.problems) == 1


def test_empty_texts() -> None:
    for text in ("", "\n\n", "# only a comment\n", "---\n"):
        assert parse_yaml(text, "m").data is None


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(["off", "no", "010", "1e5", "1:30", "true", "null", "2024-01-01", "&a", "*a", "!x", "- a"])
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3), max_leaves=8)


class Dumper(yaml.SafeDumper):
    """Writes no anchors for repeated objects, and quotes texts: PyYAML reads ``1e5`` as a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))

per_parser = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@per_parser
@given(VALUES, st.booleans())
def test_round_trip(value: Any, flow: bool) -> None:
    document = parse_yaml(yaml.dump(value, Dumper=Dumper, default_flow_style=flow, allow_unicode=True), "m")
    assert document.problems == []
    assert document.data == value
    assert _types(document.data) == _types(value)


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _types(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_types(inner) for inner in value]
    return type(value)


@per_parser
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_as_python_writes_it_is_that_float(value: float) -> None:
    found = resolve(repr(value))
    assert isinstance(found, float)
    assert math.copysign(1, found) == math.copysign(1, value)
    assert found == value
