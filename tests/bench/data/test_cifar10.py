"""CIFAR-10 from its python batches: the md5 is checked before anything is unpickled."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import assert_keeps_the_contract, noise, truncate
from numpy.typing import NDArray

from bench.data.sets.cifar10 import CIFAR10
from bench.errors import InputError, MissingFilesError

ROWS = 3
NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def write_batches(root: Path, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.uint8]:
    """Batches as they were published, with fewer images, and torchvision's md5s replaced by theirs."""
    from torchvision import datasets

    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    planes = noise(len(NAMES) * ROWS, 3 * 32 * 32)
    for i, name in enumerate(NAMES):
        rows = slice(i * ROWS, (i + 1) * ROWS)
        labels = [(i + j) % 10 for j in range(ROWS)]
        (folder / name).write_bytes(pickle.dumps({"data": planes[rows], "labels": labels}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {i}" for i in range(10)]}))

    def md5(name: str) -> str:
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, md5(name)] for name in NAMES[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [[NAMES[5], md5(NAMES[5])]])
    meta = {**datasets.CIFAR10.meta, "md5": md5("batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return planes


def test_training_then_test_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planes = write_batches(tmp_path / "here", monkeypatch)
    found = CIFAR10(root="here").load(tmp_path)
    assert found.schema.shape == (3, 32, 32)
    assert np.array_equal(found.x.reshape(len(planes), -1), planes)  # a row holds the red plane, the green, the blue
    assert found.labels is not None
    assert found.labels.tolist() == [(i + j) % 10 for i in range(6) for j in range(ROWS)]
    assert_keeps_the_contract(CIFAR10(root="here"), tmp_path)


def test_files_that_are_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = rf"files data_batch_1, .*batches.meta in {tmp_path}/data/cifar-10-batches-py, found none; set `download: "
    with pytest.raises(MissingFilesError, match=message):
        CIFAR10().load(tmp_path)
    write_batches(tmp_path / "data", monkeypatch)
    (tmp_path / "data" / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(MissingFilesError, match="expected the files data_batch_4 in"):
        CIFAR10().load(tmp_path)


class Bomb:
    """A pickle that writes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_batch_of_another_md5_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_batches(tmp_path, monkeypatch)
    fired = tmp_path / "fired"
    bomb = pickle.dumps(Bomb(fired))
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(bomb)
    truncate(tmp_path / "cifar-10-batches-py" / "test_batch")
    with pytest.raises(InputError, match="the md5 of data_batch_2, test_batch differs; get them again") as caught:
        CIFAR10(root=".").load(tmp_path)
    assert not isinstance(caught.value, MissingFilesError)
    assert not fired.exists()
    pickle.loads(bomb)
    assert fired.exists()  # it would have


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def fail(self: Any) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(datasets.CIFAR10, "download", fail)
    message = r"cifar10: expected to download it, but that failed \(no network in this test\); .*kriz/cifar-10-python"
    with pytest.raises(MissingFilesError, match=message):
        CIFAR10(download=True).load(tmp_path)


def test_a_download_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    planes: list[NDArray[np.uint8]] = []

    def download(self: Any) -> None:
        planes.append(write_batches(Path(self.root), monkeypatch))

    monkeypatch.setattr(datasets.CIFAR10, "download", download)
    assert len(CIFAR10(download=True).load(tmp_path)) == 6 * ROWS
    assert len(planes) == 1
    assert len(CIFAR10(download=True).load(tmp_path)) == 6 * ROWS
    assert len(planes) == 1  # they are there: nothing to fetch
