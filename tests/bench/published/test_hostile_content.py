"""Small files that would take a reader's time, memory or terminal, each refused with a message."""

from __future__ import annotations

import io
import json
import signal
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.errors import InputError
from bench.published import kinds, npz, strict_json
from bench.published.npz import read_npz
from bench.published.read import Published
from bench.published.strict_json import parse_json, read_json


def test_strings_of_any_length_cost_little_more_than_their_bytes() -> None:
    content = b'"' + b"a" * 4_000_000 + b'"'
    tracemalloc.start()
    try:
        assert len(parse_json(content)) == 4_000_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(content)  # a pattern that keeps a way back for each character takes 130 times


@pytest.fixture
def limited() -> Iterator[None]:
    """What takes quadratic time fails after 20 s of CPU; in linear time it takes a tenth of one."""

    def stop(*_: object) -> None:
        raise TimeoutError("more than linear time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 20)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'"' + b'\\"' * 500_000, "Unterminated string"),
        (b"{" + b",".join(b'"k%d":0,"k%d":1' % (i, i) for i in range(100_000)) + b"}", "expected each key once, got "),
    ],
    ids=["unclosed", "keys"],
)
def test_what_took_quadratic_time(content: bytes, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        parse_json(content)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", [r"\\", r"\"", r"\\\"", r"[\\[\"[", r"]]]}", "", r"\\\\"], ids=lambda text: repr(text))
def test_escapes_and_brackets_in_strings(text: str) -> None:
    """Nesting is that of the brackets outside of strings, whatever stands in them."""
    inner = f'{{"{text}": ["{text}"]}}'
    content = "[" * 30 + inner + "]" * 30
    assert parse_json(content.encode()) == json.loads(content)
    with pytest.raises(InputError, match="nested at most 32 deep, got 33 levels"):
        parse_json(f"[{content}]".encode())


def test_how_much_json_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "MAX_VALUES", 4)
    assert parse_json(b'[1, 2, ",,,,"]') == [1, 2, ",,,,"]
    with pytest.raises(InputError, match="expected JSON of at most 4 values, got 5: refused before reading it"):
        parse_json(b"[1, 2, 3, 4]")
    path = tmp_path / "a.json"
    path.write_bytes(b"[1, 2]")
    monkeypatch.setattr(strict_json, "MAX_JSON", 5)
    with pytest.raises(InputError, match=r"a\.json: expected at most 5 bytes of JSON, got 6"):
        read_json(path)
    (tmp_path / "a.csv").write_bytes(b"a,b,c\n")
    monkeypatch.setattr(kinds, "MAX_JSON", 5)
    with pytest.raises(InputError, match=r"a\.csv: expected a CSV table of at most 5 bytes, got 6"):
        kinds.check_content(tmp_path / "a.csv")


@pytest.mark.parametrize("bad", ["\0", "\x07", "\x1b", "\x0b", "\r", "\x7f", "\x80", "\x9b", "\ud800"])
def test_characters_that_steer_a_terminal_or_cannot_be_written(bad: str) -> None:
    for content in (json.dumps({"a": [f"x{bad}y"]}), json.dumps(f"x{bad}y")):
        with pytest.raises(InputError, match=r"expected printable text, got '.*' in '.*'"):
            parse_json(content.encode())
    with pytest.raises(InputError, match=r"expected printable keys, got"):
        parse_json(json.dumps([{f"x{bad}y": 1}]).encode())
    with pytest.raises(InputError, match="expected a printable file name, got"):
        Published(Path(), {}).arrays(f"scores/{bad}.npz")


def test_texts_have_lines_and_tabs_and_keys_do_not() -> None:
    assert parse_json(rb'"a\n\tb \u00e9 \ud83d\ude00"') == "a\n\tb \xe9 \U0001f600"
    with pytest.raises(InputError, match=r"expected printable keys, got '\\n'"):
        parse_json(rb'{"a\n": 1}')


def test_integers_beyond_any_float() -> None:
    assert parse_json(b"[123456789012345678901234567890]") == [123456789012345678901234567890]
    with pytest.raises(InputError, match="expected finite numbers, got 1000"):
        parse_json(b"[1" + b"0" * 400 + b"]")


def headed(folder: Path, header: str, name: str = "a.npy") -> Path:
    path = folder / "a.npz"
    text = header.encode() + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(8))
    return path


SHAPED = "{{'descr': '<f8', 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (SHAPED.format("(True,)"), r"expected whole lengths of at most \d+, got shape \(True,\)"),
        (SHAPED.format(f"(0, {2**70})"), "expected whole lengths of at most"),
        (SHAPED.format("(1.0,)"), "header of a plain array, which cannot be read|expected whole lengths"),
        ("{'descr': '<f8', 'shape': (", "expected the header of a plain array, which cannot be read"),
        ("~" * 9_900 + "1", "expected the header of a plain array, which cannot be read"),
        ("~" * 10_000 + "1", "expected the header of a plain array, which cannot be read"),
        ("(" * 5_000, "expected the header of a plain array, which cannot be read"),
        (SHAPED.format("(1,)") + " " * 60_000, "expected the header of a plain array, which cannot be read"),
    ],
    ids=["bool", "huge", "float", "unclosed", "deep", "deeper", "brackets", "long"],
)
def test_headers_that_break_their_parser(tmp_path: Path, header: str, match: str) -> None:
    with pytest.raises(InputError, match=rf"a\.npz: a\.npy: .*({match})"):
        read_npz(headed(tmp_path, header))


def test_arrays_together_and_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(10), b=np.ones(10))
    assert read_npz(path).keys() == {"a", "b"}
    monkeypatch.setattr(npz, "MAX_ARRAY_TOTAL", 400)
    with pytest.raises(InputError, match=r"expected arrays of at most 400 bytes together, got 416: a zip bomb"):
        read_npz(path)
    with pytest.raises(InputError, match=r"expected arrays \(\.npy\) only in an npz, got 'a\\x1b"):
        read_npz(headed(tmp_path, SHAPED.format("(1,)"), "a\x1b[2J.npy"))


def test_an_npz_with_a_directory_of_many_names(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for index in range(100):
            made.writestr(f"{index}.npy", b"")
    (tmp_path / "a.npz").write_bytes(out.getvalue())
    with pytest.raises(InputError, match="expected at most 64 files in an npz of plain arrays, got 100"):
        read_npz(tmp_path / "a.npz")
