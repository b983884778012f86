"""The idx files of MNIST and its likes: a magic number, big-endian dimensions, then the bytes; gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from bench.data.download import download
from bench.data.files import missing_files
from bench.errors import InputError, MissingFilesError
from bench.records import Records, Schema

CLASSES = 10
PARTS = ("train", "t10k")
UNSIGNED_BYTES = 0x08
CHUNK = 1 << 20


def load_idx(dataset: str, folders: Sequence[Path], ways: str) -> Records:
    """The training images, then the test images, of the first of these folders that holds any idx file.

    Raises:
        MissingFilesError: none of them does, or it does not hold all four files.
        InputError: a file is damaged, or does not fit the others.
    """
    names = [f"{part}-{what}-ubyte" for part in PARTS for what in ("images-idx3", "labels-idx1")]
    found = [[_find(folder, name) for name in names] for folder in folders]
    paths = next((files for files in found if any(files)), [None] * len(names))
    there = [path for path in paths if path is not None]
    if len(there) < len(names):
        absent = [f"{name}[.gz]" for name, path in zip(names, paths, strict=True) if path is None]
        places = [there[0].parent] if there else folders
        raise missing_files(dataset, f"the files {', '.join(absent)}", places, ways)
    images, labels = [read_idx(p, 3) for p in there[::2]], [read_idx(p, 1) for p in there[1::2]]
    problems = []
    for path, pixels, digits in zip(there[1::2], images, labels, strict=True):
        if len(pixels) != len(digits):
            problems.append(f"{path}: expected {len(pixels)} labels, as many as there are images, got {len(digits)}")
        if len(digits) and digits.max() >= CLASSES:
            problems.append(f"{path}: expected labels from 0 to {CLASSES - 1}, got {digits.max()}")
    if len({pixels.shape[1:] for pixels in images}) > 1:
        sizes = " and ".join(f"{p.shape[1]} x {p.shape[2]}" for p in images)
        problems.append(f"{there[0].parent}: expected training and test images of one size, got {sizes}")
    if problems:
        raise InputError(problems)
    x = np.concatenate(images)[:, None]
    ids = np.arange(len(x), dtype=np.int64)
    return Records(ids, x, np.concatenate(labels).astype(np.int64), Schema("image", x.shape[1:], CLASSES))


def load_below(dataset: str, root: Path, torchvision_class: str, ways: str, may_download: bool) -> Records:
    """The idx files in a folder, or where torchvision's class of that name puts them below it.

    Args:
        may_download: whether that class may fetch them where they are not there; it verifies their md5.

    Raises:
        MissingFilesError, InputError: as ``load_idx``; or the download failed.
    """
    folders = (root, root / torchvision_class / "raw")
    try:
        return load_idx(dataset, folders, ways)
    except MissingFilesError:
        if not may_download:
            raise
    from torchvision import datasets

    download(dataset, lambda: getattr(datasets, torchvision_class)(str(root), download=True), ways)
    return load_idx(dataset, folders, ways)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an idx file.

    Raises:
        InputError: the magic number or the length is not what it should be, or the file is damaged.
    """
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if not zipped:
                return _read(plain, path, dimensions)
            with gzip.GzipFile(fileobj=plain) as unzipped:
                return _read(unzipped, path, dimensions)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: expected an idx file, but it is damaged ({error}); get it again") from error


def _read(file: IO[bytes] | gzip.GzipFile, path: Path, dimensions: int) -> NDArray[np.uint8]:
    header = file.read(4 * (1 + dimensions))
    magic = UNSIGNED_BYTES << 8 | dimensions
    if len(header) < 4 * (1 + dimensions) or int.from_bytes(header[:4], "big") != magic:
        raise InputError(
            f"{path}: expected an idx file of {dimensions} dimensions, which begins with the magic number "
            f"{magic:#010x}, got {header[:4].hex() or 'nothing'}"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    wanted, content = math.prod(shape), bytearray()
    # In chunks up to what the header announces, which may be wrong, and one byte further to see that it ends there.
    while len(content) <= wanted and (chunk := file.read(min(CHUNK, wanted + 1 - len(content)))):
        content += chunk
    if len(content) != wanted:
        got = "more" if len(content) > wanted else len(content)
        text = " x ".join(map(str, shape))
        raise InputError(f"{path}: expected the {wanted} bytes that its dimensions {text} announce, got {got}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
