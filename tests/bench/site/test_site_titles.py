"""What a site calls its boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.site.titles import titles


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ([("a", "x"), ("b", "y")], ("a", "b")),
        ([("a", "x"), ("A", "y.zip")], ("x", "y")),  # file systems may not tell A from a
        ([("a", "p/x"), ("a", "q/x"), ("a", "r/x")], ("x", "x (2)", "x (3)")),
        ([("a", "x"), ("a", "b"), ("b", "y")], ("x", "b (2)", "b")),  # a board's own name goes first
        ([("a/b", "x"), ("a.b", "y")], ("a/b", "a.b")),
        ([("", "x")], ("x",)),
    ],
)
def test_no_two_titles_are_alike(given: list[tuple[str, str]], called: tuple[str, ...]) -> None:
    assert titles([(name, Path(path)) for name, path in given]) == called
    assert len({title.casefold() for title in called}) == len(given)
