"""442 diabetes patients in nine numbers and their sex."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.data.sets._sklearn import read_numbers
from bench.records import Column, Records, Schema

NAMES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


class Diabetes(Dataset):
    """442 rows of 10 columns in their own units, sex (1 or 2) categorical; no classes, and without the outcome."""

    name = "diabetes"
    paper = "Efron, Hastie, Johnstone and Tibshirani, Annals of Statistics 2004, section 1; shipped by scikit-learn"

    def load(self, base_dir: Path) -> Records:
        table = read_numbers(self.name, "diabetes_data_raw.csv.gz", delimiter=None)
        sex = NAMES.index("sex")
        table[:, sex] -= 1  # codes of the categories "1" and "2"
        columns = tuple(Column(name, ("1", "2") if name == "sex" else ()) for name in NAMES)
        return Records(
            np.arange(len(table), dtype=np.int64),
            table.astype(np.float32),
            None,
            Schema("table", (len(columns),), columns=columns),
        )
