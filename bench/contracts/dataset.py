"""The contract of data sets."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from bench.contracts.rules import Report, Rule, check, declaration, expect, instance
from bench.data.base import Dataset
from bench.data.images import ImageOptions, Pictures
from bench.errors import MissingFilesError
from bench.records import Records

PICTURES = 32  # that many images are decoded, where they are decoded one by one
SIDE = 16  # pixels a side that they are resized to, since they may differ in size


@dataclass(frozen=True)
class _Subject:
    dataset: Dataset
    base_dir: Path

    def load(self) -> Records | str:
        """The records, the first ones where images are decoded one by one; or why there are none here."""
        with _offline():
            try:
                loaded = self.dataset.load(self.base_dir)
            except MissingFilesError as error:
                return f"its files are not here: {error}"
            expect(
                loaded is None or isinstance(loaded, (Records, Pictures)),
                f"expected load() to give Records, got {type(loaded).__name__}; images of several sizes are Pictures",
            )
            if isinstance(loaded, Pictures):
                return loaded.records(ImageOptions(resize=SIDE), np.arange(min(PICTURES, len(loaded)), dtype=np.int64))
        return "every role of its split comes from files of the user" if loaded is None else loaded


def declares(subject: _Subject) -> None:
    expect(isinstance(subject.dataset, Dataset), f"expected a subclass of Dataset, got {type(subject.dataset)}")
    declaration(subject.dataset)


def loads_offline(subject: _Subject) -> str | None:
    records = subject.load()
    if isinstance(records, str):
        return records
    expect(len(records) > 0, "expected at least one record")
    expect(
        np.array_equal(records.ids, np.arange(len(records))) and records.ids.dtype == np.int64,
        "expected the ids 0, 1, 2, … as int64, in order: index files of users name records by them",
    )
    wanted = np.uint8 if records.schema.kind == "image" else np.float32
    expect(records.x.dtype == wanted, f"expected {np.dtype(wanted)} records, got {records.x.dtype}")
    if records.labels is not None:
        expect(records.labels.dtype == np.int64, f"expected int64 labels, got {records.labels.dtype}")
        expect(
            records.schema.kind != "image" or records.schema.classes is not None,
            "expected a labelled set of images to declare schema.classes; conditional targets are built from it",
        )
    floats = records.floats()
    expect(floats.dtype == np.float32 and bool(np.isfinite(floats).all()), "expected finite float32 values")
    return None


def same_fingerprint_twice(subject: _Subject) -> str | None:
    first, second = subject.load(), subject.load()
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    expect(
        first.fingerprint() == second.fingerprint(),
        "expected two loads to give the same records in the same order; the fingerprint is part of every key",
    )
    return None


RULES: tuple[Rule[_Subject], ...] = (declares, loads_offline, same_fingerprint_twice)


def check_dataset(
    dataset: Dataset | type[Dataset], *, base_dir: Path | None = None, leave_out: Collection[str] = ()
) -> Report:
    """Check a data set: declared fully, loads without a network, ids in order, the same records every time.

    Args:
        dataset: the data set, or its class where every option has a default.
        base_dir: what its relative paths are relative to; an empty folder if not given.
        leave_out: names of rules not to check.

    Raises:
        AssertionError: names every rule that it breaks.
    """
    found = instance(dataset)
    with tempfile.TemporaryDirectory() as empty:
        return check(RULES, _Subject(found, base_dir or Path(empty)), repr(found), leave_out)


@contextmanager
def _offline() -> Iterator[None]:
    """Every attempt to reach a network fails, and is reported even where the loader swallows the failure."""
    attempts = []

    def refuse(*args: Any, **kwargs: Any) -> Any:
        attempts.append(args)
        raise OSError("the contract of data sets is checked without a network")

    try:
        with patch.object(socket.socket, "connect", refuse), patch.object(socket, "getaddrinfo", refuse):
            yield
    finally:
        expect(not attempts, "expected to load offline, but it reached for the network")
