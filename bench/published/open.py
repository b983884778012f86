"""Opens a board wherever it lies: in a folder, or in a bundle, which is unpacked for as long as it is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import InputError, MissingError
from bench.published.archive import unpack
from bench.published.read import Published, read_published


@contextmanager
def open_results(path: Path) -> Iterator[Published]:
    """The board of a results folder, a baseline folder or a bundle (.zip).

    A bundle is unpacked into a temporary folder, which is gone afterwards, and only after each of its entries was
    checked: nothing in it is executed or unpickled.

    Raises:
        MissingError: there is nothing at ``path``, or no board in it.
        InputError: it is neither a folder nor a zip, its JSON cannot be read, or the bundle is not safe to open.
    """
    if not path.exists():
        raise MissingError(f"{path}: expected a results folder, a baseline or a bundle (.zip), found nothing there")
    if path.is_dir():
        yield read_published(path)
        return
    if path.suffix.lower() != ".zip":
        raise InputError(f"{path}: expected a results folder or a bundle (.zip), got another file")
    with tempfile.TemporaryDirectory(prefix="bundle-") as scratch:
        unpack(path, Path(scratch))
        yield read_published(Path(scratch))
