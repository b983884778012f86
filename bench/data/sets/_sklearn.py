"""The numbers in scikit-learn's data files, read as files: importing it takes longer than all of `bench plan` may."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.base import package_folder
from bench.errors import InputError


def read_numbers(dataset: str, file: str, delimiter: str | None = ",", skip: int = 0) -> NDArray[np.float64]:
    """The table ``(n, columns)`` in a file of scikit-learn's data folder.

    Args:
        dataset: who asks, for the message.
        file: its name.
        delimiter: between numbers; None is white space.
        skip: lines before the first row.

    Raises:
        InputError: scikit-learn or the file is not there.
    """
    path = package_folder("sklearn", dataset) / "datasets" / "data" / file
    if not path.is_file():
        raise InputError(f"{dataset}: expected {file} in scikit-learn's data folder; reinstall scikit-learn")
    return np.loadtxt(path, delimiter=delimiter, skiprows=skip, ndmin=2)
