"""YAML without surprises, and the line on which each value stands.

PyYAML follows YAML 1.1, where ``off`` is a boolean, ``1e-5`` a word, ``010`` eight and ``1:30`` ninety, and
of a key given twice it keeps the last. Here only PyYAML's parser is used: plain scalars are ``true``,
``false``, ``null``, decimal numbers, or words, and nothing else; no tag constructs an object.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from bench.errors import InputError

Path = tuple[str | int, ...]
Value = dict[str, "Value"] | list["Value"] | str | int | float | bool | None

DEEPEST = 20  # levels of nesting: far beyond any matrix, far below Python's recursion limit

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NOT_ZERO = re.compile(r"[-+0.]*[1-9]")


@dataclass
class Document:
    """A parsed file.

    Attributes:
        data: mappings, lists, words, numbers, booleans and None.
        lines: from a path of keys and indices to the line (from 1) of its key or list item.
        problems: ``(line, message)`` of everything that was understood but is not allowed.
    """

    data: Value = None
    lines: dict[Path, int] = field(default_factory=lambda: {(): 1})
    problems: list[tuple[int, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of ``path``, or of what is around it; steps that are not in the file are skipped."""
        return self.lines[self.known(path)]

    def known(self, path: Path) -> Path:
        """``path`` without the steps that are not in the file."""
        known: Path = ()
        for step in path:
            if (*known, step) in self.lines:
                known = (*known, step)
        return known


def parse_yaml(text: str, source: str) -> Document:
    """Parse ``text``; ``source`` names the file in messages.

    Raises:
        InputError: the text is not YAML, or nested deeper than 20 levels; with line and column.
    """
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd:
        line, column = text.count("\n", 0, odd.start()) + 1, odd.start() - text.rfind("\n", 0, odd.start())
        raise InputError(f"{source}:{line}:{column}: expected printable text, got {odd.group()!r}")
    try:
        return _Reader(text, source).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InputError(f"{source}:{line}:{column}: {_explain(error, text, line)}") from error


def resolve(word: str) -> Value:
    """What a plain, unquoted scalar means.

    >>> [resolve(word) for word in ("1e-5", "off", "010", "1:30", "2024-01-01", "true", "7", ".5")]
    [1e-05, 'off', '010', '1:30', '2024-01-01', True, 7, 0.5]
    """
    if word in _WORDS:
        return _WORDS[word]
    if _INT.fullmatch(word):
        return int(word) if len(word) <= 20 else float(word)  # beyond 64 bits nothing is counted
    return float(word) if _FLOAT.fullmatch(word) else word


class _Reader:
    """Builds a document from the parser's events."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.events: Iterator[Any] = yaml.parse(text, Loader=_PARSER)
        self.result = Document()

    def document(self) -> Document:
        next(self.events)  # the stream's start
        if not isinstance(next(self.events), yaml.StreamEndEvent):  # else the document's start
            self.result.data = self._value((), next(self.events))
            next(self.events)  # the document's end
            event = next(self.events)
            if not isinstance(event, yaml.StreamEndEvent):
                self._problem(event, "expected one document, got a second one after '---': use two files")
        return self.result

    def _value(self, path: Path, event: Any) -> Value:
        if len(path) > DEEPEST:
            place = f"{self.source}:{_line(event)}:{event.start_mark.column + 1}"
            raise InputError(f"{place}: expected at most {DEEPEST} levels of nesting")
        if isinstance(event, yaml.AliasEvent):
            self._problem(event, f"aliases are not supported, got *{event.anchor}: write the value out")
            return None
        if event.anchor is not None:
            self._problem(event, f"anchors are not supported, got &{event.anchor}: write the value out")
        if event.tag is not None:
            self._problem(event, f"tags are not supported, got {event.tag!r}: write the plain value")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event)

    def _mapping(self, path: Path) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while not isinstance(key := next(self.events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                self._value((*path, ""), key)  # read on to its end: the rest is to be checked too
                self._value((*path, ""), next(self.events))
                self._problem(key, "expected a word as key, got a mapping, a list or an alias")
                continue
            if key.anchor is not None or key.tag is not None:
                self._problem(key, f"anchors and tags are not supported, got one on the key {key.value!r}")
            place = (*path, key.value)
            if key.value in found:
                first = self.result.lines[place]
                self._problem(key, f"expected each key once, got {key.value!r} again (first on line {first})")
                place = (*path, "", key.value)  # keeps the first one's lines
                self._value(place, next(self.events))
                continue
            self.result.lines[place] = _line(key)
            found[key.value] = self._value(place, next(self.events))
        return found

    def _sequence(self, path: Path) -> list[Value]:
        found: list[Value] = []
        while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
            place = (*path, len(found))
            self.result.lines[place] = _line(item)
            found.append(self._value(place, item))
        return found

    def _scalar(self, event: Any) -> Value:
        if event.tag is not None or not event.implicit[0]:
            return str(event.value)
        value = resolve(event.value)
        if isinstance(value, float) and (math.isinf(value) or (value == 0 and _NOT_ZERO.match(event.value))):
            self._problem(event, f"expected a number between 5e-324 and 1.8e308 in size, got {event.value}")
        return value

    def _problem(self, event: Any, message: str) -> None:
        self.result.problems.append((_line(event), message))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _explain(error: yaml.MarkedYAMLError, text: str, line: int) -> str:
    """The parser's complaint, and for the commonest causes what to write instead."""
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    if "\t" in here[: len(here) - len(here.lstrip())]:
        return "expected spaces as indentation, got a tab"
    context = f" {error.context}" if error.context else ""
    advice = ": put text that contains ': ' in quotes" if "mapping values" in str(error.problem) else ""
    return f"not valid YAML{context}: {error.problem}{advice}"
