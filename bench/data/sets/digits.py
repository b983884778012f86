"""1,797 real 8x8 digits from scikit-learn: small enough for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.base import Dataset, package_folder
from bench.errors import InputError
from bench.records import Records, Schema


class Digits(Dataset):
    """1,797 real 8x8 grey digits, embedded in a dependency."""

    name = "digits"
    paper = "Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI, 1998; shipped by scikit-learn"

    def load(self, base_dir: Path) -> Records:
        # Read as a file, because importing scikit-learn takes longer than all of `bench plan` may.
        path = package_folder("sklearn", self.name) / "datasets" / "data" / "digits.csv.gz"
        if not path.is_file():
            raise InputError(f"digits: expected {path.name} in scikit-learn's data folder; reinstall scikit-learn")
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
        pixels = table[:, :-1].astype(np.float64) * (255 / 16)  # stored as 0..16
        images = np.rint(pixels).astype(np.uint8).reshape(-1, 1, 8, 8)
        ids = np.arange(len(images), dtype=np.int64)
        return Records(ids, images, table[:, -1].astype(np.int64), Schema("image", (1, 8, 8), classes=10))
