"""MNIST and Fashion-MNIST from idx files, gzipped or not, whole or damaged."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import assert_keeps_the_contract, idx_bytes, noise, truncate, write_idx
from pydantic import ValidationError

from bench.data.idx import read_idx
from bench.data.sets import fashion_mnist
from bench.data.sets.fashion_mnist import FashionMNIST
from bench.data.sets.mnist import MNIST
from bench.errors import InputError, MissingFilesError

SETS = [(MNIST, "MNIST"), (FashionMNIST, "FashionMNIST")]
IDS = ["mnist", "fashion_mnist"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize(("cls", "torchvisions"), SETS, ids=IDS)
def test_training_then_test_records(tmp_path: Path, cls: Any, torchvisions: str, below: bool, zipped: bool) -> None:
    held = write_idx(tmp_path / "here" / (f"{torchvisions}/raw" if below else ""), zipped=zipped)
    dataset = cls(root="here")
    found = dataset.load(tmp_path)
    assert found.schema.classes == 10
    assert np.array_equal(found.x[:6, 0], held["train-images-idx3-ubyte"])
    assert np.array_equal(found.x[6:, 0], held["t10k-images-idx3-ubyte"])
    assert found.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert_keeps_the_contract(dataset, tmp_path)


@pytest.mark.parametrize(("cls", "torchvisions"), SETS, ids=IDS)
def test_torchvision_reads_the_same(tmp_path: Path, cls: Any, torchvisions: str) -> None:
    from torchvision import datasets

    write_idx(tmp_path / torchvisions / "raw", zipped=False)
    found = cls(root=".").load(tmp_path)
    for train, part in ((True, slice(0, 6)), (False, slice(6, 10))):
        other = getattr(datasets, torchvisions)(str(tmp_path), train=train)
        assert np.array_equal(found.x[part, 0], other.data.numpy())
        assert np.array_equal(found.labels[part], other.targets.numpy())


def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "datasets")
    with pytest.raises(MissingFilesError, match=r"in .*/datasets, found none; install the Debian package dataset-fash"):
        FashionMNIST().load(tmp_path)
    write_idx(tmp_path / "datasets")
    assert len(FashionMNIST().load(tmp_path)) == 10


@pytest.mark.parametrize(("cls", "torchvisions"), SETS, ids=IDS)
def test_files_that_are_not_here(tmp_path: Path, cls: Any, torchvisions: str) -> None:
    message = (
        rf"the files train-images-idx3-ubyte\[.gz\], .* in {tmp_path}/here or {tmp_path}/here/{torchvisions}/raw, "
        r"found none; .*`download: true`.* by hand from https://"
    )
    with pytest.raises(MissingFilesError, match=message):
        cls(root="here").load(tmp_path)
    write_idx(tmp_path / "here")
    (tmp_path / "here" / "t10k-labels-idx1-ubyte.gz").unlink()
    message = rf"expected the files t10k-labels-idx1-ubyte\[.gz\] in {tmp_path}/here, found none"
    with pytest.raises(MissingFilesError, match=message):
        cls(root="here").load(tmp_path)


def rewrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
WHOLE = gzip.compress(idx_bytes(noise(6, 5, 4)))
BAD: list[tuple[str, str, Callable[[Path], object], str]] = [
    ("cut short", IMAGES, lambda f: truncate(f / IMAGES), "an idx file, but it is damaged"),
    ("flipped", IMAGES, rewrite(IMAGES, WHOLE[:-6] + bytes([WHOLE[-6] ^ 255]) + WHOLE[-5:]), "but it is damaged .CRC"),
    ("text", IMAGES, rewrite(IMAGES, b"<html>not found</html>"), "magic number 0x00000803, got 3c68746d"),
    ("empty", IMAGES, rewrite(IMAGES, b""), "magic number 0x00000803, got nothing"),
    ("swapped", IMAGES, rewrite(IMAGES, gzip.compress(idx_bytes(noise(6)))), "0x00000803, got 00000801"),
    ("floats", IMAGES, rewrite(IMAGES, idx_bytes(noise(6, 5, 4), 0x00000D03)), "got 00000d03"),
    ("few bytes", IMAGES, rewrite(IMAGES, idx_bytes(noise(6, 5, 4))[:-3]), "the 120 bytes .* 6 x 5 x 4 .* got 117"),
    ("many bytes", IMAGES, rewrite(IMAGES, idx_bytes(noise(6, 5, 4)) + b"0"), "the 120 bytes .* got more"),
    ("counts", LABELS, rewrite(LABELS, idx_bytes(noise(7) % 10)), "expected 6 labels, .* got 7"),
    ("labels", LABELS, rewrite(LABELS, idx_bytes(noise(6) % 2 + 9)), "expected labels from 0 to 9, got 10"),
    ("sizes", "", rewrite(IMAGES, idx_bytes(noise(6, 4, 4))), "test images of one size, got 4 x 4 and 5 x 4"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: Callable[[Path], object], message: str) -> None:
    write_idx(tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError, match=rf"{tmp_path / name}.*{message}") as caught:
        MNIST(root=".").load(tmp_path)
    assert not isinstance(caught.value, MissingFilesError)


def test_a_header_that_announces_too_much_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(idx_bytes(noise(1, 5, 4))[:4] + b"\xff" * 12 + b"pixels")
    with pytest.raises(InputError, match="announce, got 6"):
        read_idx(path, 3)


def test_download_needs_a_place() -> None:
    with pytest.raises(ValidationError, match="expected a `root` to download to, got none"):
        FashionMNIST(download=True)
    assert FashionMNIST(download=True, root="x").options.download


@pytest.mark.parametrize(("cls", "torchvisions"), SETS, ids=IDS)
def test_the_network_is_used_only_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cls: Any, torchvisions: str
) -> None:
    asked = []

    def refuse(host: str, *more: Any, **options: Any) -> None:
        asked.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(MissingFilesError, match="found none"):
        cls(root="here").load(tmp_path)
    assert asked == []
    with pytest.raises(MissingFilesError, match=r"expected to download it, but that failed \(.*by hand from https"):
        cls(root="here", download=True).load(tmp_path)
    assert asked
    asked.clear()
    write_idx(tmp_path / "here")
    assert len(cls(root="here", download=True).load(tmp_path)) == 10  # they are there: nothing to fetch
    assert asked == []
