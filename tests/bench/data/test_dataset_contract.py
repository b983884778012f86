"""The contract of data sets on pictures, labels without classes, and files that are not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contracts import check_dataset
from bench.data.base import Dataset
from bench.data.images import Pictures
from bench.errors import MissingFilesError
from bench.records import Records, Schema
from bench.rng import generator

X = generator(0, "test contract").integers(0, 256, (40, 3, 9, 9), np.uint8)


def dataset(load: Any) -> Dataset:
    class Fake(Dataset):
        """A data set of a test."""

        name = "fake"

        def load(self, base_dir: Path) -> Any:
            return load()

    return Fake()


def records(classes: int | None) -> Records:
    return Records(np.arange(4), X[:4], np.array([0, 1, 2, 0]), Schema("image", (3, 9, 9), classes))


def test_labelled_images_declare_their_classes() -> None:
    assert set(check_dataset(dataset(lambda: records(3))).values()) == {""}
    with pytest.raises(
        AssertionError, match=r"loads_offline: expected a labelled set of images to declare schema\.cla"
    ):
        check_dataset(dataset(lambda: records(None)))


def test_pictures_are_decoded_at_one_size() -> None:
    decoded = set()

    def read(i: int) -> Any:
        decoded.add(i)
        return X[i, :, : 3 + i % 5]

    assert set(check_dataset(dataset(lambda: Pictures([str(i) for i in range(40)], read))).values()) == {""}
    assert decoded == set(range(32))


def test_pictures_that_change_are_found() -> None:
    calls: list[int] = []

    def read(i: int) -> Any:
        calls.append(i)
        return X[len(calls) % 40]

    with pytest.raises(AssertionError, match="same_fingerprint_twice: expected two loads to give the same records"):
        check_dataset(dataset(lambda: Pictures(["a", "b"], read)))


def test_files_that_are_not_here_are_the_reason() -> None:
    def load() -> Records:
        raise MissingFilesError("fake: expected its files in /nowhere, found none; write them")

    report = check_dataset(dataset(load))
    assert report["declares"] == ""
    assert report["loads_offline"] == report["same_fingerprint_twice"]
    assert report["loads_offline"].startswith("its files are not here: fake: expected its files in /nowhere")


def test_a_download_on_the_way_to_missing_files_is_found() -> None:
    import socket

    def load() -> Records:
        try:
            socket.create_connection(("example.org", 80), timeout=1)
        except OSError as error:
            raise MissingFilesError("fake: could not fetch them") from error
        return records(3)

    with pytest.raises(AssertionError, match="expected to load offline, but it reached for the network"):
        check_dataset(dataset(load))
