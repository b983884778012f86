"""Boards that are not what they should be: one message, never a traceback, whatever stands anywhere in them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from planted_comparison import Planted, Row, board, changed

from bench.compare.render_json import render_json
from bench.compare.render_junit import render_junit
from bench.compare.render_md import render_md
from bench.compare.render_text import render_text
from bench.compare.run import compare_boards
from bench.errors import BenchError, InputError


def make(draw: int = 0) -> Planted:
    return changed(board({"none": Row(0.9)}, range(2), draw, 30, 40, attacks=("nearest_sample",)))


BASE = make()
WRONG: tuple[Any, ...] = (None, True, "abc", "\x1b[31m\x00", "\ud800", -1, 10**400, 1e308, [], [1], {}, {"a": 1})


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in parts:
        yield from leaves(each, (*path, key))


def spoiled(path: tuple[str | int, ...], value: Any) -> Planted:
    new = make(1)
    at: Any = new.payload
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = copy.deepcopy(value)
    return new


def test_anything_anywhere_is_read_or_refused() -> None:
    """Every place of the payload with every wrong value: a comparison in every format, or an error that says so."""
    outcomes = {"compared": 0, "refused": 0}
    for path in leaves(make().payload):
        for value in WRONG:
            try:
                found = compare_boards(BASE, spoiled(path, value), ["kid:+5%,auc_latent:+0.02,epsilon_claimed:+0"])
                for text in (render_text(found), render_md(found), render_junit(found), render_json(found)):
                    text.encode("utf-8")
                outcomes["compared"] += 1
            except BenchError as error:
                str(error).encode("utf-8")
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 100, outcomes


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("trials", 0, "seed"), "x", r"trials\[0\].seed: Input should be a valid integer"),
        (("leaderboard", 0, "diverged_runs"), "abc", r"leaderboard\[0\].diverged_runs"),
        (("attacks", 0, "cells"), None, r"attacks\[0\].cells"),
        (("attacks", 0, "cells", 0, "scores"), None, "expected the file of the scores"),
        (("attacks", 0, "cells", 0, "scores"), "x" * 300, "at most 255"),
        (("attacks", 0, "cells", 1, "seed"), 0, "expected each cell once"),
        (("faults",), [1], r"faults\[0\]"),
        (("settings",), [], "settings"),
        (("stamp",), [], "stamp"),
        (("datasets",), [], "datasets"),
        (("trials", 0, "kid"), 10**400, r"trials\[0\].kid"),
        (("trials", 0, "kid"), 1e200, "expected a finite figure"),
        (("trials", 0, "kid_low"), "a", r"trials\[0\].kid_low"),
        (("trials", 0, "artifacts"), None, r"trials\[0\].artifacts"),
        (("trials", 1, "seed"), 0, "expected each training run once"),
        (("leaderboard", 0, "status"), None, r"leaderboard\[0\].status"),
        (("leaderboard", 0, "defense"), "a\x00b", "without control characters"),
        (("leaderboard", 0, "reason"), "\ud800", "surrogate"),
        (("settings", "configurations", "attacks", "nearest_sample"), ["a"], "valid dictionary"),
    ],
)
def test_what_is_wrong_is_said(path: tuple[str | int, ...], value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        compare_boards(BASE, spoiled(path, value))
    assert "NEW, " in str(raised.value)
    assert "\x00" not in str(raised.value)
