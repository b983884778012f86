"""CIFAR-10: 60,000 small colour images from its python batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.data.base import Dataset
from bench.data.download import download
from bench.data.files import missing_files
from bench.errors import InputError
from bench.records import Records, Schema

WAYS = (
    "set `download: true`, or fetch https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz by hand, unpack it, and "
    "name the folder that cifar-10-batches-py then lies in as `root`"
)


# As torchvision has them, whose module imports torch: planning does without where nothing is there.
FOLDER = "cifar-10-batches-py"
FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")


class CIFAR10(Dataset):
    """60,000 colour 32x32 images of 10 classes: the 50,000 training records, then the 10,000 test records.

    The batches are pickles, which can run code when they are opened. torchvision's reader compares the md5 of every
    batch with the published one before it unpickles any, and no other reader is used.
    """

    name = "cifar10"
    paper = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, 2009"

    class Options(Dataset.Options):
        root: str = "data"
        """Folder that cifar-10-batches-py lies in, relative to the matrix file."""
        download: bool = False
        """Whether torchvision may fetch the batches to the root where they are not there."""

    options: Options

    def load(self, base_dir: Path) -> Records:
        root = base_dir / self.options.root
        folder = root / FOLDER
        absent = [name for name in FILES if not (folder / name).is_file()]
        if absent and not self.options.download:
            raise missing_files(self.name, f"the files {', '.join(absent)}", [folder], WAYS)
        from torchvision import datasets

        reader = datasets.CIFAR10
        if absent:
            download(self.name, lambda: reader(str(root), download=True), WAYS)
        try:
            parts = [reader(str(root), train=train) for train in (True, False)]
        except RuntimeError as error:  # an md5 that differs; nothing was unpickled
            damaged = _damaged(folder, reader)
            raise InputError(
                f"{folder}: expected CIFAR-10's published batches, but the md5 of {damaged} differs; get them again"
            ) from error
        x = np.ascontiguousarray(np.concatenate([part.data for part in parts]).transpose(0, 3, 1, 2))
        labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
        return Records(np.arange(len(x), dtype=np.int64), x, labels, Schema("image", x.shape[1:], classes=10))


def _damaged(folder: Path, reader: Any) -> str:
    from torchvision.datasets.utils import check_integrity

    sums = [*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"])]
    return ", ".join(name for name, md5 in sums if not check_integrity(str(folder / name), md5))
