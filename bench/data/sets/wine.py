"""178 wines in 13 numbers, of three cultivars."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.data.sets._sklearn import read_numbers
from bench.records import Column, Records, Schema

NAMES = (
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline",
)  # fmt: skip


class Wine(Dataset):
    """178 rows of 13 chemical measurements; three classes. Too few for much more than a test."""

    name = "wine"
    paper = "Aeberhard and Forina, Wine, UCI, 1992; shipped by scikit-learn"

    def load(self, base_dir: Path) -> Records:
        table = read_numbers(self.name, "wine_data.csv", skip=1)
        columns = tuple(Column(name) for name in NAMES)
        return Records(
            np.arange(len(table), dtype=np.int64),
            table[:, :-1].astype(np.float32),
            table[:, -1].astype(np.int64),
            Schema("table", (len(columns),), classes=3, columns=columns),
        )
