"""The JSON Schema accepts what loads and refuses what does not, as far as a schema can tell."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from matrix_cases import matrix_text

from bench.matrix import Matrix, matrix_schema
from bench.matrix.yaml_lines import parse_yaml

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def accepts(schema: dict[str, Any], value: Any, whole: dict[str, Any]) -> bool:
    """A small validator of its own, for the keywords that the schema uses; an unknown keyword is an error."""
    checks = []
    for keyword, wanted in schema.items():
        match keyword:
            case "$schema" | "$defs" | "title" | "description" | "default":
                ok = True
            case "$ref":
                ok = accepts(whole["$defs"][wanted.removeprefix("#/$defs/")], value, whole)
            case "type":
                ok = isinstance(value, TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
            case "enum":
                ok = value in wanted
            case "const":
                ok = value == wanted
            case "anyOf":
                ok = any(accepts(part, value, whole) for part in wanted)
            case "oneOf":
                ok = sum(accepts(part, value, whole) for part in wanted) == 1
            case "required":
                ok = not isinstance(value, dict) or set(wanted) <= value.keys()
            case "properties":
                ok = not isinstance(value, dict) or all(
                    accepts(wanted[key], inner, whole) for key, inner in value.items() if key in wanted
                )
            case "additionalProperties":
                assert wanted is False
                ok = not isinstance(value, dict) or value.keys() <= schema.get("properties", {}).keys()
            case "items":
                ok = not isinstance(value, list) or all(accepts(wanted, inner, whole) for inner in value)
            case "prefixItems":
                ok = not isinstance(value, list) or all(
                    accepts(part, inner, whole) for part, inner in zip(wanted, value, strict=False)
                )
            case "minItems":
                ok = not isinstance(value, list) or len(value) >= wanted
            case "maxItems":
                ok = not isinstance(value, list) or len(value) <= wanted
            case "uniqueItems":
                texts = [json.dumps(inner) for inner in value] if isinstance(value, list) else []
                ok = len(texts) == len(set(texts))
            case "minLength":
                ok = not isinstance(value, str) or len(value) >= wanted
            case "pattern":
                ok = not isinstance(value, str) or re.search(wanted, value) is not None
            case "minimum":
                ok = not isinstance(value, int | float) or value >= wanted
            case "maximum":
                ok = not isinstance(value, int | float) or value <= wanted
            case "exclusiveMinimum":
                ok = not isinstance(value, int | float) or value > wanted
            case "exclusiveMaximum":
                ok = not isinstance(value, int | float) or value < wanted
            case _:
                raise AssertionError(f"unknown keyword {keyword}")
        checks.append(ok)
    return all(checks)


@pytest.fixture
def schema() -> dict[str, Any]:
    return matrix_schema()


GOOD: list[dict[str, str | None]] = [
    {},
    {"targets": "[dcgan, {name: dcgan, betas: [0.1, 0.2]}, {name: vae, schedule: {kind: cosine}}]"},
    {"defenses": "[none, {name: dp_sgd, epsilon: 8}, [none, {name: dropout, rate: 0}]]"},
    {"defenses": "[./mine.py:Mine, {name: ./mine.py:Mine, strength: 3}]"},
    {"attacks": "[needs_extra, {name: needs_extra, option: 1}]"},
    {"dataset": "{name: npz, path: a.npz, members: m.npz, membership: coin, reference: 0}"},
    {"dataset": None, "datasets": "[digits, {name: npz, members: 7}]"},
    {"dataset": "{name: digits, membership: coin, always: 5, canaries: mislabelled}"},
    {"dataset": "{name: digits, crop: 6, resize: 8, grey: true, fraction: 0.5, top_classes: 3}"},
    {"dataset": "{name: digits, resize: [8, 6], fraction: 1, crop: null}"},
    {
        "seeds": "[0, 2]",
        "exclude": "[{seed: 2, attack: logan}]",
        "quality": "{records: 50}",
        "controls": "false",
    },
]

BAD: list[dict[str, str | None]] = [
    {"name": ".x"},
    {"name": None},
    {"dataset": None},
    {"datasets": "[npz]"},
    {"frobnicate": "1"},
    {"targets": "dcgan"},
    {"targets": "[]"},
    {"targets": "[dcgann]"},
    {"targets": "[{name: dcgan, width: 0}]"},
    {"targets": "[{name: dcgan, height: 3}]"},
    {"targets": "[{width: 3}]"},
    {"targets": "[{name: vae, schedule: {kind: square}}]"},
    {"targets": "[none]"},
    {"targets": "[[dcgan, vae]]"},
    {"defenses": "[dp_sgd]"},
    {"defenses": "[{name: dropout, rate: 1}]"},
    {"defenses": "[none, none]"},
    {"defenses": "[[]]"},
    {"attacks": "[./mine.txt]"},
    {"dataset": "{name: digits, members: 0}"},
    {"dataset": "{name: digits, members: '010'}"},
    {"dataset": "{name: digits, path: x}"},
    {"dataset": "{name: digits, resize: [8]}"},
    {"dataset": "{name: digits, resize: 0}"},
    {"dataset": "{name: digits, crop: [8, 8]}"},
    {"dataset": "{name: digits, fraction: 0}"},
    {"dataset": "{name: digits, fraction: 1.5}"},
    {"dataset": "{name: digits, grey: 1}"},
    {"seeds": "[0, 0]"},
    {"seeds": "[-1]"},
    {"exclude": "[{tagret: vae}]"},
    {"quality": "{records: 1}"},
    {"controls": "off"},
    {"device": "cuda:0"},
]


@pytest.mark.parametrize("changes", GOOD, ids=str)
def test_accepts(schema: dict[str, Any], changes: dict[str, str | None]) -> None:
    assert accepts(schema, parse_yaml(matrix_text(**changes), "m").data, schema)


@pytest.mark.parametrize("changes", BAD, ids=str)
def test_refuses(schema: dict[str, Any], changes: dict[str, str | None]) -> None:
    assert not accepts(schema, parse_yaml(matrix_text(**changes), "m").data, schema)


def test_every_field_is_there_with_its_docstring(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]) == set(Matrix.model_fields)
    for name, field in Matrix.model_fields.items():
        assert schema["properties"][name]["description"] == field.description


def test_references_lead_somewhere_and_it_is_json(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    for target in re.findall(r'"#/\$defs/([^"]+)"', text):
        assert target in schema["$defs"]
    assert "targets.vae.Schedule" in schema["$defs"]


def test_a_plugin_that_cannot_be_imported_says_why(schema: dict[str, Any]) -> None:
    (entry,) = (
        part
        for part in schema["$defs"]["attacks"]["anyOf"]
        if part.get("properties", {}).get("name") == {"const": "needs_extra"}
    )
    assert "needs the package 'no_such_package'" in entry["description"]
