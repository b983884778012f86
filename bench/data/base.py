"""What a data set's loader declares, and the files that users bring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.plugin import Plugin
from bench.records import Records, Schema

if TYPE_CHECKING:
    from bench.data.images import Pictures


class Dataset(Plugin):
    """Base class of data sets: decodes records, without labels of membership and without touching the network."""

    def load(self, base_dir: Path) -> Records | Pictures | None:
        """All records, ids counting from 0; None where every role of the split comes from files of the user.

        Images that may differ in size, or are slow to decode, come as ``Pictures``: the split decodes those that it
        uses, once it is known how to prepare them.

        Args:
            base_dir: the folder that relative paths of the options are relative to.

        Raises:
            MissingFilesError: files are not here; says where it looked and how to get them.
            InputError: files are damaged, or hold something else than they should.
        """
        raise NotImplementedError


def package_folder(package: str, needed_for: str) -> Path:
    """Where an installed package lies, found without importing it.

    Raises:
        InputError: it is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{needed_for} reads its records from the package {package!r}, which is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file, never unpickling.

    Raises:
        InputError: the file is missing, not an npz, damaged, or holds pickled objects.
    """
    import zipfile
    import zlib

    if not path.is_file():
        raise InputError(f"{path}: expected an npz file there, found {'a folder' if path.is_dir() else 'nothing'}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: expected an npz archive (numpy.savez), got a single array")
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        hint = (
            "it holds pickled objects"
            if "pickle" in str(error).lower() and zipfile.is_zipfile(path)
            else "it is damaged"
        )
        raise InputError(
            f"{path}: expected an npz archive of plain arrays, but {hint} ({error}); write it again with numpy.savez"
        ) from error


def records_from_npz(path: Path, first_id: int = 0) -> Records:
    """Records of a user's npz: ``images`` uint8 ``(n, height, width[, channels])``, optional ``labels`` ``(n,)``.

    Raises:
        InputError: an array is missing or has another dtype or shape.
    """
    arrays = read_npz(path)
    if "images" not in arrays:
        raise InputError(
            f"{path}: expected an array `images` of shape (n, height, width[, channels]), got {sorted(arrays)}"
        )
    images, labels = arrays["images"], arrays.get("labels")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) == 0:
        raise InputError(
            f"{path}: expected `images` as uint8 (n, height, width[, channels]), got {images.dtype} {images.shape}"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.shape[-1] not in (1, 3):
        raise InputError(f"{path}: expected 1 or 3 channels last, got {images.shape[-1]} in shape {images.shape}")
    if labels is not None and (labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer)):
        raise InputError(f"{path}: expected `labels` as {len(images)} integers, got {labels.dtype} {labels.shape}")
    x = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    ids = np.arange(first_id, first_id + len(x), dtype=np.int64)
    classes = None if labels is None or labels.min() < 0 else int(labels.max()) + 1
    return Records(ids, x, None if labels is None else labels.astype(np.int64), Schema("image", x.shape[1:], classes))


def read_indices(path: Path) -> NDArray[np.int64]:
    """Record ids from an index file: an npz with `indices`, a npy, or text with one integer per line.

    Raises:
        InputError: the file is missing or holds something else than distinct non-negative integers.
    """
    if path.suffix == ".npz":
        arrays = read_npz(path)
        values: Any = arrays.get("indices", np.zeros(0))
    elif not path.is_file():
        raise InputError(f"{path}: expected an index file there, found {'a folder' if path.is_dir() else 'nothing'}")
    elif path.suffix == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path}: expected a npy file of integers: {error}") from error
    else:
        try:
            values = np.array([int(word) for word in path.read_text("utf-8").split()], dtype=np.int64)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path}: expected one record index per line: {error}") from error
    if values.ndim != 1 or len(values) == 0 or not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"{path}: expected a list of record indices, got {values.dtype} of shape {values.shape}")
    indices: NDArray[np.int64] = values.astype(np.int64)
    if indices.min() < 0 or len(np.unique(indices)) != len(indices):
        raise InputError(f"{path}: expected distinct record indices from 0, got negative or repeated ones")
    return indices
