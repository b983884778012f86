"""Records: the data points whose membership is judged, images or rows of a table."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

Kind = Literal["image", "table"]


@dataclass(frozen=True)
class Column:
    """One column of a table, as a person named it.

    Attributes:
        name: unique within the table.
        categories: the values of a categorical column, in the order of their codes; () for a numeric one.
        power, centre, scale: how a numeric column was made comparable with the others: the Yeo-Johnson power, then
            (value - centre) / scale; None before that was fitted.
    """

    name: str
    categories: tuple[str, ...] = ()
    power: float | None = None
    centre: float | None = None
    scale: float | None = None

    @property
    def width(self) -> int:
        """Values that this column has in an encoded row: one per category, or one."""
        return len(self.categories) or 1


@dataclass(frozen=True)
class Schema:
    """What one record looks like.

    Attributes:
        kind: ``image`` or ``table``.
        shape: ``(channels, height, width)`` of an image, ``(values,)`` of a table's row.
        classes: labels run from 0 to below this; None where records have no labels that a model could be given.
        columns: the columns of a table whose rows are encoded (``bench.data.tables``), in order; () where each
            value is a number of its own, and for images.
        class_shares: the classes' shares among the *reference* records, which are public, in order; () where
            they are taken to be equal.
    """

    kind: Kind
    shape: tuple[int, ...]
    classes: int | None = None
    columns: tuple[Column, ...] = ()
    class_shares: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Schema:
        columns = tuple(Column(**{**c, "categories": tuple(c["categories"])}) for c in value["columns"])
        shape, shares = tuple(int(n) for n in value["shape"]), tuple(value["class_shares"])
        return cls(value["kind"], shape, value["classes"], columns, shares)

    def same_records(self, other: Schema) -> bool:
        """Whether records of both look alike, whatever is known of their labels."""
        return (self.kind, self.shape, self.columns) == (other.kind, other.shape, other.columns)

    def spans(self) -> tuple[tuple[Column, slice], ...]:
        """Each column with the values that it has in an encoded row.

        >>> Schema("table", (3,), columns=(Column("age"), Column("sex", ("f", "m")))).spans()[1][1]
        slice(1, 3, None)
        """
        ends = list(accumulate((column.width for column in self.columns), initial=0))
        return tuple((column, slice(*end)) for column, end in zip(self.columns, pairwise(ends), strict=True))

    def __str__(self) -> str:
        return f"{self.kind} {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True)
class Records:
    """A set of records.

    Attributes:
        ids: int64 ``(n,)``, unique within a data set; a record keeps its id through every subset.
        x: images as uint8 ``(n, channels, height, width)``; tables as float32 ``(n, columns)``.
        labels: int64 ``(n,)`` from 0 to below ``schema.classes`` where that is known, or None.
        schema: shape and kind of one record.

    Raises:
        InputError: lengths, dtype or shape do not fit together, an id occurs twice, a label is out of range, or a
            table is not finite.
    """

    ids: NDArray[np.int64]
    x: NDArray[Any]
    labels: NDArray[np.int64] | None
    schema: Schema

    def __post_init__(self) -> None:
        problems = []
        dtype = np.uint8 if self.schema.kind == "image" else np.float32
        if self.x.dtype != dtype:
            problems.append(f"expected {self.schema.kind} records of dtype {np.dtype(dtype)}, got {self.x.dtype}")
        if self.x.shape != (len(self.ids), *self.schema.shape):
            problems.append(f"expected records of shape {(len(self.ids), *self.schema.shape)}, got {self.x.shape}")
        if self.labels is not None and self.labels.shape != (len(self.ids),):
            problems.append(f"expected {len(self.ids)} labels, got shape {self.labels.shape}")
        if (classes := self.schema.classes) is not None:
            if self.labels is None:
                problems.append(f"expected labels of {classes} classes, got records without labels")
            elif len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < classes:
                problems.append(f"expected labels from 0 to below {classes}, got {np.unique(self.labels)[:20]}")
        if len(np.unique(self.ids)) != len(self.ids):
            problems.append("record ids must be unique, but some occur twice")
        if self.schema.kind == "table" and not problems and not np.isfinite(self.x).all():
            problems.append("expected finite values in every column, got NaN or infinity")
        if problems:
            raise InputError(problems)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: NDArray[np.int64]) -> Records:
        """The records at these positions, in this order."""
        labels = None if self.labels is None else self.labels[index]
        return Records(self.ids[index], self.x[index], labels, self.schema)

    def by_id(self, ids: NDArray[np.int64]) -> Records:
        """The records with these ids, in this order.

        Raises:
            KeyError: an id is not among these records.
        """
        order = np.argsort(self.ids, kind="stable")
        place = np.searchsorted(self.ids, ids, sorter=order)
        found = order[np.minimum(place, len(self.ids) - 1)] if len(self.ids) else place
        if len(ids) and (len(self.ids) == 0 or not np.array_equal(self.ids[found], ids)):
            raise KeyError("some of the asked record ids are not in this set of records")
        return self.take(found)

    def floats(self) -> NDArray[np.float32]:
        """What models and attacks compute with: images as float32 NCHW in [-1, 1], tables as they are."""
        return to_float(self.x, self.schema)

    def fingerprint(self) -> str:
        """sha256 over the decoded records, ids and labels: the identity of the data."""
        digest = hashlib.sha256(str(self.schema).encode())
        for array in (self.ids, self.x, self.labels):
            if array is not None:
                digest.update(str((array.dtype.str, array.shape)).encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def to_float(x: NDArray[Any], schema: Schema) -> NDArray[np.float32]:
    """Stored records to float32: an image's 0..255 becomes -1..1, a table stays."""
    if schema.kind == "table":
        return x.astype(np.float32, copy=False)
    return x.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_stored(x: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Model output to stored records: clips images to [-1, 1] and rounds to uint8; tables become float32."""
    if schema.kind == "table":
        return x.astype(np.float32, copy=False)
    stored: NDArray[np.uint8] = np.rint((np.clip(x, -1, 1) + 1) * 127.5).astype(np.uint8)
    return stored
