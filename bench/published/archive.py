"""Opens a bundle that anybody may have made: every entry is checked before a byte of it is written."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from bench.errors import InputError
from bench.published.kinds import check_content, check_kind
from bench.published.limits import MAX_BUNDLE, MAX_ENTRIES, MAX_FILE, MAX_RATIO, MAX_TOTAL, RATIO_FROM
from bench.published.zip_end import NAME, check_end

_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE.TXT 4.4.4: traditional, strong, masked headers
_CHUNK = 1 << 20


def unpack(bundle: Path, folder: Path) -> None:
    """Write a bundle's files into an empty folder, after checking names, kinds, sizes and contents.

    Raises:
        InputError: anything about the bundle is not as ``bench board --bundle`` writes it.
    """
    try:
        _check_end(bundle)
        with zipfile.ZipFile(bundle) as archive:
            entries = archive.infolist()
            check_entries(entries)
            left = MAX_TOTAL
            for entry in entries:
                left -= _extract(archive, entry, folder, left)
    except InputError as error:
        raise InputError([f"{bundle}: {problem}" for problem in error.problems]) from error
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{bundle}: expected a zip, which cannot be read: {error}") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{bundle}: expected a whole zip whose entries are as large as they say, got a damaged one: {error}"
        ) from error


def _check_end(bundle: Path) -> None:
    size = bundle.stat().st_size
    if size > MAX_BUNDLE:
        raise InputError(f"expected a bundle of at most {MAX_BUNDLE} bytes, got {size}")
    check_end(bundle, MAX_ENTRIES, "a bundle, as `bench board --bundle` writes it")


def check_entries(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Names, kinds and declared sizes of all entries.

    Raises:
        InputError: every problem of every entry.
    """
    problems: list[str] = []
    if len(entries) > MAX_ENTRIES:
        raise InputError(f"expected at most {MAX_ENTRIES} files in a bundle, got {len(entries)}")
    seen: dict[str, str] = {}
    for entry in entries:
        name = entry.orig_filename  # zipfile cuts ``filename`` at a NUL
        try:
            _check_name(name)
            _check_type(entry)
            check_kind(name)
            _check_size(entry)
        except InputError as error:
            problems += error.problems
        if (folded := name.casefold()) in seen:
            problems.append(f"expected each file once, got {name!r} beside {seen[folded]!r}: one of them would be lost")
        seen[folded] = name
    total = sum(entry.file_size for entry in entries)
    if total > MAX_TOTAL:
        problems.append(f"expected at most {MAX_TOTAL} bytes unpacked, got {total}: a zip bomb")
    if problems:
        raise InputError(problems)


def _check_name(name: str) -> None:
    if "\0" in name:
        raise InputError(f"{name!r}: expected a file name, got one with a NUL byte in it")
    if "\\" in name:
        raise InputError(f"{name!r}: expected a name with / between folders, got backslashes, which leave the folder")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise InputError(f"{name!r}: expected a name inside the bundle, got an absolute path")
    parts = name.removesuffix("/").split("/")
    if ".." in parts:
        raise InputError(f"{name!r}: expected a name inside the bundle, got '..', which leaves its folder")
    if not all(_PART.fullmatch(part) for part in parts) or len(name) > NAME // 2:
        raise InputError(f"{name!r}: expected a name of letters, digits, '.', '_' and '-' in each part")


def _check_type(entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise InputError(f"{entry.filename!r}: expected a plain file, got a symbolic link, which can lead anywhere")
    if entry.is_dir() or kind not in (0, stat.S_IFREG):
        raise InputError(f"{entry.filename!r}: expected a plain file, got a folder or special entry (mode {kind:o})")
    if entry.flag_bits & _ENCRYPTED:
        raise InputError(f"{entry.filename!r}: expected a file that anybody can read, got an encrypted one")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{entry.filename!r}: expected a stored or deflated file, got method {entry.compress_type}")


def _check_size(entry: zipfile.ZipInfo) -> None:
    if entry.file_size > MAX_FILE:
        raise InputError(
            f"{entry.filename!r}: expected at most {MAX_FILE} bytes unpacked, got {entry.file_size}: a zip bomb"
        )
    if entry.file_size > RATIO_FROM and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise InputError(
            f"{entry.filename!r}: expected a file packed at most {MAX_RATIO} times, got {entry.file_size} bytes in "
            f"{entry.compress_size}: a zip bomb"
        )


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Write one checked entry, never more than it declared, and return its size."""
    path = folder / entry.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(entry) as source, path.open("xb") as file:
        while part := source.read(_CHUNK):
            written += len(part)
            if written > min(entry.file_size, left):
                raise InputError(f"{entry.filename!r}: expected {entry.file_size} bytes, got more: a zip bomb")
            file.write(part)
    try:
        check_content(path)
    except InputError as error:
        raise InputError([problem.replace(f"{folder}/", "") for problem in error.problems]) from error
    return written
