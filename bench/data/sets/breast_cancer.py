"""569 breast masses in 30 numbers, malignant or benign."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.data.sets._sklearn import read_numbers
from bench.records import Column, Records, Schema

MEASURED = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points", "symmetry",
    "fractal dimension",
)  # fmt: skip
NAMES = (
    *(f"mean {name}" for name in MEASURED),
    *(f"{name} error" for name in MEASURED),
    *(f"worst {name}" for name in MEASURED),
)


class BreastCancer(Dataset):
    """569 rows of 30 numbers, measured on cell nuclei; two classes (malignant 0, benign 1)."""

    name = "breast_cancer"
    paper = "Wolberg, Street and Mangasarian, Breast Cancer Wisconsin (Diagnostic), UCI, 1995; shipped by scikit-learn"

    def load(self, base_dir: Path) -> Records:
        table = read_numbers(self.name, "breast_cancer.csv", skip=1)
        columns = tuple(Column(name) for name in NAMES)
        return Records(
            np.arange(len(table), dtype=np.int64),
            table[:, :-1].astype(np.float32),
            table[:, -1].astype(np.int64),
            Schema("table", (len(columns),), classes=2, columns=columns),
        )
