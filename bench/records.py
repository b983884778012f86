"""Records: the data points whose membership is judged, images or rows of a table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

Kind = Literal["image", "table"]


@dataclass(frozen=True)
class Schema:
    """What one record looks like.

    Attributes:
        kind: ``image`` or ``table``.
        shape: ``(channels, height, width)`` of an image, ``(columns,)`` of a table's row.
    """

    kind: Kind
    shape: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Schema:
        return cls(value["kind"], tuple(int(n) for n in value["shape"]))

    def __str__(self) -> str:
        return f"{self.kind} {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True)
class Records:
    """A set of records.

    Attributes:
        ids: int64 ``(n,)``, unique within a data set; a record keeps its id through every subset.
        x: images as uint8 ``(n, channels, height, width)``; tables as float32 ``(n, columns)``.
        labels: int64 ``(n,)`` or None.
        schema: shape and kind of one record.

    Raises:
        InputError: lengths, dtype or shape do not fit together, an id occurs twice, or a table is not finite.
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
