"""Checks what a comparison reads of ``leaderboard.json`` before any of it is used: a board may be anybody's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from bench.compare.board_parts import BoardParts, TrialPart
from bench.compare.printable import printable
from bench.errors import InputError

SHOWN = 20
"""Problems that are listed; a file of another kind has thousands."""


def check_content(side: str, folder: Path, payload: Mapping[str, Any]) -> None:
    """Nothing, if every part that a comparison reads is there and of its kind.

    Raises:
        InputError: every place where something is missing or of another kind, or named twice.
    """
    path = folder / "leaderboard.json"
    try:
        json.dumps(payload, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{side}, {path}: expected text, got half of a surrogate pair, which is no character: {error.reason}"
        ) from error
    try:
        board = BoardParts.model_validate(dict(payload))
    except ValidationError as error:
        found = [f"{_place(each['loc'])}: {printable(each['msg'])}" for each in error.errors(include_input=False)]
        more = [f"and {len(found) - SHOWN} more of this kind"] if len(found) > SHOWN else []
        raise InputError(
            f"{side}, {path}: expected the parts of a board; write it again with `bench board`:\n  "
            + "\n  ".join(found[:SHOWN] + more)
        ) from error
    trials = cast(list[TrialPart], board.trials)
    places = [
        *_twice("row", ((r.dataset, r.target, r.defense) for r in board.leaderboard)),
        *_twice("attack", ((a.dataset, a.target, a.defense, a.attack) for a in board.attacks)),
        *_twice("training run", ((t.dataset, t.target, t.defense, t.seed) for t in trials)),
        *_twice("cell", ((a.dataset, a.target, a.defense, a.attack, c.seed) for a in board.attacks for c in a.cells)),
    ]
    if places:
        raise InputError([f"{side}, {path}: {each}: write the board again" for each in places[:SHOWN]])


def _twice(what: str, names: Iterable[tuple[str | int, ...]]) -> list[str]:
    seen: set[tuple[str | int, ...]] = set()
    found = []
    for name in names:
        if name in seen:
            found.append(f"expected each {what} once, got {' / '.join(map(str, name))} twice")
        seen.add(name)
    return found


def _place(location: tuple[int | str, ...]) -> str:
    """``trials[3].kid`` for a location."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return printable(text.removeprefix(".")) or "the whole file"
