"""Bundles that nobody should open, each refused with a message of its own, before anything of it is read or run."""

from __future__ import annotations

import io
import pickle
import re
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.errors import InputError, MissingError
from bench.published import archive, limits, npz
from bench.published.archive import unpack
from bench.published.npz import read_npz
from bench.published.open import open_results
from bench.published.read import read_published
from bench.published.strict_json import parse_json, read_json

BOARD = b'{"format": 2}'


class Bomb:
    """A pickle that would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def packed(*files: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files:
            made.writestr(name, content)
    return out.getvalue()


def bundle(folder: Path, *files: tuple[str | zipfile.ZipInfo, bytes], board: bool = True) -> Path:
    path = folder / "b.zip"
    path.write_bytes(packed(*(("leaderboard.json", BOARD),) * board, *files))
    return path


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


def renamed(path: Path, old: bytes, new: bytes) -> None:
    """Put a name into a zip that the library would clean."""
    assert len(old) == len(new)
    path.write_bytes(path.read_bytes().replace(old, new))


def test_a_plain_bundle_is_opened_and_gone_afterwards(tmp_path: Path) -> None:
    scores = io.BytesIO()
    np.savez_compressed(scores, score=np.arange(3.0))
    picture = b"\x89PNG\r\n\x1a\n..."
    header = b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    tensors = struct.pack("<Q", len(header)) + header + b"\0" * 4
    path = bundle(
        tmp_path,
        ("scores/a.npz", scores.getvalue()), ("a.csv", b"x\n1\n"), ("plots/p.png", picture), ("w.safetensors", tensors),
    )  # fmt: skip
    with open_results(path) as published:
        folder = published.folder
        assert published.payload == {"format": 2}
        np.testing.assert_array_equal(published.arrays("scores/a.npz")["score"], np.arange(3.0))
        assert (folder / "plots" / "p.png").read_bytes() == picture
    assert not folder.exists()


def test_a_folder_is_read_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.json").write_bytes(BOARD)
    with open_results(tmp_path) as published:
        assert published.folder == tmp_path


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="found nothing there"), open_results(tmp_path / "x.zip"):
        pass
    with pytest.raises(MissingError, match=r"found no leaderboard\.json"), open_results(tmp_path):
        pass
    with (
        pytest.raises(MissingError, match=r"found no leaderboard\.json"),
        open_results(bundle(tmp_path, ("a.csv", b""), board=False)),
    ):
        pass
    (tmp_path / "a.tar").write_bytes(b"x")
    with pytest.raises(InputError, match=r"or a bundle \(\.zip\), got another file"), open_results(tmp_path / "a.tar"):
        pass


LINK, DEVICE, FOLDER = stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o600, stat.S_IFDIR | 0o755

REFUSED: list[tuple[str, str | zipfile.ZipInfo, bytes, str]] = [
    ("pickle", "model.pkl", b"x", r"'model\.pkl': expected no pickles, got a \.pkl file: opening one can run any code"),
    ("torch", "weights/model.PT", b"x", r"expected no pickles, got a \.pt file"),
    ("joblib", "m.joblib", b"x", r"expected no pickles, got a \.joblib file"),
    ("page", "index.html", b"<p>", r"'index\.html': expected files of the kinds \.json, .* only, got '\.html'"),
    ("program", "setup.py", b"", r"only, got '\.py'"),
    ("nothing", "README", b"", "only, got 'none'"),
    ("nested", "more.zip", b"x", r"'more\.zip': expected no archive inside the bundle"),
    ("tar", "more.tar.gz", b"x", r"expected no archive inside the bundle, got a \.gz file"),
    ("up", "../up.json", b"{}", r"'\.\./up\.json': expected a name inside the bundle, got '\.\.'"),
    ("up inside", "scores/../../up.json", b"{}", r"got '\.\.', which leaves its folder"),
    ("absolute", "/etc/up.json", b"{}", "got an absolute path"),
    ("drive", "C:/up.json", b"{}", "got an absolute path"),
    ("hidden", ".ssh/up.json", b"{}", "expected a name of letters, digits"),
    ("empty part", "a//b.json", b"{}", "expected a name of letters, digits"),
    ("long", "a" * 300 + ".json", b"{}", "expected a name of letters, digits"),
    ("link", entry("l.json", LINK), b"/etc/passwd", r"'l\.json': expected a plain file, got a symbolic link"),
    ("device", entry("d.json", DEVICE), b"", r"got a folder or special entry \(mode 20000\)"),
    ("folder", entry("plots/", FOLDER), b"", r"got a folder or special entry \(mode 40000\)"),
    ("no JSON", "a.json", b"\x80\x04pickle", r"a\.json: expected JSON, got something else"),
    ("nan", "a.json", b'{"auc": NaN}', r"a\.json: expected finite numbers, got NaN"),
    ("infinity", "a.json", b"[-Infinity]", "expected finite numbers, got -Infinity"),
    ("too large", "a.json", b"[1e999]", "expected finite numbers, got 1e999"),
    (
        "deep",
        "a.json",
        b"[" * 100_000,
        "expected JSON nested at most 32 deep, got 100000 levels: refused before reading",
    ),
    ("key twice", "a.json", b'{"auc": 1, "auc": 0}', "expected each key once, got 'auc' twice"),
    ("no CSV", "a.csv", b"\xff\xfe\x00", r"a\.csv: expected a CSV table in UTF-8"),
    ("NUL in CSV", "a.csv", b"a\0b", "expected a CSV table, got NUL bytes"),
    ("no PNG", "plots/a.png", b"MZ", r"plots/a\.png: expected a PNG picture"),
    ("no safetensors", "a.safetensors", b"x", "expected a safetensors file, got a header that is longer"),
    ("long header", "a.safetensors", struct.pack("<Q", 1 << 40) + b"{}", "got a header that is longer than the file"),
    ("odd header", "a.safetensors", struct.pack("<Q", 2) + b"[]", "got a header that is no object"),
    ("bad header", "a.safetensors", struct.pack("<Q", 2) + b"xx", "expected a safetensors file: expected JSON"),
    (
        "no npz",
        "scores/a.npz",
        pickle.dumps([1]),
        r"scores/a\.npz: expected an npz of plain arrays, got another file",
    ),
]


@pytest.mark.parametrize(("name", "content", "match"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_each_danger_is_refused(tmp_path: Path, name: str | zipfile.ZipInfo, content: bytes, match: str) -> None:
    before = set(Path(tempfile.gettempdir()).glob("bundle-*"))
    with pytest.raises(InputError, match=match), open_results(bundle(tmp_path, (name, content))):
        pass
    assert set(Path(tempfile.gettempdir()).glob("bundle-*")) <= before
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_nothing_is_written_when_any_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    path = bundle(tmp_path, ("../up.json", b"{}"), ("m.pkl", b""), ("x.html", b""))
    with pytest.raises(InputError) as refused:
        unpack(path, tmp_path / "to")
    assert len(refused.value.problems) == 3  # all of them are told at once
    assert not list((tmp_path / "to").iterdir())


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"a_b.json", b"a\\b.json", "got backslashes, which leave the folder"),
        (b"a_b.json", b"a\0b.json", "got one with a NUL byte"),
    ],
)
def test_names_that_the_library_would_clean(tmp_path: Path, old: bytes, new: bytes, match: str) -> None:
    path = bundle(tmp_path, ("a_b.json", b"{}"))
    renamed(path, old, new)
    with pytest.raises(InputError, match=match), open_results(path):
        pass


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("one", "other"), [("a.json", "a.json"), ("a.json", "A.json")])
def test_a_name_twice(tmp_path: Path, one: str, other: str) -> None:
    path = bundle(tmp_path, (one, b"{}"), (other, b"[]"))
    with pytest.raises(InputError, match=f"expected each file once, got '{other}' beside '{one}'"), open_results(path):
        pass


def test_encrypted_and_oddly_packed_entries(tmp_path: Path) -> None:
    path = bundle(tmp_path)
    content = bytearray(path.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"'leaderboard\.json': .* got an encrypted one"), open_results(path):
        pass
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as made:
        made.writestr("leaderboard.json", BOARD)
    with pytest.raises(InputError, match="expected a stored or deflated file, got method 14"), open_results(path):
        pass


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle(tmp_path, ("a.csv", b"0" * (limits.RATIO_FROM + 1)))
    with pytest.raises(InputError, match=r"'a\.csv': expected a file packed at most 200 times, .* a zip bomb"):
        unpack(path, tmp_path)
    monkeypatch.setattr(archive, "MAX_FILE", 1000)
    path = bundle(tmp_path, ("a.csv", b"0" * 1001))
    with pytest.raises(InputError, match=r"'a\.csv': expected at most 1000 bytes unpacked, got 1001: a zip bomb"):
        unpack(path, tmp_path)
    monkeypatch.setattr(archive, "MAX_TOTAL", 1500)
    path = bundle(tmp_path, ("a.csv", b"0" * 900), ("b.csv", b"0" * 900))
    with pytest.raises(InputError, match=r"expected at most 1500 bytes unpacked, got 1813: a zip bomb"):
        unpack(path, tmp_path)
    monkeypatch.setattr(archive, "MAX_ENTRIES", 2)
    with pytest.raises(InputError, match=r"expected at most 2 files in a bundle, as .* writes it, got 3"):
        unpack(path, tmp_path)
    monkeypatch.setattr(archive, "MAX_BUNDLE", 100)
    with pytest.raises(InputError, match="expected a bundle of at most 100 bytes"):
        unpack(path, tmp_path)


def test_a_file_that_is_larger_than_it_says(tmp_path: Path) -> None:
    path = bundle(tmp_path, ("a.csv", b"0123456789" * 1000))
    content = bytearray(path.read_bytes())
    for header, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.rindex(header) + place
        assert struct.unpack_from("<L", content, at) == (10_000,)
        struct.pack_into("<L", content, at, 10)
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a whole zip whose entries are as large as they say"):
        unpack(path, tmp_path / "to")
    assert (tmp_path / "to" / "a.csv").stat().st_size <= 10


def test_a_zip_with_more_in_it(tmp_path: Path) -> None:
    path = bundle(tmp_path)
    plain = path.read_bytes()
    for content in (b"#!/bin/sh\n" + plain, plain + b"\n", b"", plain[:-30]):
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=r"as `bench board --bundle` writes it, got another file, or one with more"
        ):
            unpack(path, tmp_path)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("leaderboard.json", BOARD)
        made.comment = b"PK\x05\x06" + b"\0" * 18
    with pytest.raises(InputError, match="got one with something hidden between"):
        unpack(path, tmp_path)
    directory = plain.index(b"PK\x05\x06")
    path.write_bytes(plain[:directory] + b"PK\x06\x07" + b"\0" * 16 + plain[directory:])
    with pytest.raises(InputError, match="expected a plain zip, got one with a comment or with zip64 records"):
        unpack(path, tmp_path)
    huge = bytearray(plain)
    struct.pack_into("<L", huge, directory + 12, 1 << 30)
    path.write_bytes(huge)
    with pytest.raises(InputError, match="in a directory of 1073741824 bytes"):
        unpack(path, tmp_path)


def test_a_damaged_bundle(tmp_path: Path) -> None:
    path = bundle(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"leaderboard.json") + 17] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a whole zip"):
        unpack(path, tmp_path / "to")


def npz_file(folder: Path, *files: tuple[str, bytes]) -> Path:
    path = folder / "a.npz"
    path.write_bytes(packed(*files))
    return path


def array(values: np.ndarray, **options: bool) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, values, **options)
    return out.getvalue()


def test_arrays_are_what_was_written(tmp_path: Path) -> None:
    made = {
        "b": np.array([True, False]), "i": np.arange(6).reshape(2, 3), "f": np.asfortranarray(np.eye(3)[:2]),
        "u": np.array(["a", "bc"]), "empty": np.zeros(0), "scalar": np.array(3.5),
    }  # fmt: skip
    np.savez(tmp_path / "a.npz", **made)
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == made.keys()
    for name, values in made.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    planted = np.array([Bomb(trace), 1], dtype=object)
    path = npz_file(tmp_path, ("score.npy", array(planted, allow_pickle=True)))
    with pytest.raises(InputError, match=r"score\.npy: .* got dtype object: Python objects are pickles"):
        read_npz(path)
    with (
        pytest.raises(InputError, match="Python objects are pickles"),
        open_results(bundle(tmp_path, ("scores/a.npz", path.read_bytes()))),
    ):
        pass
    assert not trace.exists()
    with np.load(path, allow_pickle=True) as opened:  # that it would have run, had it been unpickled
        _ = opened["score"]
    assert trace.exists()


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ((("a.txt", b""),), r"expected arrays \(\.npy\) only in an npz, got 'a\.txt'"),
        ((("a.npz", b""),), r"expected arrays \(\.npy\) only in an npz, got 'a\.npz'"),
        ((("a.npy", b"x"),), "which cannot be read"),
        ((("a.npy", array(np.zeros(1))[:-1]),), r"a\.npy: expected 8 bytes for shape \(1,\) of float64, got 7"),
        ((("a.npy", array(np.zeros(1)) + b"x"),), r"a\.npy: expected 8 bytes for shape \(1,\) of float64, got 9"),
        ((("a.npy", header("(1 << 60,)")),), "which cannot be read"),
        (
            (("a.npy", header("(1099511627776,)")),),
            r"expected whole lengths of at most \d+, got shape \(1099511627776,\)",
        ),
        ((("a.npy", header("(-1,)")),), r"expected whole lengths of at most \d+, got shape \(-1,\)"),
        ((("a.npy", header("(1,)", "[('x', '<f8')]") + b"\0" * 8),), "expected an array of plain numbers, got dtype"),
        ((("a.npy", header("(1,)", "__import__('os')")),), "which cannot be read"),
        (
            (("a.npy", array(np.array([1.0, np.nan]))),),
            r"a\.npy: expected finite numbers, got NaN or infinity in 1 of 2",
        ),
        ((("a.npy", array(np.array([-np.inf]))),), "got NaN or infinity in 1 of 1"),
        (
            tuple((f"{i}.npy", array(np.zeros(1))) for i in range(65)),
            "expected at most 64 files in an npz of plain arrays, got 65",
        ),
    ],
)
def test_arrays_that_are_none(tmp_path: Path, files: tuple[tuple[str, bytes], ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_npz(npz_file(tmp_path, *files))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_twice_and_a_bomb_of_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = array(np.zeros(3))
    with pytest.raises(InputError, match="expected each array of an npz once"):
        read_npz(npz_file(tmp_path, ("a.npy", values), ("a.npy", values)))
    with pytest.raises(InputError, match=r"packed at most 200 times, .* a zip bomb"):
        read_npz(npz_file(tmp_path, ("a.npy", array(np.zeros(limits.RATIO_FROM // 8)))))
    monkeypatch.setattr(npz, "MAX_FILE", 100)
    with pytest.raises(InputError, match="expected an array of at most 100 bytes"):
        read_npz(npz_file(tmp_path, ("a.npy", array(np.arange(20.0)))))


def test_boards_of_another_format_and_names_that_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.json").write_text('{"format": 1}')
    with pytest.raises(InputError, match="expected a board of format 2, got 1; write it again with `bench board`"):
        read_published(tmp_path)
    (tmp_path / "leaderboard.json").write_text("[]")
    with pytest.raises(InputError, match="got 'list'"):
        read_published(tmp_path)
    (tmp_path / "leaderboard.json").write_bytes(BOARD)
    published = read_published(tmp_path)
    with pytest.raises(InputError, match=re.escape("got the name '../a.npz'")):
        published.arrays("../a.npz")
    with pytest.raises(MissingError, match="expected the file that"):
        published.arrays("scores/a.npz")
    with pytest.raises(InputError, match="which cannot be read"):
        read_json(tmp_path)


def test_brackets_in_text_are_no_nesting() -> None:
    assert parse_json(b'{"a": "' + b"[" * 500 + b'\\"", "b": [1.5, true, null]}') == {
        "a": "[" * 500 + '"',
        "b": [1.5, True, None],
    }
