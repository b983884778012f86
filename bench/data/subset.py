"""Which records of a data set are used at all: its most frequent classes, a random fraction of it, or everything.

Hayes et al., LOGAN, PoPETs 2019, section 5, train on the ten people of LFW with the most images, and on random tenths
and fifths of the data sets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.images import Pictures
from bench.errors import InputError
from bench.records import Records
from bench.rng import generator


class SubsetRequest(Protocol):
    """Which records to use; the matrix's data-set entry has these fields."""

    @property
    def top_classes(self) -> int | None: ...
    @property
    def fraction(self) -> float: ...
    @property
    def split_seed(self) -> int: ...


@dataclass(frozen=True)
class Subset:
    """The chosen records of a data set.

    Attributes:
        of: how many records the whole data set holds.
        ids: those that were chosen, sorted.
        classes: the kept classes by their original labels, sorted; None where all are kept.
        why: the options that chose, for errors.
    """

    of: int
    ids: NDArray[np.int64]
    classes: NDArray[np.int64] | None = None
    why: str = ""

    def relabelled(self, records: Records) -> Records:
        """The same records, whose kept classes are numbered 0, 1, 2, … in the order of their original labels.

        Raises:
            InputError: a record is of a class that is not kept.
        """
        if self.classes is None or records.labels is None:
            return records
        if len(others := np.setdiff1d(records.labels, self.classes)):
            raise InputError(
                f"expected labels of the {len(self.classes)} classes that `top_classes` keeps "
                f"({_listed(self.classes)}), got {_listed(others)}"
            )
        labels = np.searchsorted(self.classes, records.labels).astype(np.int64)
        return replace(records, labels=labels, schema=replace(records.schema, classes=len(self.classes)))


def choose(loaded: Records | Pictures | None, request: SubsetRequest) -> Subset:
    """The records that are used: of the most frequent classes (ties: the smaller label), and of these a fraction.

    A larger fraction of the same seed holds every smaller one; it is rounded to a whole number of records, at least 1.

    Raises:
        InputError: there is no data set, or it has no labels, or fewer classes than asked.
    """
    asked = {"top_classes": request.top_classes} if request.top_classes is not None else {}
    given = {**asked, **({"fraction": request.fraction} if request.fraction != 1 else {})}
    why = ", ".join(f"{key}: {value}" for key, value in given.items())
    if loaded is None:
        if given:
            raise InputError(f"expected a data set to choose from ({why}), but every role comes from a file of its own")
        return Subset(0, np.zeros(0, np.int64))
    ids, kept = np.arange(len(loaded), dtype=np.int64), None
    if request.top_classes is not None:
        if loaded.labels is None:
            raise InputError(f"expected records with labels to choose from ({why}), got a data set without labels")
        found, counts = np.unique(loaded.labels, return_counts=True)
        if len(found) < request.top_classes:
            raise InputError(f"expected at least {request.top_classes} classes ({why}), got {len(found)}")
        kept = np.sort(found[np.argsort(-counts, kind="stable")[: request.top_classes]])
        ids = np.flatnonzero(np.isin(loaded.labels, kept))
    if request.fraction != 1:
        count = max(1, round(request.fraction * len(ids)))
        ids = np.sort(generator(request.split_seed, "fraction").permutation(ids)[:count])
    return Subset(len(loaded), ids, kept, why)


def _listed(labels: NDArray[np.int64]) -> str:
    return ", ".join(map(str, labels[:20].tolist())) + (", …" if len(labels) > 20 else "")
