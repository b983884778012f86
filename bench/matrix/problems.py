"""Pydantic's complaints in plain words: what was expected, what came, and the nearest known key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bench.matrix.model import FILE_PATTERN, NAME_PATTERN
from bench.matrix.yaml_lines import Document, Path
from bench.registry import did_you_mean

_PATTERNS = {
    NAME_PATTERN: "letters, digits, '.', '_' and '-', not starting with '.'",
    FILE_PATTERN: "the path of a file, such as members.npz",
}

# pydantic's error type -> what was expected, from the error's context; all else keeps pydantic's own message
_EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda c: "a whole number",
    "int_from_float": lambda c: "a whole number",
    "int_parsing": lambda c: "a whole number",
    "float_type": lambda c: "a number",
    "float_parsing": lambda c: "a number",
    "finite_number": lambda c: "a finite number",
    "string_type": lambda c: "a text",
    "bool_type": lambda c: "true or false",
    "bool_parsing": lambda c: "true or false",
    "none_required": lambda c: "null",
    "list_type": lambda c: "a list",
    "tuple_type": lambda c: "a list",
    "set_type": lambda c: "a list",
    "dict_type": lambda c: "a mapping",
    "model_type": lambda c: "a mapping",
    "model_attributes_type": lambda c: "a mapping",
    "greater_than": lambda c: f"a number above {c['gt']}",
    "greater_than_equal": lambda c: f"a number of at least {c['ge']}",
    "less_than": lambda c: f"a number below {c['lt']}",
    "less_than_equal": lambda c: f"a number of at most {c['le']}",
    "multiple_of": lambda c: f"a multiple of {c['multiple_of']}",
    "literal_error": lambda c: f"{c['expected']}",
    "enum": lambda c: f"{c['expected']}",
    "too_short": lambda c: f"a list of at least {c['min_length']}",
    "too_long": lambda c: f"a list of at most {c['max_length']}",
    "string_too_short": lambda c: f"a text of at least {c['min_length']} characters",
    "string_too_long": lambda c: f"a text of at most {c['max_length']} characters",
    "string_pattern_mismatch": lambda c: _PATTERNS.get(c["pattern"], f"a text that matches {c['pattern']}"),
}


class Problems:
    """Collects what is wrong with a file, each with its line.

    Args:
        source: the file's name, as shown.
        document: where each value stands.
    """

    def __init__(self, source: str, document: Document) -> None:
        self.source = source
        self.document = document
        self.found: list[tuple[int, str]] = list(document.problems)

    def add(self, path: Path, message: str) -> None:
        """Record a problem at ``path``."""
        self.found.append((self.document.line(path), f"{show(path)}: {message}" if path else message))

    def add_validation(self, error: ValidationError, at: Path, models: Sequence[type[BaseModel]], what: str) -> None:
        """Record a validation error, one problem per place.

        Args:
            error: what pydantic found.
            at: the path of the validated value.
            models: the models whose keys may stand at ``at``, for suggestions.
            what: what has these keys, such as ``the matrix`` or ``target 'dcgan'``.
        """
        expected: dict[Path, list[str]] = {}
        values: dict[Path, Any] = {}
        for item in error.errors(include_url=False):
            place = (*at, *item["loc"])
            key = item["loc"][-1] if item["loc"] else ""
            if item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"]:
                continue  # pydantic counts valid items only, and has reported those that are not
            if item["type"] == "extra_forbidden":
                owners = [m for model in models for m in _models_at(model, item["loc"][:-1])]
                known = [name for owner in owners for name in owner.model_fields]
                of = what if len(item["loc"]) == 1 else show((*at, *item["loc"][:-1]))
                listed = ", ".join(known) or "none"
                self.add(place, f"expected a key of {of} ({listed}), got {key!r}{did_you_mean(str(key), known)}")
            elif item["type"] == "missing":
                of = f" of {what}" if len(item["loc"]) == 1 else ""
                self.add(self.document.known(place[:-1]), f"expected the key {key!r}{of}, got none")
            elif item["type"] in _EXPECTED:
                seen = self.document.known(place)  # without the names of a union's alternatives
                values[seen] = item["input"]
                wanted = _EXPECTED[item["type"]](item.get("ctx", {}))
                if wanted not in expected.setdefault(seen, []):
                    expected[seen].append(wanted)
            else:
                self.add(self.document.known(place), _sentence(item["msg"], item["input"]))
        for place, words in expected.items():
            self.add(place, f"expected {' or '.join(words)}, got {_quote(values[place], words)}")

    def messages(self) -> list[str]:
        """All problems as ``file:line: message``, in the order of the file, none twice."""
        return [f"{self.source}:{line}: {message}" for line, message in sorted(dict.fromkeys(self.found))]


def show(path: Path) -> str:
    """A path as a reader would write it.

    >>> show(("targets", 1, "width"))
    'targets[1].width'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _models_at(model: type[BaseModel], path: Sequence[str | int]) -> Iterator[type[BaseModel]]:
    """The models that may stand at ``path`` inside ``model``."""
    if not path:
        yield model
        return
    if path[0] in model.model_fields:
        for inner in _models_in(model.model_fields[str(path[0])].annotation):
            # indices and the names of alternatives may stand between a field and the keys of its model
            for skipped in range(1, len(path) + 1):
                yield from _models_at(inner, path[skipped:])


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _sentence(message: str, value: Any) -> str:
    text = re.sub(r"^(Value error|Assertion failed), ", "", message)
    return text if "got" in text else f"{text}, got {_quote(value, [])}"


def _quote(value: Any, expected: Sequence[str]) -> str:
    """``value`` as it would be written in the file, with what to change where that is plain."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, dict):
        return f"a mapping of {', '.join(map(str, value)) or 'no keys'}"
    elif isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    else:
        text = repr(value)
    if expected and set(expected) == {"a text"}:
        return f"{text}: put it in quotes"
    if expected == ["true or false"] and isinstance(value, str):
        return f"{text}: write true or false, in lower case and without quotes"
    return text
