"""Looks at the end of a zip before any library does: a directory of millions of names is a bomb too."""

from __future__ import annotations

import struct
from pathlib import Path

from bench.errors import InputError

NAME = 512
"""Bytes that a name and its extra fields may take."""

_END = struct.Struct("<4s4H2LH")  # end of central directory, APPNOTE.TXT 4.3.16
_ENTRY = 46  # bytes of a central directory entry without its name, APPNOTE.TXT 4.3.12


def check_end(path: Path, entries: int, kind: str) -> None:
    """Whether the zip is a plain one, whose directory is no larger than so many entries need.

    Args:
        path: of the zip.
        entries: that it may have.
        kind: what it should be, for messages.

    Raises:
        InputError: it is no zip, has a comment, zip64 records or other bytes around, or more entries.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - _END.size - 20))
        end = file.read()
    # No comment and nothing before or behind, so that all readers see the same zip.
    if start != b"PK\x03\x04" or end[-_END.size :][:4] != b"PK\x05\x06":
        raise InputError(f"expected {kind}, got another file, or one with more in it")
    _, _, _, _, found, directory, offset, comment = _END.unpack(end[-_END.size :])
    if end[:4] == b"PK\x06\x07" or comment:
        raise InputError("expected a plain zip, got one with a comment or with zip64 records")
    if found > entries or directory > entries * (_ENTRY + NAME):
        raise InputError(f"expected at most {entries} files in {kind}, got {found} in a directory of {directory} bytes")
    if offset + directory + _END.size != size:
        raise InputError(
            "expected a zip whose directory ends where the zip does, got one with something hidden between"
        )
