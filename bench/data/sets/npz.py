"""The user's own images in npz files."""

from __future__ import annotations

from pathlib import Path

from bench.data.base import Dataset, records_from_npz
from bench.records import Records


class Npz(Dataset):
    """Your own images: an npz with `images` uint8 (n, height, width[, channels]) and optional `labels`.

    Leave out `path` where every role of the split names a file of its own.
    """

    name = "npz"

    class Options(Dataset.Options):
        path: str | None = None
        """The npz file that roles given as numbers are drawn from, relative to the matrix file."""

    options: Options

    def load(self, base_dir: Path) -> Records | None:
        return None if self.options.path is None else records_from_npz(base_dir / self.options.path)
