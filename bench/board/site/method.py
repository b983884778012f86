"""The page of the method: what was asked, how to read each figure, and what each board was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.board.audit_words import MEMBERSHIP
from bench.board.controls import EXPECTED
from bench.board.flags import EXPLANATIONS
from bench.board.payload import split_file
from bench.board.site.control_table import control_table
from bench.board.site.entry import Entry
from bench.board.site.environment import render
from bench.board.site.idle import idle
from bench.board.site.links import METHOD, anchor, downloads
from bench.board.site.meanings import MEANINGS
from bench.board.site.threat import ACCESS, KNOWLEDGE, access_name
from bench.results import Results


def page(entries: Sequence[Entry], name: str) -> str:
    """``method.html``."""
    return render(
        "method.html.j2",
        name=name,
        root="",
        here=METHOD,
        access=[(access_name(level), text) for level, text in ACCESS.items()],
        knowledge=list(KNOWLEDGE.items()),
        meanings=MEANINGS,
        flags=EXPLANATIONS,
        expected=EXPECTED,
        boards=[_board(entry) for entry in entries],
    )


def _board(entry: Entry) -> dict[str, Any]:
    results = entry.board.results
    return {
        "title": entry.title,
        "id": anchor(entry.title),
        "entry": entry,
        "files": downloads(entry),
        "measures": entry.board.measures,
        "controls": control_table(entry.board),
        "idle": idle(entry.board),
        "data": [_dataset(dataset, entry) for dataset in _datasets(results)],
        "plugins": _plugins(results),
        "settings": [(key, _value(value)) for key, value in results.settings.items() if key != "configurations"],
        "matrix": results.matrix_text,
        "stamp": [(str(key), _value(value)) for key, value in results.stamp.items() if key != "sources"],
    }


def _datasets(results: Results) -> list[str]:
    return list(dict.fromkeys([*results.splits, *results.fingerprints]))


def _dataset(dataset: str, entry: Entry) -> dict[str, Any]:
    results = entry.board.results
    duplicates = results.duplicates.get(dataset)
    return {
        "name": dataset,
        "fingerprint": results.fingerprints.get(dataset, ""),
        "duplicates": "not counted" if duplicates is None else f"{duplicates:,}",
        "membership": MEMBERSHIP.get(results.membership.get(dataset, ""), ""),
        "splits": [
            {
                "name": split,
                "size": f"{len(ids):,}",
                "file": None if entry.without_records else entry.files + split_file(dataset, split),
            }
            for split, ids in results.splits.get(dataset, {}).items()
        ],
    }


def _plugins(results: Results) -> list[dict[str, Any]]:
    """Every data set, target, defense and attack that tables name: options, and what its parts say of themselves."""
    configured = results.settings.get("configurations", {})
    found = []
    for kind in dict.fromkeys([*results.plugins, *configured]):
        described, specs = results.plugins.get(kind, {}), configured.get(kind, {})
        found += [
            {
                "kind": kind.removesuffix("s"),
                "name": label,
                "options": [_options(spec) for spec in specs.get(label, [])],
                "parts": described.get(label, []),
            }
            for label in dict.fromkeys([*described, *specs])
        ]
    return found


def _options(spec: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {_value(value)}" for key, value in spec.items() if key != "name") or "no options"


def _value(value: Any) -> str:
    """A setting for people.

    >>> _value({"a": [1, 2]}), _value(None), _value(True)
    ('a: 1, 2', 'none', 'yes')
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_value(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)
