"""A JSON Schema of the matrix file, for editors: its fields and the options of all plugins."""

from __future__ import annotations

from typing import Any

from bench.errors import PluginError
from bench.matrix.model import Matrix, SplitOptions
from bench.plugin import Plugin
from bench.registry import KINDS, SINGULAR, Kind, get, names

_FILE_REFERENCE = r"\.py:[A-Za-z_][A-Za-z0-9_]*$"


def matrix_schema() -> dict[str, Any]:
    """The schema of a matrix file, as JSON values.

    A plugin that cannot be imported here keeps its name, with the reason as description and its options open.
    """
    schema = Matrix.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    for kind in KINDS:
        definitions[kind] = _entry(kind, definitions)
    definitions["stack"] = {
        "description": "A defense, or a list of them: a stack, applied in this order.",
        "anyOf": [
            {"$ref": "#/$defs/defenses"},
            {"type": "array", "items": {"$ref": "#/$defs/defenses"}, "minItems": 1},
        ],
    }
    fields = schema["properties"]
    fields["dataset"] = {"$ref": "#/$defs/datasets", "description": fields["dataset"]["description"]}
    for key, item in (
        ("datasets", "datasets"),
        ("targets", "targets"),
        ("defenses", "stack"),
        ("attacks", "attacks"),
    ):
        fields[key] = {
            "type": "array",
            "items": {"$ref": f"#/$defs/{item}"},
            "minItems": 1,
            "uniqueItems": True,
            "description": fields[key]["description"],
        }
    fields["seeds"]["uniqueItems"] = True
    del definitions["PluginEntry"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Matrix of a membership-inference benchmark",
        "oneOf": [{"required": ["dataset"]}, {"required": ["datasets"]}],
    }


def _entry(kind: Kind, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of an entry of this kind: a name, a file's class, or a mapping with options."""
    known = names(kind)
    mappings = [_mapping(kind, name, definitions) for name in known]
    from_file = {"type": "string", "pattern": _FILE_REFERENCE}
    bare = [m["properties"]["name"]["const"] for m in mappings if m["required"] == ["name"]]
    return {
        "description": f"A {SINGULAR[kind]}: a name, ./file.py:Class, or a mapping with name and options.",
        "anyOf": [
            *([{"enum": bare}] if bare else []),
            from_file,
            {"type": "object", "properties": {"name": from_file}, "required": ["name"]},
            *mappings,
        ],
    }


def _mapping(kind: Kind, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    try:
        plugin: type[Plugin] = get(kind, name)
    except PluginError as error:
        properties = {"name": {"const": name}}
        return {
            "type": "object",
            "description": str(error),
            "properties": properties,
            "required": ["name"],
        }
    prefix = f"{kind}.{name}."
    options = plugin.Options.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
    definitions.update({prefix + key: value for key, value in options.pop("$defs", {}).items()})
    split = SplitOptions.model_json_schema()["properties"] if kind == "datasets" else {}
    presets = {"preset": {"enum": list(plugin.presets), "description": "Options that go together."}}
    return {
        "type": "object",
        "description": plugin.summary(),
        "properties": {
            "name": {"const": name, "description": plugin.summary()},
            **(presets if plugin.presets else {}),
            **split,
            **options.get("properties", {}),
        },
        "required": ["name", *options.get("required", [])],
        "additionalProperties": False,
    }
