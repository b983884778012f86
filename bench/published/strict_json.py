"""Reads JSON as the standard has it: no NaN, no key twice, no endless nesting, no characters that steer a terminal."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import InputError
from bench.published.limits import MAX_DEPTH, MAX_JSON, MAX_VALUES

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""C0 and C1 control characters, and halves of surrogate pairs, which no UTF-8 can hold."""

IN_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # texts have lines and tabs
_MARKS = b'"[]{},'
_STEPS = bytes(1 if mark in b"[{" else 255 if mark in b"]}" else 0 for mark in range(256))  # 255 is -1 as int8
_OTHERS = bytes(set(range(256)) - set(_MARKS))


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it is not JSON, larger than ``MAX_JSON``, or as ``parse_json`` says.
    """
    try:
        if (size := path.stat().st_size) > MAX_JSON:
            raise InputError(f"expected at most {MAX_JSON} bytes of JSON, got {size}")
        return parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: expected JSON, which cannot be read: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse_json(content: bytes) -> Any:
    """The value that ``content`` is the JSON of.

    >>> parse_json(b'{"auc": 0.5}')
    {'auc': 0.5}

    Raises:
        InputError: it is not JSON, holds a number beyond what a float can, a key twice, more than ``MAX_VALUES``
            values, or control characters (texts may have newlines and tabs), or is nested deeper than ``MAX_DEPTH``.
    """
    _check_marks(content)
    try:
        value = json.loads(
            content.decode("utf-8"),
            parse_constant=_not_finite,
            parse_float=_number,
            parse_int=_integer,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON, got something else: {error}") from error
    _check_texts(value)
    return value


def _check_marks(content: bytes) -> None:
    """Nesting and number of values, without building anything, in time and memory linear in the bytes."""
    # Without escapes each quote opens or closes a string; after an unclosed one the parser stops, and so may we.
    bare = content.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHERS)
    marks = np.frombuffer(bare, dtype=np.uint8)
    marks = marks[np.bitwise_xor.accumulate(marks == ord('"')) == 0]
    steps = np.frombuffer(marks.tobytes().translate(_STEPS), dtype=np.int8)
    values = 1 + int(np.count_nonzero(steps > 0)) + int(np.count_nonzero(marks == ord(",")))
    if values > MAX_VALUES:
        raise InputError(f"expected JSON of at most {MAX_VALUES} values, got {values}: refused before reading it")
    depth = int(np.cumsum(steps, dtype=np.int32).max(initial=0))
    if depth > MAX_DEPTH:
        raise InputError(
            f"expected JSON nested at most {MAX_DEPTH} deep, got {depth} levels: refused before reading it"
        )


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        if found := IN_TEXT.search(value):
            raise InputError(f"expected printable text, got {found.group()!r} in {_around(value, found.start())}")
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if found := CONTROL.search(key):
                raise InputError(f"expected printable keys, got {found.group()!r} in {_around(key, found.start())}")
            _check_texts(item)


def _around(text: str, place: int) -> str:
    return ascii(text[max(0, place - 20) : place + 20])


def _not_finite(word: str) -> Any:
    raise InputError(
        f"expected finite numbers, got {word[:40]}: what was not measured is null, a NaN or infinity is an error"
    )


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _not_finite(text)
    return value


def _integer(text: str) -> int:
    value = int(text)
    if abs(value) > sys.float_info.max:
        _not_finite(text)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = sorted(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
        raise InputError(f"expected each key once, got {', '.join(map(ascii, twice[:5]))}{more} twice in one object")
    return made
