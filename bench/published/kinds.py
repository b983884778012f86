"""The kinds of files that a bundle may hold, told by name and confirmed by content."""

from __future__ import annotations

import struct
from pathlib import Path, PurePosixPath

from bench.errors import InputError
from bench.published.limits import MAX_JSON
from bench.published.npz import read_npz
from bench.published.strict_json import parse_json, read_json

KINDS = (".json", ".csv", ".npz", ".safetensors", ".png")
"""Nothing in these runs when it is read."""

PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill", ".cloudpickle", ".bin", ".npy")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".whl", ".egg", ".jar")


def check_kind(name: str) -> None:
    """Whether a bundle may hold a file of this name.

    Raises:
        InputError: it may not.
    """
    kind = PurePosixPath(name).suffix.lower()
    if kind in KINDS:
        return
    if kind in PICKLES:
        raise InputError(
            f"{name!r}: expected no pickles, got a {kind} file: opening one can run any code, so it is refused unread"
        )
    if kind in ARCHIVES:
        raise InputError(f"{name!r}: expected no archive inside the bundle, got a {kind} file")
    raise InputError(f"{name!r}: expected files of the kinds {', '.join(KINDS)} only, got {kind or 'none'!r}")


def check_content(path: Path) -> None:
    """Whether a file's content is what its name says; nothing in it is executed.

    Raises:
        InputError: it is not.
    """
    kind = path.suffix.lower()
    if kind == ".json":
        read_json(path)
    elif kind == ".npz":
        read_npz(path)
    elif kind == ".csv":
        _check_csv(path)
    elif kind == ".png":
        with path.open("rb") as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                raise InputError(f"{path}: expected a PNG picture, got another content under that name")
    elif kind == ".safetensors":
        _check_safetensors(path)


def _check_csv(path: Path) -> None:
    if (size := path.stat().st_size) > MAX_JSON:
        raise InputError(f"{path}: expected a CSV table of at most {MAX_JSON} bytes, got {size}")
    try:
        text = path.read_text("utf-8")
    except ValueError as error:
        raise InputError(
            f"{path}: expected a CSV table in UTF-8, got another content under that name: {error}"
        ) from error
    if "\0" in text:
        raise InputError(f"{path}: expected a CSV table, got NUL bytes under that name")


def _check_safetensors(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size - 8, MAX_JSON):
            raise InputError(f"{path}: expected a safetensors file, got a header that is longer than the file")
        try:
            header = parse_json(file.read(length))
        except InputError as error:
            raise InputError(f"{path}: expected a safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise InputError(f"{path}: expected a safetensors file, got a header that is no object")
