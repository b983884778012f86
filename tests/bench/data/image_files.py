"""Small data sets in their real formats, for the tests of the loaders."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.contracts import check_dataset
from bench.data.base import Dataset
from bench.rng import generator


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return generator(seed, "test image files").integers(0, 256, shape, np.uint8)


def idx_bytes(array: NDArray[np.uint8], magic: int | None = None) -> bytes:
    """The idx format as it was published: magic, big-endian dimensions, the bytes."""
    number = 0x00000800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", number, *array.shape) + array.tobytes()


def write_idx(folder: Path, counts: tuple[int, int] = (6, 4), zipped: bool = True) -> dict[str, NDArray[np.uint8]]:
    """The four files of an MNIST-like data set; returns what they hold by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    held = {}
    for seed, (part, n) in enumerate(zip(("train", "t10k"), counts, strict=True)):
        held[f"{part}-images-idx3-ubyte"] = noise(n, 5, 4, seed=seed)
        held[f"{part}-labels-idx1-ubyte"] = np.arange(n, dtype=np.uint8) % 10
    for name, array in held.items():
        content = idx_bytes(array)
        (folder / f"{name}{'.gz' if zipped else ''}").write_bytes(gzip.compress(content) if zipped else content)
    return held


def save_image(path: Path, image: NDArray[np.uint8]) -> None:
    """An image file of ``(height, width)`` or ``(height, width, 3)``; its ending decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def assert_keeps_the_contract(dataset: Dataset, base_dir: Path) -> None:
    """Every rule was checked and held: loads without a network, the same twice, classes declared."""
    assert set(check_dataset(dataset, base_dir=base_dir).values()) == {""}


def truncate(path: Path, keep: float = 0.6) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
