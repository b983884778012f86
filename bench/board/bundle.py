"""A board to pass on: a bundle of all its data in one zip, or a baseline, the small part that a repository commits."""

from __future__ import annotations

import json
import os
import secrets
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.board.current import NOTE
from bench.board.write import BOARD, replaced
from bench.canonical import canonical_json
from bench.errors import InputError
from bench.published.kinds import KINDS

PACKED = (".npz", ".png", ".safetensors")  # packed already, or hardly packable: stored as they are
WHOLE = ("index.html", "plots", "exposure")  # parts of a board that no baseline has
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can tell


def write_bundle(folder: Path, path: Path) -> int:
    """All JSON, CSV, npz, safetensors and PNG files of a written board in one zip, the same bytes for the same board.

    Args:
        folder: of the board.
        path: of the bundle; it is replaced whole.

    Returns:
        How many files it holds.

    Raises:
        InputError: ``path`` does not end in ``.zip``, is a folder, or lies where nothing can be written.
    """
    if path.suffix.lower() != ".zip":
        raise InputError(f"--bundle: expected a file name that ends in .zip, got {path}")
    if not path.resolve().parent.is_dir():
        raise InputError(f"--bundle: expected a folder at {path.resolve().parent}, found none: make it first")
    if path.is_dir():
        raise InputError(f"--bundle: expected a file to write, but {path} is a folder: name another place")
    contents = _contents(folder, in_bundle)
    # Beside, so that the bundle is replaced at once; opened plainly, so that it gets the permissions of a new file.
    scratch = path.resolve().parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        with scratch.open("xb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, content in contents.items():
                entry = zipfile.ZipInfo(name, FIXED_DATE)
                entry.create_system, entry.external_attr = 3, 0o100644 << 16
                stored = name.endswith(PACKED)
                entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
        os.replace(scratch, path)
    except BaseException as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"--bundle: expected a place to write to, got {path}: {error}") from error
        raise
    return len(contents)


def write_baseline(folder: Path, to: Path) -> int:
    """What ``bench compare`` and ``bench verify`` need of a written board, in a folder: no pictures, no exposures.

    Args:
        folder: of the board.
        to: the baseline's folder; an older baseline is replaced, files that are no part of it are kept.

    Returns:
        How many files it holds.

    Raises:
        InputError: ``to`` is a file, lies in a board, holds a whole board or one of another name, holds something
            and no board, or cannot be written.
    """
    contents = _contents(folder, in_baseline)
    try:
        _check_place(folder, to)
        with replaced(to) as fresh:
            for name, content in contents.items():
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(content)
    except OSError as error:
        raise InputError(f"--baseline: expected a folder to write to, got {to}: {error}") from error
    return len(contents)


def _check_place(folder: Path, to: Path) -> None:
    """Whether a baseline may replace what lies there: nothing but a baseline of the same name."""
    if to.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"--baseline: expected a folder other than the board's own and outside of it, got {to}")
    board = to / BOARD
    if not board.is_file():
        return
    if whole := [name for name in WHOLE if (to / name).exists()]:
        raise InputError(
            f"--baseline: expected no board or an older baseline, but {to} holds a whole board ({', '.join(whole)}), "
            "which would be lost: name another folder, or delete this one"
        )
    name, own = _name(board), _name(folder / BOARD)
    if name != own:
        raise InputError(
            f"--baseline: expected an older baseline of {own!a}, but {to} holds one of {name!a}, which would be lost: "
            "name another folder, or delete this one"
        )


def _name(board: Path) -> Any:
    """The name that a board has in its JSON; None where it cannot be read."""
    try:
        payload = json.loads(board.read_text("utf-8"))
    except ValueError:
        return None
    return payload.get("name") if isinstance(payload, dict) else None


def in_bundle(name: str) -> bool:
    """Whether a file of a board belongs into a bundle."""
    return name.endswith(KINDS)


def in_baseline(name: str) -> bool:
    """Whether a file of a board belongs into a baseline."""
    return in_bundle(name) and not name.endswith(".png") and not name.startswith("exposure/")


def _contents(folder: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The wanted files by name, sorted, with a note that lists exactly them."""
    note: dict[str, Any] = json.loads((folder / NOTE).read_text("utf-8"))
    files = {name: facts for name, facts in note["files"].items() if wanted(name)}
    contents = {name: (folder / name).read_bytes() for name in files}
    contents[NOTE] = (canonical_json({**note, "files": files}) + "\n").encode()
    return dict(sorted(contents.items()))
