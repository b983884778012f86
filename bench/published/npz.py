"""Reads npz files of plain arrays; nothing in them is unpickled, and no array may be larger than it says."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.published.limits import (
    MAX_ARRAY_TOTAL,
    MAX_ARRAYS,
    MAX_FILE,
    MAX_NPY_HEADER,
    MAX_RATIO,
    RATIO_FROM,
)
from bench.published.strict_json import CONTROL
from bench.published.zip_end import check_end

KINDS = "biufUS"
"""Kinds of plain arrays: booleans, integers, floats and text of a fixed width."""


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file by name.

    Raises:
        InputError: the file is no npz, holds anything but plain arrays of finite numbers, an array twice, or more than
            ``bench.published.limits`` allow.
    """
    try:
        check_end(path, MAX_ARRAYS, "an npz of plain arrays")
        with zipfile.ZipFile(path) as archive:
            return _arrays(archive)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (
        *(OSError, ValueError, ArithmeticError, EOFError, NotImplementedError, RuntimeError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise InputError(f"{path}: expected an npz of plain arrays, which cannot be read: {error}") from error


def _arrays(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    entries = archive.infolist()
    if len(entries) > MAX_ARRAYS:
        raise InputError(f"expected an npz of at most {MAX_ARRAYS} arrays, got {len(entries)}")
    if (total := sum(entry.file_size for entry in entries)) > MAX_ARRAY_TOTAL:
        raise InputError(f"expected arrays of at most {MAX_ARRAY_TOTAL} bytes together, got {total}: a zip bomb")
    arrays: dict[str, NDArray[Any]] = {}
    for entry in entries:
        name = entry.orig_filename
        if not name.endswith(".npy") or CONTROL.search(name):
            raise InputError(f"expected arrays (.npy) only in an npz, got {name!r}")
        if name.removesuffix(".npy") in arrays:
            raise InputError(f"expected each array of an npz once, got {name!r} twice")
        arrays[name.removesuffix(".npy")] = _array(archive, entry)
    return arrays


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    name = entry.filename
    if entry.file_size > MAX_FILE or (
        entry.file_size > RATIO_FROM and entry.file_size > MAX_RATIO * max(entry.compress_size, 1)
    ):
        raise InputError(
            f"{name}: expected an array of at most {MAX_FILE} bytes, packed at most {MAX_RATIO} times, got "
            f"{entry.file_size} bytes in {entry.compress_size}: a zip bomb"
        )
    with archive.open(entry) as file:
        head = io.BytesIO(file.read(MAX_NPY_HEADER + 12))  # magic, version and length take at most 12
        shape, fortran, dtype = _header(head, name)
        if dtype.hasobject or dtype.kind not in KINDS:
            raise InputError(
                f"{name}: expected an array of plain numbers, got dtype {dtype}: Python objects are pickles, which can "
                "run code when they are opened"
            )
        if any(type(length) is not int or not 0 <= length <= MAX_FILE for length in shape):
            raise InputError(f"{name}: expected whole lengths of at most {MAX_FILE}, got shape {shape}")
        size = math.prod(shape) * dtype.itemsize
        if size > MAX_FILE:
            raise InputError(f"{name}: expected an array of at most {MAX_FILE} bytes, got shape {shape} of {dtype}")
        content = head.read()
        content += file.read(max(0, size + 1 - len(content)))
        if len(content) != size:
            raise InputError(f"{name}: expected {size} bytes for shape {shape} of {dtype}, got {len(content)} or more")
    array = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity in {bad} of {array.size}")
    return array


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and dtype of an array, as its header says them."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise InputError(f"{name}: expected an npy file of version 1 or 2, got {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(file, max_header_size=MAX_NPY_HEADER)
    except InputError:
        raise
    except Exception as error:  # numpy parses headers as Python, whose parser has many ways to fail
        raise InputError(
            f"{name}: expected the header of a plain array, which cannot be read: {type(error).__name__}: "
            f"{str(error)[:200]}"
        ) from error
